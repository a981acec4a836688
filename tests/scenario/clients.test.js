// Clients that others wrote, unmodified: the OpenAI SDK, the AI SDK with its Open Responses provider and its provider for
// servers that know only Chat Completions, and a client that speaks as Codex does.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { createOpenResponses } from '@ai-sdk/open-responses';
import { generateText, isStepCount, Output, streamText, tool } from 'ai';
import { zodTextFormat } from 'openai/helpers/zod';
import WebSocket from 'ws';
import { z } from 'zod';
import { openai, responsesWS } from '../lib/sdk.js';
import { startServer, within } from '../lib/server.js';
import { eventually, setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';

let client;
let vercel;
let old;
const stage = setup({}, async ({ server, key }) => {
	const headers = { Authorization: `Bearer ${key}` };
	client = openai(server, key);
	vercel = createOpenResponses({ name: 'sluice', url: `${server.url}/v1/responses`, headers })('fake');
	old = createOpenAICompatible({ name: 'sluice', baseURL: `${server.url}/v1`, headers })('fake');
});

const WEATHER = {
	type: 'function',
	name: 'weather',
	description: 'The weather of a place.',
	parameters: { type: 'object', properties: { place: { type: 'string' } }, required: ['place'], additionalProperties: false },
	strict: true,
};

/** The model calls functions, each [name, arguments in pieces], at the same time. */
const calls =
	(...list) =>
	async (x) => {
		const call = (index, more) => x.write(x.event({ tool_calls: [{ index, ...more }] }));
		for (const [index, [name]] of list.entries()) {
			await call(index, { id: `call_${index}`, type: 'function', function: { name, arguments: '' } });
		}
		for (const [index, [, ...pieces]] of list.entries()) {
			for (const piece of pieces) {
				await call(index, { function: { arguments: piece } });
			}
		}
		await x.finish('tool_calls', { input: 7, output: 3 });
		await x.done();
	};

/** The model thinks, and then says something. */
const thinks =
	(thought, text) =>
	async (x) => {
		for (const piece of thought) {
			await x.write(x.event({ reasoning_content: piece }));
		}
		await reply.says(text)(x);
	};

const asked = (text) => stage.upstream.asked(text);
const all = async (iterable) => {
	const list = [];
	for await (const one of iterable) {
		list.push(one);
	}
	return list;
};

// --- the OpenAI SDK: responses ----------------------------------------------------------------------------------------

test('openai: a function is called, its output sent back, and the model answers with it', async () => {
	stage.upstream.on('weather at the lock', calls(['weather', '{"place":', '"lock"}']), reply.says('It rains.'));
	const first = await client.responses.create({ model: 'fake', input: 'weather at the lock', tools: [WEATHER] });
	const [call] = first.output;
	assert.equal(first.status, 'completed');
	assert.deepEqual([call.type, call.name, call.arguments], ['function_call', 'weather', '{"place":"lock"}']);
	const second = await client.responses.create({
		model: 'fake',
		previous_response_id: first.id,
		input: [{ type: 'function_call_output', call_id: call.call_id, output: 'rain' }],
		tools: [WEATHER],
	});
	assert.equal(second.output_text, 'It rains.');
	const [{ body: asking }, { body: telling }] = asked('weather at the lock');
	assert.equal(asking.tools[0].function.name, 'weather');
	assert.deepEqual(asking.tools[0].function.parameters, WEATHER.parameters);
	assert.deepEqual(telling.messages.map(({ role }) => role), ['user', 'assistant', 'tool']);
	assert.equal(telling.messages[1].tool_calls[0].function.arguments, '{"place":"lock"}');
	assert.deepEqual([telling.messages[2].tool_call_id, telling.messages[2].content], [call.call_id, 'rain']);
});

test('openai: two functions at once, their arguments streamed', async () => {
	stage.upstream.on('two places', calls(['weather', '{"place":', '"a"}'], ['weather', '{"place":"b"}']));
	const stream = client.responses.stream({ model: 'fake', input: 'two places', tools: [WEATHER] });
	const pieces = {};
	stream.on('response.function_call_arguments.delta', ({ output_index: at, delta }) => (pieces[at] = (pieces[at] ?? '') + delta));
	const { output } = await stream.finalResponse();
	assert.deepEqual(output.map((call) => call.arguments), ['{"place":"a"}', '{"place":"b"}']);
	assert.deepEqual(Object.values(pieces), ['{"place":"a"}', '{"place":"b"}']);
	assert.equal(new Set(output.map((call) => call.call_id)).size, 2);
});

test('openai: responses.parse gives what the schema says', async () => {
	stage.upstream.on('how many gates', reply.says(['{"gates":', '2}']));
	const format = zodTextFormat(z.object({ gates: z.number() }), 'count');
	const response = await client.responses.parse({ model: 'fake', input: 'how many gates', text: { format } });
	assert.deepEqual(response.output_parsed, { gates: 2 });
	const [{ body }] = asked('how many gates');
	assert.equal(body.response_format.type, 'json_schema');
	assert.deepEqual(body.response_format.json_schema.schema, format.schema);
	assert.equal(body.response_format.json_schema.name, 'count');
	assert.deepEqual(response.text.format.schema, format.schema);
});

test('openai: reasoning is an item of its own, sealed for those who ask, and is sent back as it came', async () => {
	stage.upstream.on('think about it', thinks(['first ', 'this'], 'Done.'), reply.says('Again.'));
	const first = await client.responses.create({
		model: 'fake',
		input: 'think about it',
		store: false,
		include: ['reasoning.encrypted_content'],
		reasoning: { effort: 'low', summary: 'auto' },
	});
	const [thought, message] = first.output;
	assert.equal(thought.type, 'reasoning');
	assert.equal(thought.content[0].text, 'first this');
	assert.match(thought.encrypted_content, /\S/);
	assert.equal(message.content[0].text, 'Done.');
	assert.equal(asked('think about it')[0].body.reasoning_effort, 'low');
	const question = { role: 'user', content: 'think about it' };
	const again = { role: 'user', content: 'think about it again' };
	const second = await client.responses.create({ model: 'fake', input: [question, ...first.output, again], store: false });
	assert.equal(second.output_text, 'Again.');
});

test('openai: a background response is polled until it has ended', async () => {
	const held = gate();
	stage.upstream.on('in the background', reply.pauses('slowly', held, ' done'));
	const begun = await client.responses.create({ model: 'fake', input: 'in the background', background: true });
	assert.equal(begun.status, 'in_progress');
	assert.equal(begun.background, true);
	held.open();
	const ended = await eventually(
		() => client.responses.retrieve(begun.id),
		({ status }) => status !== 'in_progress',
	);
	assert.equal(ended.output_text, 'slowly done');
});

test('openai: input items, token counts and compaction', async () => {
	const first = await client.responses.create({ model: 'fake', input: 'much was said' });
	const items = await all(client.responses.inputItems.list(first.id));
	assert.deepEqual(items.map(({ role, content }) => [role, content[0].text]), [['user', 'much was said']]);
	const { object, input_tokens: tokens } = await client.responses.inputTokens.count({ model: 'fake', input: 'much was said' });
	assert.equal(object, 'response.input_tokens');
	assert.ok(tokens > 0);
	const compacted = await client.responses.compact({ model: 'fake', previous_response_id: first.id });
	assert.equal(compacted.object, 'response.compaction');
	const input = [...compacted.output, { role: 'user', content: 'go on from there' }];
	const next = await client.responses.create({ model: 'fake', input });
	assert.equal(next.output_text, 'You said: go on from there');
});

// --- the OpenAI SDK: conversations, models, Chat Completions ----------------------------------------------------------

test('openai: conversations hold what is put in and what is said', async () => {
	const items = [{ type: 'message', role: 'user', content: 'before' }];
	const made = await client.conversations.create({ metadata: { topic: 'locks' }, items });
	assert.equal(made.object, 'conversation');
	assert.deepEqual((await client.conversations.retrieve(made.id)).metadata, { topic: 'locks' });
	const response = await client.responses.create({ model: 'fake', conversation: made.id, input: 'in it' });
	assert.equal(response.conversation.id, made.id);
	assert.deepEqual(asked('in it')[0].messages.map(({ content }) => content), ['before', 'in it']);
	const texts = async () =>
		(await all(client.conversations.items.list(made.id, { order: 'asc' }))).map(({ content }) => content[0].text);
	assert.deepEqual(await texts(), ['before', 'in it', 'You said: in it']);
	const added = await client.conversations.items.create(made.id, { items: [{ type: 'message', role: 'user', content: 'added' }] });
	const [{ id }] = added.data;
	assert.equal((await client.conversations.items.retrieve(id, { conversation_id: made.id })).content[0].text, 'added');
	await client.conversations.items.delete(id, { conversation_id: made.id });
	assert.deepEqual(await texts(), ['before', 'in it', 'You said: in it']);
	assert.deepEqual((await client.conversations.update(made.id, { metadata: { topic: 'weirs' } })).metadata, { topic: 'weirs' });
	assert.equal((await client.conversations.delete(made.id)).deleted, true);
	await assert.rejects(client.conversations.retrieve(made.id), { status: 404, code: 'conversation_not_found' });
});

test('openai: models are listed and described', async () => {
	const [{ id }] = (await client.models.list()).data;
	assert.equal((await client.models.retrieve(id)).id, id);
	await assert.rejects(client.models.retrieve('no-such-model'), { status: 404, code: 'model_not_found' });
});

test('openai: Chat Completions, whole and streamed, with a function', async () => {
	const messages = [
		{ role: 'system', content: 'Be brief.' },
		{ role: 'user', content: 'chat as of old' },
	];
	const whole = await client.chat.completions.create({ model: 'fake', messages });
	assert.equal(whole.choices[0].message.content, 'You said: chat as of old');
	assert.equal(whole.choices[0].finish_reason, 'stop');
	assert.equal(whole.usage.total_tokens, 10);
	const chunks = await all(await client.chat.completions.create({ model: 'fake', messages, stream: true }));
	assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''), 'You said: chat as of old');
	stage.upstream.on('chat with a tool', calls(['weather', '{"place":', '"a"}']));
	const { name, description, parameters } = WEATHER;
	const called = await client.chat.completions.create({
		model: 'fake',
		messages: [{ role: 'user', content: 'chat with a tool' }],
		tools: [{ type: 'function', function: { name, description, parameters } }],
	});
	assert.equal(called.choices[0].finish_reason, 'tool_calls');
	assert.equal(called.choices[0].message.tool_calls[0].function.arguments, '{"place":"a"}');
});

test('openai: ResponsesWS calls a function and goes on in the same connection, unstored', async () => {
	stage.upstream.on('socket tool', calls(['weather', '{"place":"a"}']), reply.says('Dry.'));
	const ws = responsesWS(stage.server, stage.key);
	const turn = (request) => {
		const ended = new Promise((resolve, reject) => {
			ws.once('response.completed', ({ response }) => resolve(response));
			ws.once('error', reject);
		});
		ws.send({ type: 'response.create', model: 'fake', store: false, tools: [WEATHER], ...request });
		return within(30_000, ended, 'the end of the turn');
	};
	const first = await turn({ input: 'socket tool' });
	const [{ call_id: call }] = first.output;
	const input = [{ type: 'function_call_output', call_id: call, output: 'dry' }];
	const second = await turn({ input, previous_response_id: first.id });
	assert.equal(second.output[0].content[0].text, 'Dry.');
	ws.close();
});

test('openai: a response in flight is steered, and its successor answers', async () => {
	const held = gate();
	stage.upstream.on('to be steered', reply.pauses('One ', held, 'two'));
	stage.upstream.on('the other way', reply.says('Turned.'));
	const ws = responsesWS(stage.server, stage.key);
	const next = (type) => within(30_000, new Promise((resolve) => ws.once(type, resolve)), type);
	const delta = next('response.output_text.delta');
	ws.send({ type: 'response.create', model: 'fake', input: 'to be steered' });
	const { response } = await next('response.created');
	await delta;
	const [accepted, cut, successor, ended] = [
		next('response.steer.accepted'),
		next('response.incomplete'),
		next('response.created'),
		next('response.completed'),
	];
	ws.send({ type: 'response.steer', previous_response_id: response.id, input: 'the other way' });
	assert.equal((await accepted).steer.previous_response_id, response.id);
	held.open();
	assert.equal((await cut).response.incomplete_details.reason, 'steered');
	assert.equal((await successor).response.previous_response_id, response.id);
	assert.equal((await ended).response.output[0].content[0].text, 'Turned.');
	ws.close();
});

// --- the AI SDK -------------------------------------------------------------------------------------------------------

const weather = (said) =>
	tool({
		description: WEATHER.description,
		inputSchema: z.object({ place: z.string() }),
		execute: async ({ place }) => said(place),
	});

test('ai with open-responses: generateText and streamText', async () => {
	const { text, usage, finishReason } = await generateText({ model: vercel, prompt: 'generated', system: 'Be brief.' });
	assert.equal(text, 'You said: generated');
	assert.deepEqual([usage.inputTokens, usage.outputTokens, finishReason], [7, 3, 'stop']);
	assert.deepEqual(asked('generated')[0].messages[0], { role: 'system', content: 'Be brief.' });
	const stream = streamText({ model: vercel, prompt: 'streamed' });
	assert.equal((await all(stream.textStream)).join(''), 'You said: streamed');
	assert.equal(await stream.finishReason, 'stop');
});

test('ai with open-responses: a conversation is sent back as it came', async () => {
	const first = await generateText({ model: vercel, prompt: 'sent once' });
	const messages = [{ role: 'user', content: 'sent once' }, ...first.response.messages, { role: 'user', content: 'sent twice' }];
	const second = await generateText({ model: vercel, messages });
	assert.equal(second.text, 'You said: sent twice');
	assert.deepEqual(asked('sent twice')[0].messages.map(({ role }) => role), ['user', 'assistant', 'user']);
});

for (const [how, ask] of [
	['generateText', (options) => generateText(options)],
	['streamText', (options) => streamText(options)],
]) {
	test(`ai with open-responses: ${how} calls a tool and answers with what it gave`, async () => {
		stage.upstream.on(`vercel ${how}`, calls(['weather', '{"place":', '"lock"}']), reply.says('It is wet.'));
		const places = [];
		const tools = { weather: weather((place) => (places.push(place), 'wet')) };
		const result = await ask({ model: vercel, prompt: `vercel ${how}`, tools, stopWhen: isStepCount(3) });
		assert.equal(await result.text, 'It is wet.');
		assert.deepEqual(places, ['lock']);
		const [, { messages }] = asked(`vercel ${how}`);
		assert.deepEqual(messages.map(({ role }) => role), ['user', 'assistant', 'tool']);
		assert.equal(messages[2].content, 'wet');
	});
}

test('ai with open-responses: structured output', async () => {
	stage.upstream.on('vercel counts', reply.says('{"gates":2}'));
	const output = Output.object({ schema: z.object({ gates: z.number() }) });
	const result = await generateText({ model: vercel, prompt: 'vercel counts', output });
	assert.deepEqual(result.output, { gates: 2 });
	assert.equal(asked('vercel counts')[0].body.response_format.type, 'json_schema');
});

test('ai with open-responses: reasoning comes as reasoning', async () => {
	stage.upstream.on('vercel thinks', thinks(['so ', 'it is'], 'Yes.'));
	const { text, reasoningText } = await generateText({ model: vercel, prompt: 'vercel thinks' });
	assert.deepEqual([reasoningText, text], ['so it is', 'Yes.']);
});

test('ai with openai-compatible, which knows only Chat Completions: text, stream and tool', async () => {
	assert.equal((await generateText({ model: old, prompt: 'old text' })).text, 'You said: old text');
	const stream = streamText({ model: old, prompt: 'old stream' });
	assert.equal((await all(stream.textStream)).join(''), 'You said: old stream');
	stage.upstream.on('old tool', calls(['weather', '{"place":"weir"}']), reply.says('Foggy.'));
	const tools = { weather: weather(() => 'fog') };
	const { text } = await generateText({ model: old, prompt: 'old tool', tools, stopWhen: isStepCount(3) });
	assert.equal(text, 'Foggy.');
});

// --- Codex ------------------------------------------------------------------------------------------------------------

/**
 * Speaks as Codex 0.169 with `supports_websockets = true` was seen to: it offers compression, announces the turn with a
 * request that asks for nothing, continues that one unstored, and takes what it is told from events and errors alone.
 */
class Codex {
	constructor({ server = stage.server, key = stage.key } = {}) {
		this.socket = new WebSocket(server.wsUrl, {
			perMessageDeflate: { clientMaxWindowBits: true },
			headers: {
				authorization: `Bearer ${key}`,
				originator: 'codex_exec',
				'openai-beta': 'responses_websockets=2026-02-06',
			},
		});
		this.socket.on('message', (data, isBinary) => {
			assert.equal(isBinary, false, 'a binary message ends a session of Codex');
			const event = JSON.parse(data);
			this.take?.(event);
		});
	}

	/** One turn; gives its events. Rejects with the error event. */
	async turn(request) {
		const events = [];
		const ended = new Promise((resolve, reject) => {
			this.take = (event) => {
				events.push(event);
				if (event.type === 'error') {
					reject(event);
				} else if (['response.completed', 'response.incomplete', 'response.failed'].includes(event.type)) {
					resolve(events);
				}
			};
		});
		const message = {
			type: 'response.create',
			model: 'fake',
			stream: true,
			tools: [{ ...WEATHER, name: 'exec_command', strict: false }],
			tool_choice: 'auto',
			parallel_tool_calls: true,
			reasoning: { summary: 'auto' },
			store: false,
			include: ['reasoning.encrypted_content'],
			prompt_cache_key: '01a210e1-d5ab-77e1-b5fb-4050c13620ab',
			client_metadata: { thread_id: '01a210e1-d5ab-77e1-b5fb-4050c13620ab', turn_id: '' },
			...request,
		};
		this.socket.send(JSON.stringify(message));
		const seen = await within(30_000, ended, 'the end of the turn');
		this.socket.send(JSON.stringify({ type: 'response.processed', response_id: seen.at(-1).response.id }));
		return seen;
	}
}

const says = (role, text, id) => ({ type: 'message', id, role, content: [{ type: 'input_text', text }] });

test('Codex: prewarms, asks, runs a command and goes on, all of it unstored in one connection', async () => {
	const looks = async (x) => {
		await x.write(x.event({ reasoning_content: 'look' }));
		await calls(['exec_command', '{"cmd":', '"ls"}'])(x);
	};
	stage.upstream.on('what is in this folder', looks, reply.says('Two files.'));
	const codex = new Codex();
	await once(codex.socket, 'open');
	assert.equal(codex.socket.extensions, '', 'compression is declined');
	const developer = says('developer', 'You are a coding agent.', 'msg_6e3686fd-04ee-569d-ad79-0a79b646daa0');
	const prepared = await codex.turn({ generate: false, input: [developer] });
	assert.equal(stage.upstream.asked('coding agent').length, 0);
	const asking = await codex.turn({
		previous_response_id: prepared.at(-1).response.id,
		input: [says('user', 'what is in this folder', 'msg_01a210e1-d5e9-79e2-b1ff-edf8ce3c54c3')],
	});
	const done = asking.filter(({ type }) => type === 'response.output_item.done').map(({ item }) => item);
	assert.deepEqual(done.map(({ type }) => type), ['reasoning', 'function_call']);
	assert.match(done[0].encrypted_content, /\S/);
	assert.deepEqual([done[1].name, done[1].arguments], ['exec_command', '{"cmd":"ls"}']);
	const { response } = asking.at(-1);
	assert.ok(response.usage.total_tokens > 0);
	const answering = await codex.turn({
		previous_response_id: response.id,
		input: [{ type: 'function_call_output', call_id: done[1].call_id, output: 'a\nb' }],
	});
	assert.equal(answering.at(-1).response.output.at(-1).content[0].text, 'Two files.');
	const { messages } = asked('what is in this folder')[1];
	assert.deepEqual(messages.map(({ role }) => role), ['system', 'user', 'assistant', 'tool']);
	codex.socket.close();
});

test('Codex: reads the status and the headers of an error', async () => {
	const codex = new Codex();
	await once(codex.socket, 'open');
	const missing = 'resp_0000000000000000000000000000000000000000';
	const error = await codex.turn({ previous_response_id: missing, input: [says('user', 'x')] }).catch((event) => event);
	assert.equal(error.status, 404);
	assert.equal(error.error.code, 'previous_response_not_found');
	codex.socket.close();
	const server = await startServer({ upstream: stage.upstream, settings: { limits: { requests_per_minute: 1, burst: 1 } } });
	try {
		const hasty = new Codex({ server, key: await server.createKey('ada') });
		await once(hasty.socket, 'open');
		await hasty.turn({ input: [says('user', 'in time')] });
		const limited = await hasty.turn({ input: [says('user', 'too soon')] }).catch((event) => event);
		assert.equal(limited.status, 429);
		assert.equal(limited.error.code, 'rate_limit_exceeded');
		assert.match(limited.headers['retry-after'], /^[0-9]+$/);
		hasty.socket.close();
	} finally {
		await server.remove();
	}
});
