// POST /v1/responses/compact and /v1/responses/input_tokens.
import assert from 'node:assert/strict';
import { calls, transports } from '../lib/ask.js';
import { openai } from '../lib/sdk.js';
import { startServer } from '../lib/server.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { reply } from '../lib/upstream.js';

let client;
let other; // the key of another user
const stage = setup({}, async ({ server, key }) => {
	client = openai(server, key);
	other = await server.createKey('bob');
});

const SUMMARY = 'The user is Ada. She builds a bridge of wood.';
const sums = reply.says([SUMMARY.slice(0, 20), SUMMARY.slice(20)], { usage: { input: 70, output: 12 } });

const post = async (target, body, options) => {
	const answer = await stage.fetch(target, { body, ...options });
	return { status: answer.status, headers: answer.headers, body: await answer.json() };
};
const compact = (body, options) => post('/v1/responses/compact', body, options);
const user = (content) => ({ role: 'user', content });
const SHOWN = user(`Summary of the conversation so far:\n\n${SUMMARY}`);
const lastMessages = () => stage.upstream.requests.at(-1).messages;

/** A compaction of `input`, as the SDK gives it. */
async function compacted(request) {
	stage.upstream.queue(sums);
	return client.responses.compact({ model: 'fake', ...request });
}

const TURNS = [
	user('I am Ada'),
	{ role: 'assistant', content: 'Hello Ada' },
	{ type: 'function_call', call_id: 'call_1', name: 'find', arguments: '{"what":"wood"}' },
	{ type: 'function_call_output', call_id: 'call_1', output: 'oak' },
];

test('the model is shown an instruction of ours, the conversation and the request for a summary, and no more', async () => {
	const answer = await compacted({ input: TURNS, prompt_cache_key: 'cache-1' });
	const { messages, model, prompt_cache_key, ...rest } = stage.upstream.requests.at(-1).body;
	assert.deepEqual([model, prompt_cache_key, rest], ['fake', 'cache-1', { stream: true, stream_options: { include_usage: true } }]);
	const [instruction, ...shown] = messages;
	const request = shown.pop();
	assert.equal(instruction.role, 'system');
	assert.match(instruction.content, /compact/i);
	assert.deepEqual(shown, [
		user('I am Ada'),
		{ role: 'assistant', content: 'Hello Ada', tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'find', arguments: '{"what":"wood"}' } }] },
		{ role: 'tool', tool_call_id: 'call_1', content: 'oak' },
	]);
	assert.equal(request.role, 'user');
	assert.match(request.content, /compact/i);
	const { id, object, created_at, output, usage, _request_id, ...more } = answer;
	assert.deepEqual([object, more], ['response.compaction', {}]);
	assert.match(id, /^cmpr_\w+$/);
	assert.ok(Math.abs(created_at - Date.now() / 1000) < 60);
	assert.equal(output.length, 1);
	assert.deepEqual(Object.keys(output[0]).sort(), ['encrypted_content', 'id', 'type']);
	assert.equal(output[0].type, 'compaction');
	assert.match(output[0].id, /^cmp_\w+$/);
	assert.ok(!output[0].encrypted_content.includes('Ada'));
	assert.deepEqual(usage, {
		input_tokens: 70,
		input_tokens_details: { cached_tokens: 0 },
		output_tokens: 12,
		output_tokens_details: { reasoning_tokens: 0 },
		total_tokens: 82,
	});
});

test("usage is estimated when the model's server tells none", async () => {
	stage.upstream.queue(reply.says('short'.repeat(20), { usage: null }));
	const { usage, 'sluice:estimated': estimated } = await client.responses.compact({ model: 'fake', input: 'word '.repeat(400) });
	assert.equal(estimated, true);
	assert.ok(usage.input_tokens > 500 && usage.input_tokens < 1000, JSON.stringify(usage));
	assert.equal(usage.output_tokens, 25);
});

for (const [name, ask] of Object.entries(transports)) {
	test(`over ${name} a new chain starts from it: the summary reaches the model as a message`, async () => {
		const { output } = await compacted({ input: TURNS });
		const next = await ask(stage, { input: [...output, user('which wood?')] });
		assert.equal(next.status, 200, JSON.stringify(next.error));
		assert.deepEqual(lastMessages(), [SHOWN, user('which wood?')]);
		const after = await ask(stage, { input: 'and then?', previous_response_id: next.response.id });
		assert.equal(after.status, 200);
		assert.deepEqual(lastMessages(), [SHOWN, user('which wood?'), { role: 'assistant', content: 'You said: which wood?' }, user('and then?')]);
		const asked = await (await stage.fetch(`/v1/responses/${next.response.id}/input_items?order=asc`)).json();
		assert.deepEqual(asked.data[0], output[0]);
	});
}

test('it outlives a restart, and can be compacted again', async () => {
	const { output } = await compacted({ input: TURNS });
	await stage.server.restart();
	client = openai(stage.server, stage.key);
	const again = await compacted({ input: [...output, user('of oak')] });
	assert.deepEqual(lastMessages().slice(1, -1), [SHOWN, user('of oak')]);
	assert.equal((await transports.HTTP(stage, { input: [...again.output, user('go on')] })).status, 200);
	assert.deepEqual(lastMessages(), [SHOWN, user('go on')]);
});

test('previous_response_id names what is compacted; alone, or with more input', async () => {
	const { response } = await transports.HTTP(stage, { input: 'I am Ada' });
	await compacted({ previous_response_id: response.id });
	assert.deepEqual(lastMessages().slice(1, -1), [user('I am Ada'), { role: 'assistant', content: 'You said: I am Ada' }]);
	await compacted({ previous_response_id: response.id, input: 'more' });
	assert.deepEqual(lastMessages().slice(3, -1), [user('more')]);
	const { status, body } = await compact({ previous_response_id: 'resp_unknown' });
	assert.deepEqual([status, body.error.code, body.error.param], [404, 'previous_response_not_found', 'previous_response_id']);
	const theirs = await compact({ previous_response_id: response.id }, { key: other });
	assert.deepEqual([theirs.status, theirs.body.error.code], [404, 'previous_response_not_found']);
});

test("the conversation's own instructions stand behind ours", async () => {
	await compacted({ input: 'x', instructions: 'Speak like a pirate.' });
	const [instruction] = lastMessages();
	assert.match(instruction.content, /compact[\s\S]*Speak like a pirate\.$/i);
});

test('nobody else can use it, and nothing that was changed is taken', async () => {
	const { output } = await compacted({ input: TURNS });
	const [item] = output;
	const code = item.encrypted_content;
	const last = code.at(-6) === 'A' ? 'B' : 'A';
	const changed = `${code.slice(0, -6)}${last}${code.slice(-5)}`;
	const before = stage.upstream.requests.length;
	for (const [encrypted_content, key] of [
		[code, other],
		[changed, stage.key],
		[code.slice(0, -8), stage.key],
		['', stage.key],
		['AAAA', stage.key],
		['not base64!', stage.key],
	]) {
		const input = [user('x'), { ...item, encrypted_content }];
		for (const target of ['/v1/responses', '/v1/responses/compact', '/v1/responses/input_tokens']) {
			const { status, body } = await post(target, { input }, { key });
			assert.deepEqual([status, body.error?.code, body.error?.param], [400, 'invalid_value', 'input[1].encrypted_content'], `${target} ${encrypted_content}`);
		}
	}
	assert.equal(stage.upstream.requests.length, before);
});

test('what was sealed as reasoning is no compaction', async () => {
	stage.upstream.queue(calls([{ id: 'call_1', name: 'f', arguments: '{}' }], { reasoning: 'sealed' }));
	const tools = [{ type: 'function', name: 'f' }];
	const { response } = await transports.HTTP(stage, { input: 'x', tools, include: ['reasoning.encrypted_content'] });
	const { encrypted_content } = response.output[0];
	const { status, error } = await transports.HTTP(stage, { input: [{ type: 'compaction', encrypted_content }] });
	assert.deepEqual([status, error?.param], [400, 'input[0].encrypted_content']);
});

// How the model goes wrong, and what the client is told.
const WRONG = [
	['a refusal of the server', reply.fails(400), 400, 'upstream_rejected'],
	['an answer that is cut off by its length', reply.says(['half'], { finish: 'length' }), 502, 'upstream_failed'],
	['an answer of nothing', reply.says([]), 502, 'upstream_failed'],
	['a refusal of the model', async (x) => (await x.write(x.event({ refusal: 'No.' })), await x.finish(), x.done()), 502, 'upstream_failed'],
	['a filtered answer', reply.says(['half'], { finish: 'content_filter' }), 502, 'upstream_failed'],
	['a stream that breaks off', async (x) => (await x.say('half'), x.cut()), 502, 'upstream_failed'],
];

for (const [what, behaviour, status, code] of WRONG) {
	test(`${what} is an error, and no retry that is billed twice is asked for`, async () => {
		stage.upstream.queue(behaviour);
		const answer = await compact({ input: 'x' });
		assert.deepEqual([answer.status, answer.body.error?.code], [status, code]);
		assert.equal(answer.headers.get('x-should-retry'), 'false');
	});
}

test("an upstream's limit is passed on, to be tried again later", async () => {
	stage.upstream.queue(...Array.from({ length: 3 }, () => reply.fails(429)));
	const answer = await compact({ input: 'limited' });
	assert.deepEqual([answer.status, answer.body.error?.code], [429, 'upstream_rate_limited']);
	assert.notEqual(answer.headers.get('x-should-retry'), 'false');
});

test('bad requests name their field', async () => {
	for (const [body, code, param, status = 400] of [
		[{}, 'missing_required_parameter', 'input'],
		[{ input: [] }, 'invalid_value', 'input'],
		[{ input: 'x', model: 'unheard-of' }, 'model_not_found', 'model', 404],
		[{ input: 'x', tools: [] }, 'unknown_parameter', 'tools'],
		[{ input: 'x', stream: true }, 'unknown_parameter', 'stream'],
		[{ input: 'x', store: true }, 'unknown_parameter', 'store'],
		[{ input: 'x', instructions: 5 }, 'invalid_type', 'instructions'],
	]) {
		const answer = await compact(body);
		assert.deepEqual([answer.status, answer.body.error?.code, answer.body.error?.param], [status, code, param], JSON.stringify(body));
	}
});

test('nothing of it is on disk', async () => {
	stage.upstream.queue(reply.says('zygomorphic summary'));
	await client.responses.compact({ model: 'fake', input: 'zygomorphic question', instructions: 'zygomorphic instruction' });
	const count = async () => (await (await stage.fetch('/v1/conversations?limit=100')).json()).data.length;
	const before = await count();
	await compacted({ input: 'counted' });
	assert.equal(await count(), before);
	assert.deepEqual(await stage.server.find('zygomorphic'), []);
});

test('a client that leaves stops the model', async () => {
	stage.upstream.on('Write the compacted', reply.stalls('half'));
	const controller = new AbortController();
	const call = stage.fetch('/v1/responses/compact', { body: { input: 'abandoned' }, signal: controller.signal });
	const request = await stage.upstream.request('Write the compacted', stage.upstream.asked('Write the compacted').length + 1);
	controller.abort();
	await assert.rejects(call);
	await request.hungUp();
});

test('a conversation that is larger than the context is compacted by its latest turns', async () => {
	const server = await startServer({ upstream: stage.upstream, settings: { upstream: { context: 1000 } } });
	try {
		const key = await server.createKey('ada');
		const input = [1, 2, 3, 4].flatMap((n) => [user(`q${n} ${'word '.repeat(200)}`), { role: 'assistant', content: `a${n}` }]);
		const before = stage.upstream.requests.length;
		stage.upstream.queue(sums);
		const answer = await server.fetch('/v1/responses/compact', { key, body: { input } });
		assert.equal(answer.status, 200, await answer.text());
		assert.equal(stage.upstream.requests.length, before + 1);
		const shown = lastMessages().map(({ content }) => content.slice(0, 2));
		assert.ok(!shown.includes('q1') && shown.includes('q4'), `${shown}`);
	} finally {
		await server.stop();
		await server.remove();
	}
});

// --- input_tokens --------------------------------------------------------------------------------------------------------

const count = async (body) => {
	const answer = await post('/v1/responses/input_tokens', body);
	assert.equal(answer.status, 200, JSON.stringify(answer.body));
	return answer.body.input_tokens;
};

test('input_tokens: the shape, and that the SDK reads it; the model is not asked', async () => {
	const before = stage.upstream.requests.length;
	const { _request_id, ...answer } = await client.responses.inputTokens.count({ model: 'fake', input: 'how long am I' });
	const { input_tokens, ...rest } = answer;
	assert.ok(Number.isInteger(input_tokens) && input_tokens > 3 && input_tokens < 20, `${input_tokens}`);
	assert.deepEqual(rest, { object: 'response.input_tokens', 'sluice:estimated': true });
	assert.equal(stage.upstream.requests.length, before);
});

test('input_tokens grows with whatever the model would be shown', async () => {
	const few = await count({ input: 'x' });
	assert.ok((await count({ input: 'x'.repeat(400) })) >= few + 90);
	assert.ok((await count({ input: 'ü'.repeat(400) })) >= few + 300);
	assert.ok((await count({ input: 'x', instructions: 'be brief '.repeat(40) })) >= few + 80);
	const tools = [{ type: 'function', name: 'f', description: 'word '.repeat(80), parameters: { type: 'object', properties: {} } }];
	assert.ok((await count({ input: 'x', tools })) >= few + 90);
	const image = { type: 'input_image', image_url: 'data:image/png;base64,iVBORw0KGgo=' };
	assert.ok((await count({ input: [{ role: 'user', content: [{ type: 'input_text', text: 'x' }, image] }] })) >= few + 500);
	const { response } = await transports.HTTP(stage, { input: 'word '.repeat(80) });
	assert.ok((await count({ input: 'x', previous_response_id: response.id })) >= few + 180);
	assert.ok((await count({ input: 'x', conversation: response.conversation.id })) >= few + 180);
	assert.ok((await count({ previous_response_id: response.id })) >= few + 170);
	const { output } = await compacted({ input: 'word '.repeat(1000) });
	const summed = await count({ input: output });
	assert.ok(summed > few && summed < few + 40, `${summed}`);
});

test('input_tokens tells how much too large an input is; truncated it is what fits', async () => {
	const server = await startServer({ upstream: stage.upstream, settings: { upstream: { context: 1000 } } });
	try {
		const key = await server.createKey('ada');
		const ask = async (body) => (await server.fetch('/v1/responses/input_tokens', { key, body })).json();
		const input = [1, 2, 3, 4].flatMap((n) => [user(`q${n} ${'word '.repeat(400)}`), { role: 'assistant', content: `a${n}` }]);
		assert.ok((await ask({ input })).input_tokens > 1900);
		const fits = await ask({ input, truncation: 'auto' });
		assert.ok(fits.input_tokens > 400 && fits.input_tokens < 1000, JSON.stringify(fits));
	} finally {
		await server.stop();
		await server.remove();
	}
});

test('input_tokens: bad requests name their field', async () => {
	for (const [body, code, param, status = 400] of [
		[{}, 'missing_required_parameter', 'input'],
		[{ input: 5 }, 'invalid_type', 'input'],
		[{ input: 'x', temperature: 1 }, 'unknown_parameter', 'temperature'],
		[{ input: 'x', tool_choice: 'required' }, 'invalid_value', 'tool_choice'],
		[{ input: 'x', model: 'unheard-of' }, 'model_not_found', 'model', 404],
		[{ input: 'x', previous_response_id: 'resp_unknown' }, 'previous_response_not_found', 'previous_response_id', 404],
		[{ input: 'x', conversation: 'conv_unknown' }, 'conversation_not_found', 'conversation', 404],
		[{ input: [{ type: 'item_reference', id: 'msg_unknown' }] }, 'item_not_found', 'input[0].id', 404],
		[{ input: [{ role: 'user', content: [{ type: 'input_file', file_data: 'AAAA' }] }] }, 'unsupported_parameter', 'input[0].content[0]'],
	]) {
		const answer = await post('/v1/responses/input_tokens', body);
		assert.deepEqual([answer.status, answer.body.error?.code, answer.body.error?.param], [status, code, param], JSON.stringify(body));
	}
});

test('input_tokens of a conversation in which a response runs is not to be had yet', async () => {
	const conversation = await (await stage.fetch('/v1/conversations', { body: {} })).json();
	stage.upstream.on('keeps it busy', reply.stalls('x'));
	const chat = await stage.chat();
	const turn = chat.begin({ input: 'keeps it busy', conversation: conversation.id });
	await chat.type('response.output_text.delta', { from: turn.from });
	const answer = await post('/v1/responses/input_tokens', { input: 'x', conversation: conversation.id });
	assert.deepEqual([answer.status, answer.body.error?.code], [409, 'conversation_locked']);
	chat.send({ type: 'response.cancel' });
	await turn.end;
	chat.drop();
});
