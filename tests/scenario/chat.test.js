// POST /v1/chat/completions with the OpenAI SDK for Node, unmodified: what only knows Chat Completions gets its answer from
// the same engine.
import assert from 'node:assert/strict';
import { checkError } from '../lib/check.js';
import { canary } from '../lib/random.js';
import { openai } from '../lib/sdk.js';
import { startServer } from '../lib/server.js';
import { eventually, setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply, startUpstream } from '../lib/upstream.js';

let client;
const stage = setup({}, async ({ server, key }) => {
	client = openai(server, key);
});

const user = (content) => ({ role: 'user', content });
const ask = (content, more) => client.chat.completions.create({ model: 'fake', messages: [user(content)], ...more });

/** All chunks of a stream, which must be of one completion and end with its reason (and what it cost). */
async function chunksOf(content, more = {}) {
	const chunks = [];
	for await (const chunk of await ask(content, { stream: true, ...more })) {
		chunks.push(chunk);
	}
	assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
	assert.match(chunks[0].id, /^chatcmpl-[0-9a-f]{40}$/);
	assert.deepEqual(chunks[0].choices[0].delta, { role: 'assistant', content: '' });
	for (const chunk of chunks) {
		assert.equal(chunk.object, 'chat.completion.chunk');
		assert.equal(chunk.model, 'fake');
	}
	return chunks;
}

const deltas = (chunks) => chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));

/** A reply that sends these deltas and this reason. */
const sends =
	(pieces, finish = 'stop') =>
	async (x) => {
		for (const piece of pieces) {
			await x.write(x.event(piece));
		}
		await x.finish(finish, { input: 7, output: 3 });
		await x.done();
	};

test('a completion is the whole answer and what it cost', async () => {
	const completion = await ask('the whole');
	assert.match(completion.id, /^chatcmpl-[0-9a-f]{40}$/);
	const { id: _, created, _request_id, ...rest } = completion;
	assert.ok(Math.abs(created - Date.now() / 1000) < 60);
	assert.match(_request_id, /\S/);
	assert.deepEqual(rest, {
		object: 'chat.completion',
		model: 'fake',
		service_tier: 'default',
		system_fingerprint: null,
		choices: [
			{
				index: 0,
				message: { role: 'assistant', content: 'You said: the whole', refusal: null },
				logprobs: null,
				finish_reason: 'stop',
			},
		],
		usage: {
			prompt_tokens: 7,
			completion_tokens: 3,
			total_tokens: 10,
			prompt_tokens_details: { cached_tokens: 0 },
			completion_tokens_details: { reasoning_tokens: 0 },
		},
	});
});

test('a stream gives its pieces as they come, its reason, and its cost when that is asked for', async () => {
	const held = gate();
	stage.upstream.on('in pieces', reply.pauses('now', held, ' then'));
	const texts = [];
	for await (const chunk of await ask('in pieces', { stream: true })) {
		texts.push(chunk.choices[0].delta.content);
		assert.equal('usage' in chunk, false);
		if (chunk.choices[0].delta.content === 'now') {
			held.open();
		}
	}
	assert.deepEqual(texts, ['', 'now', ' then', undefined]);
	const chunks = await chunksOf('with its cost', { stream_options: { include_usage: true } });
	const last = chunks.pop();
	assert.deepEqual(last.choices, []);
	assert.equal(last.usage.total_tokens, 10);
	assert.ok(chunks.every(({ usage }) => usage === null));
	assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
	assert.deepEqual(chunks.at(-1).choices[0].delta, {});
});

test('deltas are padded when that is asked for', async () => {
	const chunks = await chunksOf('padded', { stream_options: { include_obfuscation: true } });
	const padded = chunks.filter(({ obfuscation }) => obfuscation);
	assert.equal(padded.map(({ choices }) => choices[0].delta.content).join(''), 'You said: padded');
	assert.ok(padded.every((chunk) => JSON.stringify(chunk).length % 32 === 0));
});

test("on the wire a stream is lines of data, and [DONE]; the SDK's helper assembles it", async () => {
	const answer = await stage.fetch('/v1/chat/completions', { body: { messages: [user('on the wire')], stream: true } });
	assert.match(answer.headers.get('content-type'), /^text\/event-stream/);
	assert.ok(answer.headers.get('x-ratelimit-limit-requests'));
	const lines = (await answer.text()).split('\n\n');
	assert.equal(lines.pop(), '');
	assert.equal(lines.pop(), 'data: [DONE]');
	assert.ok(lines.every((line) => line.startsWith('data: {"id":"chatcmpl-')), lines.join('\n'));
	const helper = client.chat.completions.stream({ model: 'fake', messages: [user('with the helper')] });
	assert.equal(await helper.finalContent(), 'You said: with the helper');
});

test('what the client says reaches the model as it was said', async () => {
	const settings = {
		temperature: 0.5,
		top_p: 0.9,
		presence_penalty: 0.1,
		frequency_penalty: -0.1,
		seed: 7,
		stop: ['END', '\n\n'],
		logit_bias: { 50256: -100 },
		user: 'somebody',
		reasoning_effort: 'low',
		verbosity: 'low',
		safety_identifier: 'safe',
		prompt_cache_key: 'cache',
		response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: { type: 'object' }, strict: true } },
	};
	await client.chat.completions.create({
		model: 'fake',
		messages: [
			{ role: 'system', content: 'Be brief.' },
			user([{ type: 'text', text: 'One ' }, { type: 'text', text: 'text' }]),
			{ role: 'assistant', content: 'Yes.', refusal: null },
			user('as it was said'),
		],
		max_completion_tokens: 5,
		n: 1,
		...settings,
	});
	const { messages, max_tokens, stream, stream_options, model, ...rest } = stage.upstream.asked('as it was said')[0].body;
	assert.deepEqual(messages, [
		{ role: 'system', content: 'Be brief.' },
		{ role: 'user', content: 'One text' },
		{ role: 'assistant', content: 'Yes.' },
		{ role: 'user', content: 'as it was said' },
	]);
	assert.equal(max_tokens, 5);
	assert.equal(stream && stream_options.include_usage, true, 'the model is always asked to stream');
	assert.equal(model, 'fake');
	assert.deepEqual(rest, settings);
});

test('images and files are passed on; what is text in them, as text', async () => {
	const png = 'data:image/png;base64,iVBORw0KGgo=';
	const text = Buffer.from('words in a file').toString('base64');
	await ask([
		{ type: 'text', text: 'look at this' },
		{ type: 'image_url', image_url: { url: png, detail: 'low' } },
		{ type: 'file', file: { filename: 'a.txt', file_data: `data:text/plain;base64,${text}` } },
	]);
	assert.deepEqual(stage.upstream.asked('look at this')[0].messages[0].content, [
		{ type: 'text', text: 'look at this' },
		{ type: 'image_url', image_url: { url: png, detail: 'low' } },
		{ type: 'text', text: 'File a.txt:\n\nwords in a file' },
	]);
});

const weather = {
	type: 'function',
	function: { name: 'weather', description: 'Of a city', parameters: { type: 'object' }, strict: true },
};
const call = (index, id, args) => ({ tool_calls: [{ index, id, type: 'function', function: { name: 'weather', arguments: args } }] });
const goesOn = (index, args) => ({ tool_calls: [{ index, function: { arguments: args } }] });

test('tools are called and their outputs sent back, streamed and not', async () => {
	const pieces = [
		{ content: 'Let me see.' },
		call(0, 'call_a', ''),
		goesOn(0, '{"city":'),
		goesOn(0, '"Rome"}'),
		call(1, 'call_b', '{"city":"Oslo"}'),
	];
	stage.upstream.on((x) => x.question === 'in both cities' && x.messages.at(-1).role === 'user', sends(pieces, 'tool_calls'));
	const options = { tools: [weather], tool_choice: 'required', parallel_tool_calls: true };
	const completion = await ask('in both cities', options);
	const [{ message, finish_reason }] = completion.choices;
	assert.equal(finish_reason, 'tool_calls');
	assert.deepEqual(message, {
		role: 'assistant',
		content: 'Let me see.',
		refusal: null,
		tool_calls: [
			{ id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } },
			{ id: 'call_b', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
		],
	});
	const asked = stage.upstream.asked('in both cities')[0].body;
	assert.deepEqual(asked.tools, [weather]);
	assert.equal(asked.tool_choice, 'required');
	assert.equal(asked.parallel_tool_calls, true);

	const chunks = await chunksOf('in both cities', options);
	const said = deltas(chunks).flatMap(({ tool_calls }) => tool_calls ?? []);
	assert.deepEqual(
		said.filter(({ id }) => id),
		[
			{ index: 0, id: 'call_a', type: 'function', function: { name: 'weather', arguments: '' } },
			{ index: 1, id: 'call_b', type: 'function', function: { name: 'weather', arguments: '' } },
		],
	);
	for (const [index, args] of ['{"city":"Rome"}', '{"city":"Oslo"}'].entries()) {
		const own = said.filter((piece) => piece.index === index);
		assert.equal(own.map((piece) => piece.function.arguments).join(''), args);
	}
	assert.equal(chunks.at(-1).choices[0].finish_reason, 'tool_calls');
	const helper = client.chat.completions.stream({ model: 'fake', messages: [user('in both cities')], ...options });
	assert.deepEqual((await helper.finalMessage()).tool_calls.length, 2);

	// The message goes back as it came.
	const output = (id, content) => ({ role: 'tool', tool_call_id: id, content });
	const messages = [user('in both cities'), message, output('call_a', 'sun'), output('call_b', [{ type: 'text', text: 'snow' }])];
	await client.chat.completions.create({ model: 'fake', messages, tools: [weather] });
	const { refusal: _, ...plain } = message;
	assert.deepEqual(stage.upstream.asked('in both cities').at(-1).messages, [
		user('in both cities'),
		plain,
		output('call_a', 'sun'),
		output('call_b', 'snow'),
	]);
});

test('allowed_tools restricts what the model is shown; a function can be forced', async () => {
	const other = { type: 'function', function: { name: 'time' } };
	const tools = [weather, other];
	const allowed = { mode: 'required', tools: [{ type: 'function', function: { name: 'weather' } }] };
	stage.upstream.on('restricted', sends([call(0, 'call_c', '{}')], 'tool_calls'));
	const choice = { type: 'allowed_tools', allowed_tools: allowed };
	await ask('restricted', { tools, tool_choice: choice });
	const [, first] = deltas(await chunksOf('restricted', { tools, tool_choice: choice }));
	assert.equal(first.tool_calls[0].id, 'call_c', 'a call may be the first that is said');
	const { body } = stage.upstream.asked('restricted')[0];
	assert.deepEqual([body.tools, body.tool_choice], [[weather], 'required']);
	const forced = { type: 'function', function: { name: 'weather' } };
	await ask('restricted by name', { tools, tool_choice: forced });
	assert.deepEqual(stage.upstream.asked('restricted by name')[0].body.tool_choice, forced);
});

test('reasoning, a refusal, probabilities and citations are there, streamed and not', async () => {
	const logprob = { token: 'Yes', logprob: -0.5, bytes: [89, 101, 115], top_logprobs: [] };
	const citation = { type: 'url_citation', url_citation: { url: 'https://a.example', title: 'A', start_index: 0, end_index: 3 } };
	stage.upstream.on('every kind', async (x) => {
		await x.write(x.event({ reasoning_content: 'Hm' }));
		await x.write(x.event({ reasoning_content: '...' }));
		await x.write(
			x.event({ content: 'Yes' }).replace('"finish_reason":null', `"finish_reason":null,"logprobs":${JSON.stringify({ content: [logprob] })}`),
		);
		await x.write(x.event({ annotations: [citation] }));
		await x.finish('stop', { input: 7, output: 3 });
		await x.done();
	});
	const options = { logprobs: true, top_logprobs: 0 };
	const { choices } = await ask('every kind', options);
	const { message, logprobs } = choices[0];
	assert.equal(message.reasoning_content, 'Hm...');
	assert.equal(message.content, 'Yes');
	assert.deepEqual(message.annotations, [citation]);
	assert.deepEqual(logprobs.content, [logprob]);
	assert.equal(stage.upstream.asked('every kind')[0].body.logprobs, true);
	const chunks = await chunksOf('every kind', options);
	const pieces = deltas(chunks);
	assert.equal(pieces.map(({ reasoning_content }) => reasoning_content ?? '').join(''), 'Hm...');
	assert.equal(pieces.map(({ content }) => content ?? '').join(''), 'Yes');
	assert.deepEqual(pieces.flatMap(({ annotations }) => annotations ?? []), [citation]);
	assert.deepEqual(chunks.flatMap((chunk) => chunk.choices[0].logprobs?.content ?? []), [logprob]);
	// All of it goes back.
	await client.chat.completions.create({ model: 'fake', messages: [user('first'), message, user('sent back')] });
	const [, back] = stage.upstream.asked('sent back')[0].messages;
	assert.equal(back.content, 'Yes');

	stage.upstream.on('refuse this', sends([{ refusal: 'I ' }, { refusal: 'will not.' }]));
	const refused = (await ask('refuse this')).choices[0].message;
	assert.deepEqual([refused.content, refused.refusal], [null, 'I will not.']);
	const refusals = deltas(await chunksOf('refuse this')).map(({ refusal }) => refusal ?? '');
	assert.equal(refusals.join(''), 'I will not.');
});

test('an answer that was cut short says why', async () => {
	for (const reason of ['length', 'content_filter']) {
		stage.upstream.on(`cut by ${reason}`, reply.says('As far as', { finish: reason }));
		const [choice] = (await ask(`cut by ${reason}`)).choices;
		assert.deepEqual([choice.message.content, choice.finish_reason], ['As far as', reason]);
		const chunks = await chunksOf(`cut by ${reason}`);
		assert.equal(chunks.at(-1).choices[0].finish_reason, reason);
	}
});

/** The error that the SDK throws. */
const failure = async (asking) => {
	try {
		await asking;
	} catch (error) {
		return error;
	}
	assert.fail('no error was thrown');
};

test('what fails before a word is an HTTP error, for a stream too; what fails later ends the stream with one', async () => {
	stage.upstream.on('fails at once', reply.fails(400, { message: 'not to my liking' }));
	for (const stream of [false, true]) {
		const error = await failure(ask('fails at once', { stream }));
		assert.equal(error.status, 400);
		assert.equal(error.code, 'upstream_rejected');
		assert.match(error.message, /not to my liking/);
	}
	const tooLarge = { message: 'maximum context length is 9', code: 'context_length_exceeded' };
	stage.upstream.on('far too large', reply.fails(400, tooLarge));
	const large = await failure(ask('far too large'));
	assert.deepEqual([large.status, large.code, large.param], [400, 'context_length_exceeded', 'messages']);
	stage.upstream.on('fails later', async (x) => {
		await x.say('Some ');
		await x.say('words');
		x.cut();
	});
	const whole = await failure(ask('fails later'));
	assert.equal(whole.status, 502);
	assert.equal(whole.code, 'upstream_failed');
	assert.equal(whole.headers.get('x-should-retry'), 'false');
	const words = [];
	const broken = await failure(
		(async () => {
			for await (const chunk of await ask('fails later', { stream: true })) {
				words.push(chunk.choices[0].delta.content ?? '');
			}
		})(),
	);
	assert.equal(words.join(''), 'Some words');
	assert.equal(broken.code, 'upstream_failed');
	const raw = await stage.fetch('/v1/chat/completions', { body: { messages: [user('fails later')], stream: true } });
	const lines = (await raw.text()).trim().split('\n\n');
	assert.equal(lines.pop(), 'data: [DONE]');
	const last = JSON.parse(lines.pop().slice('data: '.length));
	checkError(last, { code: 'upstream_failed' });
});

test('what is not understood is refused by its name', async () => {
	const cases = [
		[{ colour: 'red' }, 'unknown_parameter', 'colour'],
		[{ functions: [] }, 'unsupported_parameter', 'functions'],
		[{ n: 2 }, 'unsupported_parameter', 'n'],
		[{ max_tokens: 0 }, 'invalid_value', 'max_tokens'],
		[{ messages: [] }, 'invalid_value', 'messages'],
		[{ messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: {} }] }] }, 'unsupported_parameter', 'messages[0].content[0].type'],
		[{ tool_choice: { type: 'function', function: { name: 'f' } } }, 'invalid_value', 'tool_choice.function.name'],
	];
	for (const [body, code, param] of cases) {
		const error = await failure(ask('never asked', body));
		assert.equal(error.status, 400);
		assert.deepEqual([error.code, error.param], [code, param]);
	}
	assert.equal(stage.upstream.asked('never asked').length, 0);
	const unknown = await failure(ask('of a stranger', { model: 'stranger' }));
	assert.deepEqual([unknown.status, unknown.code, unknown.param], [404, 'model_not_found', 'model']);
	assert.equal((await failure(openai(stage.server, 'wrong').chat.completions.create({ model: 'fake', messages: [user('x')] }))).status, 401);
});

test('a client that leaves stops the model, streamed and not', async () => {
	stage.upstream.on('left alone', reply.stalls('Some words'));
	const stream = await ask('left alone', { stream: true });
	for await (const chunk of stream) {
		if (chunk.choices[0].delta.content) {
			break; // which closes it
		}
	}
	await (await stage.upstream.request('left alone')).hungUp();
	const abort = new AbortController();
	const waiting = failure(client.chat.completions.create({ model: 'fake', messages: [user('left waiting')] }, { signal: abort.signal }));
	stage.upstream.on('left waiting', reply.stalls('Some words'));
	const asked = await stage.upstream.request('left waiting');
	abort.abort();
	await waiting;
	await asked.hungUp();
});

test('what this model alone cannot do is refused by the name that the field has here', async (t) => {
	const server = await startServer({
		upstream: stage.upstream,
		settings: { upstream: { images: 'no', tools: 'no', reasoning: 'no' }, limits: { heartbeat_interval: '200ms' } },
	});
	t.after(async () => {
		await server.stop();
		await server.remove();
	});
	const key = await server.createKey('ada');
	const image = [{ type: 'image_url', image_url: { url: 'https://images.test/a.png' } }];
	for (const [param, body] of [
		['messages', { messages: [user(image)] }],
		['tools', { tools: [weather] }],
		['reasoning_effort', { reasoning_effort: 'high' }],
	]) {
		for (const stream of [false, true]) {
			const asking = { model: 'fake', messages: [user('of this model')], ...body, stream };
			const error = await failure(openai(server, key).chat.completions.create(asking));
			assert.deepEqual([error.status, error.code, error.param], [400, 'unsupported_parameter', param]);
		}
	}
	assert.equal(stage.upstream.asked('of this model').length, 0);

	// Silence is broken by comments; what fails behind one is an error in the stream.
	const held = gate();
	stage.upstream.on('silent, then failed', async (x) => {
		await held.passed;
		await reply.fails(400)(x);
	});
	const body = { messages: [user('silent, then failed')], stream: true };
	const answer = await server.fetch('/v1/chat/completions', { key, body });
	assert.equal(answer.status, 200);
	let text = '';
	for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
		text += piece;
		if (text.includes(': heartbeat\n\n')) {
			held.open();
		}
	}
	const lines = text.split('\n\n').filter((line) => line && line !== ': heartbeat');
	assert.equal(lines.length, 2, text);
	checkError(JSON.parse(lines[0].slice('data: '.length)), { code: 'upstream_rejected' });
	assert.equal(lines[1], 'data: [DONE]');
});

test('a stored answer that is cancelled is an error, streamed and not', async () => {
	stage.upstream.on('cancelled from elsewhere', reply.stalls('Some words'));
	const cancel = (id) => stage.fetch(`/v1/responses/${id}/cancel`, { method: 'POST' });
	const cancelled = new Set();
	const broken = await failure(
		(async () => {
			for await (const chunk of await ask('cancelled from elsewhere', { store: true, stream: true })) {
				const id = chunk.id.replace('chatcmpl-', 'resp_');
				if (chunk.choices[0].delta.content) {
					cancelled.add(id);
					assert.equal((await cancel(id)).status, 200);
				}
			}
		})(),
	);
	assert.equal(broken.code, 'response_not_active');
	const waiting = failure(ask('cancelled from elsewhere', { store: true }));
	const read = async (target) => (await (await stage.fetch(target)).json()).data;
	const newest = async () => {
		const [{ id }] = await read('/v1/conversations?limit=1');
		return (await read(`/v1/conversations/${id}/items`))[0]['sluice:response_id'];
	};
	const id = await eventually(newest, (found) => !cancelled.has(found));
	assert.equal((await cancel(id)).status, 200);
	const error = await waiting;
	assert.deepEqual([error.status, error.code], [409, 'response_not_active']);
	assert.equal(error.headers.get('x-should-retry'), 'false');
});

test('a repeated request with store: true gets the first answer, in either form', async () => {
	const body = { messages: [user('twice')], store: true };
	const headers = { 'idempotency-key': 'chat-twice' };
	const first = await (await stage.fetch('/v1/chat/completions', { body, headers })).json();
	const second = await (await stage.fetch('/v1/chat/completions', { body, headers })).json();
	assert.deepEqual(second, first);
	const streamed = await (await stage.fetch('/v1/chat/completions', { body: { ...body, stream: true }, headers })).text();
	const said = streamed
		.trim()
		.split('\n\n')
		.slice(0, -1)
		.map((line) => JSON.parse(line.slice('data: '.length)));
	assert.equal(said.map(({ choices }) => choices[0].delta.content ?? '').join(''), 'You said: twice');
	assert.equal(said[0].id, first.id);
	assert.equal(stage.upstream.asked('twice').length, 1);
});

test('nothing is stored unless it is asked for; then it is a response like any other', async (t) => {
	const upstream = await startUpstream();
	const server = await startServer({ upstream });
	t.after(async () => {
		await server.remove();
		await upstream.stop();
	});
	const key = await server.createKey('ada');
	const own = openai(server, key);
	const words = { question: canary(), answer: canary(), streamed: canary() };
	upstream.on(words.question, reply.says(['It is ', words.answer]));
	const messages = [user(words.question)];
	const completion = await own.chat.completions.create({ model: 'fake', messages });
	for await (const _ of await own.chat.completions.create({ model: 'fake', messages: [user(words.streamed)], stream: true })) {
		// to its end
	}
	const list = async () => (await (await server.fetch('/v1/conversations', { key })).json()).data;
	assert.deepEqual(await list(), []);
	const id = completion.id.replace('chatcmpl-', 'resp_');
	assert.equal((await server.fetch(`/v1/responses/${id}`, { key })).status, 404);
	assert.deepEqual((await server.find(id)).filter((name) => name !== 'log'), []);
	for (const [name, word] of Object.entries(words)) {
		assert.deepEqual(await server.find(word), [], name);
	}

	const stored = await own.chat.completions.create({ model: 'fake', messages, store: true, metadata: { a: 'b' }, max_tokens: 16 });
	const response = await own.responses.retrieve(stored.id.replace('chatcmpl-', 'resp_'));
	assert.equal(response.output_text, `It is ${words.answer}`);
	assert.deepEqual(response.metadata, { a: 'b' });
	assert.equal(response.max_output_tokens, 16);
	assert.equal((await list()).length, 1);
	const next = await own.responses.create({ model: 'fake', input: 'and on', previous_response_id: response.id });
	assert.equal(next.output_text, 'You said: and on');
	await server.stop();
	for (const [name, word] of Object.entries(words)) {
		assert.deepEqual(await server.find(word), [], `${name}, after the server has stopped`);
	}
});
