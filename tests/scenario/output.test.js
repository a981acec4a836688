// What a model may say beside plain text: reasoning, refusals, function calls side by side, logprobs, citations. Each case is
// held to the exact order of its events, over WebSocket and SSE, live, replayed from every event, and after a restart.
import assert from 'node:assert/strict';
import { checkError, checkResponse, checkStream, isTerminal } from '../lib/check.js';
import { connect } from '../lib/chat.js';
import { parseStream } from '../lib/reader.js';
import { startServer } from '../lib/server.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply, startUpstream } from '../lib/upstream.js';

const stage = setup();

// --- what the upstream says -----------------------------------------------------------------------------------------

const say = (text) => (x) => x.say(text);
const think = (text, field) => (x) => x.think(text, field);
const refuse = (text) => (x) => x.refuse(text);
const call = (...args) => (x) => x.call(...args);
const more = (...args) => (x) => x.callMore(...args);
const token = (text, logprob = -0.5, top = []) => ({
	token: text,
	logprob,
	bytes: [...Buffer.from(text)],
	top_logprobs: top,
});
const functions = (...names) =>
	names.map((name) => ({ type: 'function', name, description: `does ${name}`, parameters: { type: 'object' } }));
const TOOLS = functions('look', 'listen', 'smell');

// --- what the client is told ----------------------------------------------------------------------------------------

const SHORT = {
	'response.created': 'created',
	'response.in_progress': 'in_progress',
	'response.output_item.added': 'item+',
	'response.output_item.done': 'item-',
	'response.content_part.added': 'part+',
	'response.content_part.done': 'part-',
	'response.output_text.delta': 'text',
	'response.output_text.done': 'text.',
	'response.output_text.annotation.added': 'note',
	'response.refusal.delta': 'refusal',
	'response.refusal.done': 'refusal.',
	'response.reasoning.delta': 'thought',
	'response.reasoning.done': 'thought.',
	'response.function_call_arguments.delta': 'args',
	'response.function_call_arguments.done': 'args.',
	'response.completed': 'completed',
	'response.incomplete': 'incomplete',
	'response.failed': 'failed',
};

/** The events in short, with the index of their item; deltas that came together count as one. */
const outline = (events) =>
	events
		.map(({ type, output_index }) => `${SHORT[type]}${output_index ?? ''}`)
		.filter((name, at, names) => name !== names[at - 1] || !/^(text|thought|refusal|args)\d/.test(name))
		.join(' ');

const told = (kind, index) => `part+${index} ${kind}${index} ${kind}.${index} part-${index}`;
const item = (index, ...body) => `item+${index} ${body.join(' ')} item-${index}`;

/** An item without what differs from run to run. */
const plain = ({ id: _, summary: __, ...rest }) => rest;
const message = (status, ...content) => ({ type: 'message', status, role: 'assistant', content });
const text = (words, { annotations = [], logprobs = [] } = {}) => ({ type: 'output_text', text: words, annotations, logprobs });
const refusal = (words) => ({ type: 'refusal', refusal: words });
const reasoning = (...words) => ({ type: 'reasoning', content: words.map((word) => ({ type: 'reasoning_text', text: word })) });
const called = (call_id, name, args, status = 'completed') => ({
	type: 'function_call',
	status,
	call_id,
	name,
	arguments: args,
});

const LOGPROBS = [token('Yes', -0.25, [{ token: 'No', logprob: -2, bytes: [78, 111] }]), token('!', -1)];
const CITATION = { url: 'https://example.org/a?b="c"', title: 'A "title"', start_index: 0, end_index: 3 };

// `steps`: what the upstream does; `events`: between in_progress and the terminal event; `output`: what is left of it.
const CASES = {
	'reasoning, then the answer': {
		steps: [think('Let me '), think('see.'), say('It is '), say('so.')],
		events: [item(0, told('thought', 0)), item(1, told('text', 1))],
		output: [reasoning('Let me see.'), message('completed', text('It is so.'))],
	},
	'reasoning under its other name, again after the answer began': {
		steps: [think('One. ', 'reasoning'), say('A'), think('Two.', 'reasoning'), say('B')],
		events: [0, 1, 2, 3].map((n) => item(n, told(n % 2 ? 'text' : 'thought', n))),
		output: [reasoning('One. '), message('completed', text('A')), reasoning('Two.'), message('completed', text('B'))],
	},
	'reasoning alone': {
		steps: [think('Hm.')],
		events: [item(0, told('thought', 0))],
		output: [reasoning('Hm.')],
	},
	'a refusal behind text is a part of the same message': {
		steps: [say('Well, '), refuse('I '), refuse('will not.')],
		events: [item(0, told('text', 0), told('refusal', 0))],
		output: [message('completed', text('Well, '), refusal('I will not.'))],
	},
	'text, refusal, text': {
		steps: [say('a'), refuse('b'), say('c')],
		events: [item(0, told('text', 0), told('refusal', 0), told('text', 0))],
		output: [message('completed', text('a'), refusal('b'), text('c'))],
	},
	'one call': {
		tools: TOOLS,
		finish: 'tool_calls',
		steps: [call(0, 'call_a', 'look', '{"at"'), more(0, ':"the 世界"}')],
		events: ['item+0 args0 args.0 item-0'],
		output: [called('call_a', 'look', '{"at":"the 世界"}')],
	},
	'text, then calls one after another': {
		tools: TOOLS,
		finish: 'tool_calls',
		steps: [say('Looking.'), call(0, 'call_a', 'look', '{}'), call(1, 'call_b', 'listen'), more(1, '{"to":1}')],
		events: [item(0, told('text', 0)), 'item+1 args1 item+2 args2 args.1 item-1 args.2 item-2'],
		output: [message('completed', text('Looking.')), called('call_a', 'look', '{}'), called('call_b', 'listen', '{"to":1}')],
	},
	'arguments that come interleaved': {
		tools: TOOLS,
		finish: 'tool_calls',
		steps: [
			call(0, 'call_a', 'look'),
			call(1, 'call_b', 'listen'),
			more(0, '{"a"'),
			more(1, '{"b"'),
			more(0, ':1}'),
			more(1, ':2}'),
		],
		events: ['item+0 item+1 args0 args1 args0 args1 args.0 item-0 args.1 item-1'],
		output: [called('call_a', 'look', '{"a":1}'), called('call_b', 'listen', '{"b":2}')],
	},
	'all of it from a server that does not stream': {
		tools: TOOLS,
		steps: [
			(x) =>
				x.json(200, {
					id: x.id,
					object: 'chat.completion',
					created: 1790000000,
					model: 'fake',
					choices: [
						{
							index: 0,
							finish_reason: 'tool_calls',
							logprobs: { content: LOGPROBS },
							message: {
								role: 'assistant',
								reasoning_content: 'Hm.',
								content: 'Yes!',
								annotations: [{ type: 'url_citation', url_citation: CITATION }],
								tool_calls: ['look', 'listen'].map((name) => ({
									id: `call_${name}`,
									type: 'function',
									function: { name, arguments: '{}' },
								})),
							},
						},
					],
					usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 },
				}),
		],
		events: [item(0, told('thought', 0)), item(1, 'part+1 text1 note1 text.1 part-1'), 'item+2 args2 item+3 args3 args.2 item-2 args.3 item-3'],
		output: [
			reasoning('Hm.'),
			message('completed', text('Yes!', { logprobs: LOGPROBS, annotations: [{ type: 'url_citation', ...CITATION }] })),
			called('call_look', 'look', '{}'),
			called('call_listen', 'listen', '{}'),
		],
	},
	'several calls in one chunk': {
		tools: TOOLS,
		finish: 'tool_calls',
		steps: [
			(x) =>
				x.write(
					x.event({
						tool_calls: TOOLS.map(({ name }, index) => ({
							index,
							id: `call_${name}`,
							type: 'function',
							function: { name, arguments: `{"n":${index}}` },
						})),
					}),
				),
		],
		events: ['item+0 args0 item+1 args1 item+2 args2 args.0 item-0 args.1 item-1 args.2 item-2'],
		output: TOOLS.map(({ name }, n) => called(`call_${name}`, name, `{"n":${n}}`)),
	},
	'calls without ids get some': {
		tools: TOOLS,
		finish: 'tool_calls',
		steps: [call(0, undefined, 'look', '{}'), call(1, null, 'look', '{}')],
		events: ['item+0 args0 item+1 args1 args.0 item-0 args.1 item-1'],
		check({ output }) {
			output.forEach(({ call_id }) => assert.match(call_id, /^call_\w+$/));
			assert.notEqual(output[0].call_id, output[1].call_id);
		},
	},
	'a call without arguments': {
		tools: TOOLS,
		finish: 'tool_calls',
		steps: [call(0, 'call_a', 'look')],
		events: ['item+0 args.0 item-0'],
		output: [called('call_a', 'look', '')],
	},
	'text and reasoning behind a call': {
		tools: TOOLS,
		steps: [call(0, 'call_a', 'look', '{'), say('and '), more(0, '}'), think('hm'), say('so')],
		events: [
			'item+0 args0 item+1 part+1 text1 args0 text.1 part-1 item-1',
			'item+2 part+2 thought2 thought.2 part-2 item-2',
			'item+3 part+3 text3 text.3 part-3 item-3 args.0 item-0',
		],
		output: [
			called('call_a', 'look', '{}'),
			message('completed', text('and ')),
			reasoning('hm'),
			message('completed', text('so')),
		],
	},
	'reasoning, text and calls': {
		tools: TOOLS,
		finish: 'tool_calls',
		steps: [think('I need eyes.'), say('Wait. '), call(0, 'call_a', 'look', '{}')],
		events: [item(0, told('thought', 0)), item(1, told('text', 1)), 'item+2 args2 args.2 item-2'],
		output: [reasoning('I need eyes.'), message('completed', text('Wait. ')), called('call_a', 'look', '{}')],
	},
	'logprobs': {
		request: { include: ['message.output_text.logprobs'], top_logprobs: 1 },
		steps: [(x) => x.sayWith('Yes', [LOGPROBS[0]]), (x) => x.sayWith('!', [LOGPROBS[1]])],
		events: [item(0, told('text', 0))],
		output: [message('completed', text('Yes!', { logprobs: LOGPROBS }))],
		asked: { logprobs: true, top_logprobs: 1 },
	},
	'logprobs of tokens that are half a character': {
		request: { top_logprobs: 2 },
		steps: [(x) => x.sayWith('', [token('\\xe4')]), (x) => x.sayWith('世', [token('\\xb8\\x96', -3)]), say(' ok')],
		events: [item(0, told('text', 0))],
		output: [message('completed', text('世 ok', { logprobs: [token('\\xe4'), token('\\xb8\\x96', -3)] }))],
		asked: { logprobs: true, top_logprobs: 2 },
	},
	'citations': {
		steps: [say('See'), (x) => x.annotate(CITATION), say(' there'), (x) => x.annotate({ ...CITATION, title: 'B' })],
		events: [item(0, 'part+0 text0 note0 text0 note0 text.0 part-0')],
		output: [
			message(
				'completed',
				text('See there', {
					annotations: [
						{ type: 'url_citation', ...CITATION },
						{ type: 'url_citation', ...CITATION, title: 'B' },
					],
				}),
			),
		],
	},
	'citations and logprobs': {
		request: { top_logprobs: 0, include: ['message.output_text.logprobs'] },
		steps: [
			(x) => x.sayWith('A', [token('A')]),
			(x) => x.annotate(CITATION),
			(x) => x.sayWith('B', [token('B'), token('')]),
			(x) => x.annotate(CITATION),
		],
		events: [item(0, 'part+0 text0 note0 text0 note0 text.0 part-0')],
		output: [
			message(
				'completed',
				text('AB', {
					annotations: [
						{ type: 'url_citation', ...CITATION },
						{ type: 'url_citation', ...CITATION },
					],
					logprobs: [token('A'), token('B'), token('')],
				}),
			),
		],
	},
	'nothing at all is an empty message': {
		steps: [],
		events: [item(0, 'part+0 text.0 part-0')],
		output: [message('completed', text(''))],
	},
	'the limit in the middle of reasoning': {
		finish: 'length',
		steps: [think('on and on')],
		events: [item(0, told('thought', 0))],
		output: [reasoning('on and on')],
		reason: 'max_output_tokens',
	},
	'the limit in the middle of arguments': {
		tools: TOOLS,
		finish: 'length',
		steps: [say('Go. '), call(0, 'call_a', 'look', '{"whole":true}'), call(1, 'call_b', 'listen', '{"half":')],
		events: [item(0, told('text', 0)), 'item+1 args1 item+2 args2 args.1 item-1 args.2 item-2'],
		output: [
			message('completed', text('Go. ')),
			called('call_a', 'look', '{"whole":true}'),
			called('call_b', 'listen', '{"half":', 'incomplete'),
		],
		reason: 'max_output_tokens',
	},
	'a filter': {
		finish: 'content_filter',
		steps: [say('I would')],
		events: [item(0, told('text', 0))],
		output: [message('incomplete', text('I would'))],
		reason: 'content_filter',
	},
	'more calls than max_tool_calls': {
		tools: TOOLS,
		request: { max_tool_calls: 2 },
		finish: 'tool_calls',
		steps: [call(0, 'call_a', 'look', '{}'), call(1, 'call_b', 'look', '{}'), call(2, 'call_c', 'look', '{}'), say('late')],
		events: ['item+0 args0 item+1 args1 args.0 item-0 args.1 item-1'],
		output: [called('call_a', 'look', '{}'), called('call_b', 'look', '{}')],
		reason: 'max_tool_calls',
		usage: null,
	},
	'more calls than max_tool_calls in one chunk': {
		tools: TOOLS,
		request: { max_tool_calls: 1 },
		steps: [
			(x) =>
				x.write(
					x.event({
						content: 'Both. ',
						tool_calls: ['look', 'listen'].map((name, index) => ({
							index,
							id: `call_${name}`,
							type: 'function',
							function: { name, arguments: '{}' },
						})),
					}),
				),
		],
		events: [item(0, told('text', 0)), 'item+1 args1 args.1 item-1'],
		output: [message('completed', text('Both. ')), called('call_look', 'look', '{}')],
		reason: 'max_tool_calls',
		usage: null,
	},
	'a second call where only one may be made': {
		tools: TOOLS,
		request: { parallel_tool_calls: false },
		finish: 'tool_calls',
		steps: [call(0, 'call_a', 'look', '{}'), call(1, 'call_b', 'look', '{}')],
		events: ['item+0 args0 args.0 item-0'],
		output: [called('call_a', 'look', '{}')],
		asked: { parallel_tool_calls: false },
		usage: null,
	},
	'an allowed tool': {
		tools: TOOLS,
		request: { tool_choice: { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'listen' }] } },
		finish: 'tool_calls',
		steps: [call(0, 'call_a', 'listen', '{}')],
		events: ['item+0 args0 args.0 item-0'],
		output: [called('call_a', 'listen', '{}')],
		asked: { tool_choice: 'required', tools: ['listen'] },
	},
	'a tool that is not allowed': {
		tools: TOOLS,
		request: { tool_choice: { type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function', name: 'listen' }] } },
		finish: 'tool_calls',
		steps: [say('So. '), call(0, 'call_a', 'listen', '{}'), call(1, 'call_b', 'look', '{}')],
		events: [item(0, told('text', 0)), 'item+1 args1 args.1 item-1'],
		output: [message('completed', text('So. ')), called('call_a', 'listen', '{}')],
		failed: 'tool_call_not_allowed',
		usage: null,
	},
	'a call where none may be made': {
		tools: TOOLS,
		request: { tool_choice: 'none' },
		finish: 'tool_calls',
		steps: [call(0, 'call_a', 'look', '{}')],
		events: [],
		output: [],
		failed: 'tool_call_not_allowed',
		usage: null,
	},
	'another function than the one that was chosen': {
		tools: TOOLS,
		request: { tool_choice: { type: 'function', name: 'smell' } },
		finish: 'tool_calls',
		steps: [call(0, 'call_a', 'look', '{}')],
		events: [],
		output: [],
		failed: 'tool_call_not_allowed',
		usage: null,
	},
	'an answer that is cut off in a call': {
		tools: TOOLS,
		steps: [think('hm'), call(0, 'call_a', 'look', '{}'), call(1, 'call_b', 'listen', '{"x'), (x) => x.cut()],
		events: [item(0, told('thought', 0)), 'item+1 args1 item+2 args2 args.1 item-1 args.2 item-2'],
		output: [reasoning('hm'), called('call_a', 'look', '{}'), called('call_b', 'listen', '{"x', 'incomplete')],
		reason: 'upstream_cut',
		usage: null,
	},
	'an error in the middle of a call': {
		tools: TOOLS,
		steps: [
			call(0, 'call_a', 'look', '{"x'),
			(x) => x.write(`data: ${JSON.stringify({ error: { message: 'out of GPUs', code: 'gpu' } })}\n\n`),
		],
		events: ['item+0 args0 args.0 item-0'],
		output: [called('call_a', 'look', '{"x', 'incomplete')],
		failed: 'upstream_failed',
		usage: null,
	},
};

/** The request of a case, and what the upstream does when it is asked. */
function prepare(name, transport, upstream = stage.upstream) {
	const { tools, request, steps, finish = 'stop' } = CASES[name];
	const input = `${name} (${transport})`;
	upstream.on((x) => x.question === input, async (x) => {
		for (const step of steps) {
			await step(x);
		}
		if (!x.gone && !x.ended) {
			await x.finish(finish, { input: 7, output: 3 });
			await x.done();
		}
	});
	return { model: 'fake', input, ...(tools ? { tools } : {}), ...request };
}

function judge(name, events) {
	const { events: expected, output, reason, failed, check, usage } = CASES[name];
	const { response } = checkStream(events);
	const end = failed ? 'failed' : reason ? 'incomplete' : 'completed';
	assert.equal(outline(events), ['created in_progress', ...expected, end].join(' '));
	if (output) {
		assert.deepEqual(response.output.map(plain), output);
	}
	assert.equal(response.incomplete_details?.reason, reason);
	assert.equal(response.error?.code, failed);
	if (usage === null) {
		assert.equal(response.usage, null);
	} else {
		assert.equal(response.usage.total_tokens, 10);
	}
	check?.(response);
	return response;
}

/** The events of a stream by id or of a POST, as the bytes that came. */
async function readStream(answer) {
	assert.equal(answer.status, 200);
	const blocks = parseStream(await answer.text());
	assert.equal(blocks.pop().data, '[DONE]');
	blocks.forEach(({ event, data }) => assert.equal(JSON.parse(data).type, event));
	return blocks.map(({ data }) => data);
}

/** Holds a replay from every event on, by GET and over a WebSocket, to what was sent live, byte for byte. */
async function checkReplays(id, texts, { fetch, chat }) {
	const last = texts.length - 1;
	for (let after = -1; after < last; after++) {
		const query = after < 0 ? '' : `&starting_after=${after}`;
		const replay = await readStream(await fetch(`/v1/responses/${id}?stream=true${query}`));
		assert.deepEqual(replay, texts.slice(after + 1), `GET behind ${after}`);
		const from = chat.events.length;
		chat.send({ type: 'sluice:response.resume', response_id: id, ...(after < 0 ? {} : { starting_after: after }) });
		await chat.wait(isTerminal, { from });
		assert.deepEqual(chat.texts.slice(from), texts.slice(after + 1), `resumed behind ${after}`);
	}
}

const get = async (fetch, id) => (await fetch(`/v1/responses/${id}`)).json();

/** The final response as GET shows it, and its items as the conversation lists them. */
async function checkStored(response, input, { fetch }) {
	const stored = await get(fetch, response.id);
	checkResponse(stored);
	assert.deepEqual(stored, response);
	const list = await (await fetch(`/v1/conversations/${response.conversation.id}/items?order=asc&limit=100`)).json();
	const [asked, ...listed] = list.data.map(({ 'sluice:response_id': owner, ...rest }) => {
		assert.equal(owner, response.id);
		return rest;
	});
	assert.equal(asked.content[0].text, input);
	assert.deepEqual(listed, response.output);
}

for (const [name, { asked }] of Object.entries(CASES)) {
	test(`${name}: over a WebSocket`, async () => {
		const chat = await stage.chat();
		const request = prepare(name, 'WebSocket');
		const { events } = await chat.turn(request);
		const texts = chat.texts.slice();
		const response = judge(name, events);
		await checkStored(response, request.input, stage);
		await checkReplays(response.id, texts, { fetch: stage.fetch, chat });
		const [{ body }] = stage.upstream.asked(request.input);
		for (const [field, value] of Object.entries(asked ?? {})) {
			const sent = field === 'tools' ? body.tools.map((tool) => tool.function.name) : body[field];
			assert.deepEqual(sent, value, field);
		}
		await chat.close();
	});

	test(`${name}: over SSE`, async () => {
		const request = prepare(name, 'SSE');
		const texts = await readStream(await stage.fetch('/v1/responses', { body: { ...request, stream: true } }));
		const response = judge(name, texts.map(JSON.parse));
		await checkStored(response, request.input, stage);
		const again = await readStream(await stage.fetch(`/v1/responses/${response.id}?stream=true`));
		assert.deepEqual(again, texts);
	});
}

test('every one of them comes again byte for byte after a restart', async (t) => {
	const upstream = await startUpstream();
	const server = await startServer({ upstream });
	t.after(async () => {
		await server.remove();
		await upstream.stop();
	});
	const key = await server.createKey('ada');
	const fetch = (target, more) => server.fetch(target, { key, ...more });
	const told = [];
	const before = await connect(server, { key });
	for (const name of Object.keys(CASES)) {
		const from = before.events.length;
		const request = prepare(name, 'restart', upstream);
		const { response } = await before.turn(request);
		told.push({ request, response, texts: before.texts.slice(from) });
	}
	await before.close();
	await server.restart();
	const chat = await connect(server, { key });
	for (const { request, response, texts } of told) {
		await checkStored(response, request.input, { fetch });
		await checkReplays(response.id, texts, { fetch, chat });
	}
	await chat.close();
});

test('a second reader that comes in the middle sees the same bytes, and GET what there is so far', async () => {
	const held = gate();
	stage.upstream.on(
		'in the middle',
		reply.does([think('hm'), call(0, 'call_a', 'look', '{"a":'), say('so'), () => held.passed, more(0, '1}'), say('!')]),
	);
	const [desk, phone] = [await stage.chat(), await stage.chat()];
	const turn = desk.begin({ input: 'in the middle', tools: TOOLS });
	const { id } = await turn.created;
	await desk.type('response.output_text.delta');
	phone.send({ type: 'sluice:response.resume', response_id: id });
	await phone.type('response.output_text.delta');
	const now = await get(stage.fetch, id);
	assert.equal(now.status, 'in_progress');
	assert.deepEqual(now.output.map(plain), [
		reasoning('hm'),
		called('call_a', 'look', '{"a":', 'in_progress'),
		message('in_progress', text('so')),
	]);
	held.open();
	await turn.end;
	await phone.wait(isTerminal);
	assert.deepEqual(phone.texts, desk.texts);
	await desk.close();
	await phone.close();
});

test('a cancel in the middle of everything keeps what came and closes it', async () => {
	stage.upstream.on(
		'cancelled in it',
		reply.does([think('hm'), call(0, 'call_a', 'look', '{"a":'), say('so'), (x) => x.closed]),
	);
	const chat = await stage.chat();
	const turn = chat.begin({ input: 'cancelled in it', tools: TOOLS });
	await chat.type('response.output_text.delta');
	chat.send({ type: 'sluice:response.cancel' });
	const { response, events } = await turn.end;
	assert.equal(response.incomplete_details.reason, 'cancelled');
	assert.match(outline(events), /text\.2 part-2 item-2 args\.1 item-1 incomplete$/);
	assert.deepEqual(response.output.map(plain), [
		reasoning('hm'),
		called('call_a', 'look', '{"a":', 'incomplete'),
		message('incomplete', text('so')),
	]);
	await checkReplays(response.id, chat.texts.slice(), { fetch: stage.fetch, chat });
	await chat.close();
});

// --- tool loops -----------------------------------------------------------------------------------------------------

const shown = ({ messages }) =>
	messages.map(({ role, content, tool_calls, tool_call_id, reasoning_content }) => ({
		role,
		...(content ? { content } : {}),
		...(reasoning_content ? { reasoning: reasoning_content } : {}),
		...(tool_calls ? { calls: tool_calls.map(({ id, function: { name, arguments: args } }) => [id, name, args]) } : {}),
		...(tool_call_id ? { of: tool_call_id } : {}),
	}));
const result = (call_id, output) => ({ type: 'function_call_output', call_id, output });

test('a tool loop shows the model its reasoning, its words and its calls as one message, then the results', async () => {
	stage.upstream.on(
		(x) => x.question === 'loop' && x.messages.at(-1).role === 'user',
		reply.does([
			think('Eyes. '),
			call(0, 'call_a', 'look', '{}'),
			say('I look, '),
			think('Ears.'),
			call(1, 'call_b', 'listen', '{}'),
			say('and listen.'),
		]),
	);
	const chat = await stage.chat();
	const first = await chat.turn({ input: 'loop', tools: TOOLS });
	const last = await chat.turn({
		previous_response_id: first.response.id,
		tools: TOOLS,
		input: [result('call_a', 'a wall'), result('call_b', 'a bell')],
	});
	assert.equal(last.text, 'You said: loop');
	assert.deepEqual(shown(stage.upstream.asked('loop')[1]), [
		{ role: 'user', content: 'loop' },
		{
			role: 'assistant',
			content: 'I look, and listen.',
			reasoning: 'Eyes. Ears.',
			calls: [
				['call_a', 'look', '{}'],
				['call_b', 'listen', '{}'],
			],
		},
		{ role: 'tool', content: 'a wall', of: 'call_a' },
		{ role: 'tool', content: 'a bell', of: 'call_b' },
	]);
	await chat.turn({ previous_response_id: last.response.id, input: 'and now' });
	const later = shown(stage.upstream.asked('and now')[0]);
	assert.ok(later.every(({ reasoning: thought }) => !thought), 'thoughts from before the user last spoke are not shown again');
	assert.equal(later.length, 6);
	await chat.close();
});

const SEALED = { store: false, include: ['reasoning.encrypted_content'] };

/** A tool call with reasoning that is not stored; its output, and the request that brings it back. */
async function sealed(chat, input) {
	stage.upstream.on(
		(x) => x.question === input && x.messages.at(-1).role === 'user',
		reply.does([think('A secret thought.'), call(0, 'call_a', 'look', '{}')]),
	);
	const { response, events } = await chat.turn({ input, tools: TOOLS, ...SEALED });
	const back = [{ role: 'user', content: input }, ...response.output, result('call_a', 'a wall')];
	return { response, events, request: { input: back, tools: TOOLS, ...SEALED } };
}

test('reasoning.encrypted_content brings reasoning back that is not stored', async () => {
	const chat = await stage.chat();
	const { response, events, request } = await sealed(chat, 'sealed');
	const added = events.find(({ type }) => type === 'response.output_item.added');
	assert.equal(added.item.encrypted_content, undefined);
	const [thought] = response.output;
	assert.match(thought.encrypted_content, /^\S{40,}$/);
	assert.ok(!Buffer.from(thought.encrypted_content, 'base64url').includes('secret'));
	const bare = { ...thought, content: [] };
	for (const form of [thought, bare]) {
		await chat.turn({ ...request, input: request.input.map((one) => (one === thought ? form : one)) });
		const { reasoning: brought } = shown(stage.upstream.asked('sealed').at(-1))[1];
		assert.equal(brought, 'A secret thought.');
	}
	await chat.close();
});

test('without include, or without reasoning, nothing is sealed', async () => {
	stage.upstream.on('unsealed', reply.does([think('hm'), say('so')]));
	const chat = await stage.chat();
	const { response } = await chat.turn({ input: 'unsealed', store: false });
	assert.equal(response.output[0].encrypted_content, undefined);
	await chat.close();
});

test('sealed reasoning is stored with the response and replayed with it', async () => {
	stage.upstream.on('kept sealed', reply.does([think('hm'), say('so')]));
	const chat = await stage.chat();
	const { response } = await chat.turn({ input: 'kept sealed', include: ['reasoning.encrypted_content'] });
	assert.match(response.output[0].encrypted_content, /^\S{40,}$/);
	await checkReplays(response.id, chat.texts.slice(), { fetch: stage.fetch, chat });
	await checkStored(response, 'kept sealed', stage);
	await chat.close();
});

test('sealed reasoning that was changed, or is of another user, is refused by its name', async () => {
	const chat = await stage.chat();
	const { response, request } = await sealed(chat, 'to be spoiled');
	const [thought] = response.output;
	const blob = thought.encrypted_content;
	const flipped = blob.slice(0, 30) + (blob[30] === 'A' ? 'B' : 'A') + blob.slice(31);
	const spoiled = (encrypted_content) => ({
		...request,
		input: request.input.map((one) => (one === thought ? { ...thought, content: [], encrypted_content } : one)),
	});
	for (const wrong of [flipped, blob.slice(0, -4), 'nonsense']) {
		const { length } = stage.upstream.requests;
		chat.send({ type: 'response.create', ...spoiled(wrong) });
		checkError(await chat.nextError(), { status: 400, code: 'invalid_value', param: 'input[1].encrypted_content' });
		assert.equal(stage.upstream.requests.length, length, 'the model was not asked');
	}
	const stranger = await stage.chat({ key: await stage.server.createKey('stranger') });
	stranger.send({ type: 'response.create', ...spoiled(blob) });
	checkError(await stranger.nextError(), { status: 400, code: 'invalid_value', param: 'input[1].encrypted_content' });
	const answer = await stage.fetch('/v1/responses', { body: spoiled(flipped) });
	assert.equal(answer.status, 400);
	checkError(await answer.json(), { code: 'invalid_value', param: 'input[1].encrypted_content' });
	await chat.turn(spoiled(blob));
	await chat.close();
	await stranger.close();
});

// --- a kill ---------------------------------------------------------------------------------------------------------

test('a kill with several items open leaves what was streamed of each, and it can be continued', async (t) => {
	const upstream = await startUpstream();
	const server = await startServer({ upstream });
	t.after(async () => {
		await server.remove();
		await upstream.stop();
	});
	const key = await server.createKey('ada');
	const fetch = (target, rest) => server.fetch(target, { key, ...rest });
	/** Resolves when a checkpoint has all events so far. */
	const kept = ({ events }) => server.logged((line) => line.event === 'checkpoint kept' && line.events >= events.length);
	const pauses = [gate(), gate(), gate()];
	upstream.on(
		'killed',
		reply.does([
			think('Let me '),
			() => pauses[0].passed,
			think('see. '),
			(x) => x.sayWith('I ', [token('I ')]),
			call(0, 'call_a', 'look', '{"whole":'),
			call(1, 'call_b', 'listen', '{"ha'),
			() => pauses[1].passed,
			more(0, '1}'),
			more(1, 'lf":'),
			(x) => x.sayWith('go ', [token('go ', -2)]),
			(x) => x.annotate(CITATION),
			() => pauses[2].passed,
			(x) => x.sayWith('on', [token('on', -3)]),
			(x) => x.annotate({ ...CITATION, title: 'B' }),
			refuse('No'),
			(x) => x.closed,
		]),
	);
	const before = await connect(server, { key });
	const turn = before.begin({ input: 'killed', tools: TOOLS, include: ['message.output_text.logprobs'] });
	const { id } = await turn.created;
	await before.type('response.reasoning.delta');
	await kept(before);
	pauses[0].open();
	await before.wait(({ type, output_index }) => type === 'response.function_call_arguments.delta' && output_index === 3);
	await kept(before);
	pauses[1].open();
	await before.type('response.output_text.annotation.added');
	await kept(before);
	pauses[2].open();
	await before.type('response.refusal.delta');
	await kept(before);
	await server.kill();
	await server.restart();

	const chat = await connect(server, { key });
	chat.send({ type: 'sluice:response.resume', response_id: id });
	await chat.wait(isTerminal);
	assert.deepEqual(chat.texts.slice(0, before.texts.length), before.texts, 'what was seen comes again');
	const { response } = checkStream(chat.events);
	assert.equal(response.status, 'incomplete');
	assert.equal(response.incomplete_details.reason, 'server_restart');
	assert.deepEqual(response.output.map(plain), [
		reasoning('Let me see. '),
		message('completed', text('I ', { logprobs: [token('I ')] })),
		called('call_a', 'look', '{"whole":1}', 'completed'),
		called('call_b', 'listen', '{"half":', 'incomplete'),
		message(
			'incomplete',
			text('go on', {
				annotations: [
					{ type: 'url_citation', ...CITATION },
					{ type: 'url_citation', ...CITATION, title: 'B' },
				],
				logprobs: [token('go ', -2), token('on', -3)],
			}),
			refusal('No'),
		),
	]);
	await checkReplays(id, chat.texts.slice(), { fetch, chat });
	await checkStored(response, 'killed', { fetch });
	await chat.turn({ input: 'go on', previous_response_id: id });
	assert.deepEqual(shown(upstream.asked('go on')[0]), [
		{ role: 'user', content: 'killed' },
		{ role: 'assistant', content: 'I go onNo' },
		{ role: 'user', content: 'go on' },
	]);
	await chat.close();
});
