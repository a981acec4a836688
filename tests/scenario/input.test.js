// Bad input: a typed error on the same socket, nothing lost, and nobody else disturbed.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { checkError } from '../lib/check.js';
import { dial, frame, upgrade } from '../lib/raw.js';
import { random } from '../lib/random.js';
import { within } from '../lib/server.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';

let chat;
const stage = setup({}, async (ready) => {
	chat = await ready.chat();
});

const create = (fields) => JSON.stringify({ type: 'response.create', input: 'x', ...fields });
const nested = (depth) => '['.repeat(depth) + ']'.repeat(depth);

// Message, then status, code and (if a field is to blame) param of the error.
const MESSAGES = [
	['hello', 400, 'invalid_json'],
	['', 400, 'invalid_json'],
	['{"type":"response.create"', 400, 'invalid_json'],
	['{"type":"response.create","input":"x"} {}', 400, 'invalid_json'],
	["{'type':'response.create'}", 400, 'invalid_json'],
	['{"type":"response.create","input":"x",}', 400, 'invalid_json'],
	['{"type":"response.create","input":NaN}', 400, 'invalid_json'],
	['{"type":"response.create","input":01}', 400, 'invalid_json'],
	['{"type":"response.create","temperature":1e999,"input":"x"}', 400, 'invalid_json'],
	['{"type":"response.create","input":"raw \u0001 control"}', 400, 'invalid_json'],
	['{"type":"response.create","input":"nul \\u0000"}', 400, 'invalid_json'],
	['{"type":"response.create","input":"half \\ud800 pair"}', 400, 'invalid_json'],
	['{"type":"response.create","input":"x","input":"y"}', 400, 'invalid_json'],
	['{"type":"response.create","input":"x","inp\\u0075t":"y"}', 400, 'invalid_json'],
	[`{"type":"response.create","input":${nested(40)}}`, 400, 'invalid_json'],
	[nested(100_000), 400, 'invalid_json'],
	[`{"type":"response.create","input":[${'1,'.repeat(20_000)}1]}`, 400, 'invalid_json'],
	['[]', 400, 'invalid_json'],
	['"response.create"', 400, 'invalid_json'],
	['42', 400, 'invalid_json'],
	['null', 400, 'invalid_json'],
	['true', 400, 'invalid_json'],
	['{}', 400, 'missing_required_parameter', 'type'],
	['{"input":"x"}', 400, 'missing_required_parameter', 'type'],
	['{"type":5}', 400, 'invalid_type', 'type'],
	['{"type":null}', 400, 'invalid_type', 'type'],
	['{"type":"response.explode"}', 400, 'unknown_event', 'type'],
	['{"type":"RESPONSE.CREATE","input":"x"}', 400, 'unknown_event', 'type'],
	['{"type":"response.create"}', 400, 'missing_required_parameter', 'input'],
	[create({ input: 5 }), 400, 'invalid_type', 'input'],
	[create({ input: {} }), 400, 'invalid_type', 'input'],
	[create({ input: true }), 400, 'invalid_type', 'input'],
	[create({ input: '' }), 400, 'invalid_value', 'input'],
	[create({ input: [] }), 400, 'invalid_value', 'input'],
	[create({ input: ['x'] }), 400, 'invalid_type', 'input[0]'],
	[create({ input: [{ type: 'message', role: 'user', content: 'ok' }, { type: 'message', role: 'user', content: 5 }] }), 400, 'invalid_type', 'input[1].content'],
	[create({ input: [{ type: 'message', role: 'alien', content: 'x' }] }), 400, 'invalid_value', 'input[0].role'],
	[create({ input: [{ type: 'message', content: 'x' }] }), 400, 'missing_required_parameter', 'input[0].role'],
	[create({ input: [{ role: 'user', content: [{ type: 'input_text' }] }] }), 400, 'missing_required_parameter', 'input[0].content[0].text'],
	[create({ input: [{ role: 'user', content: [{ type: 'input_text', text: 5 }] }] }), 400, 'invalid_type', 'input[0].content[0].text'],
	[create({ model: 5 }), 400, 'invalid_type', 'model'],
	[create({ model: '' }), 400, 'invalid_value', 'model'],
	[create({ model: 'm'.repeat(5000) }), 400, 'invalid_value', 'model'],
	[create({ model: 'unheard-of' }), 404, 'model_not_found', 'model'],
	[create({ instructions: 5 }), 400, 'invalid_type', 'instructions'],
	[create({ temperature: 'hot' }), 400, 'invalid_type', 'temperature'],
	[create({ temperature: 2.1 }), 400, 'invalid_value', 'temperature'],
	[create({ temperature: -0.1 }), 400, 'invalid_value', 'temperature'],
	[create({ top_p: [] }), 400, 'invalid_type', 'top_p'],
	[create({ top_p: 1.1 }), 400, 'invalid_value', 'top_p'],
	[create({ max_output_tokens: '100' }), 400, 'invalid_type', 'max_output_tokens'],
	[create({ max_output_tokens: 0 }), 400, 'invalid_value', 'max_output_tokens'],
	[create({ max_output_tokens: 20.5 }), 400, 'invalid_value', 'max_output_tokens'],
	[create({ max_output_tokens: -1 }), 400, 'invalid_value', 'max_output_tokens'],
	[create({ metadata: [] }), 400, 'invalid_type', 'metadata'],
	[create({ metadata: { a: 1 } }), 400, 'invalid_type', 'metadata.a'],
	[create({ metadata: { a: 'v'.repeat(513) } }), 400, 'invalid_value', 'metadata.a'],
	[create({ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`k${at}`, 'v'])) }), 400, 'invalid_value', 'metadata'],
	[create({ store: 'no' }), 400, 'invalid_type', 'store'],
	[create({ store: 0 }), 400, 'invalid_type', 'store'],
	[create({ previous_response_id: 7 }), 400, 'invalid_type', 'previous_response_id'],
	[create({ previous_response_id: `resp_${'0'.repeat(40)}` }), 404, 'previous_response_not_found', 'previous_response_id'],
	[create({ previous_response_id: 'anything at all' }), 404, 'previous_response_not_found', 'previous_response_id'],
	[create({ input: [{ role: 'user', content: [{ type: 'input_text', text: 'x' }, { type: 'input_image', file_id: 'file_1' }] }] }), 400, 'unsupported_parameter', 'input[0].content[1].file_id'],
	[create({ input: [{ role: 'user', content: [{ type: 'input_file', file_url: 'http://127.0.0.1/x' }] }] }), 400, 'unsupported_parameter', 'input[0].content[0].file_url'],
	[create({ input: [{ role: 'user', content: [{ type: 'input_file', file_data: 'not base64' }] }] }), 400, 'invalid_value', 'input[0].content[0].file_data'],
	[create({ input: [{ type: 'function_call', call_id: 'c"', name: 'f', arguments: '' }] }), 400, 'invalid_value', 'input[0].call_id'],
	[create({ input: [{ type: 'web_search_call', id: 'ws_1', status: 'completed' }] }), 400, 'unsupported_parameter', 'input[0].type'],
	[create({ input: [{ type: ':nobody' }] }), 400, 'invalid_value', 'input[0].type'],
	[create({ conversation: 'conv/none' }), 404, 'conversation_not_found', 'conversation'],
	[create({ conversation: 'conv_1', previous_response_id: 'resp_1' }), 400, 'invalid_value', 'conversation'],
	[create({ tools: [{ type: 'function', name: 'f' }, { type: 'web_search' }] }), 400, 'unsupported_parameter', 'tools[1].type'],
	[create({ tools: [{ type: 'function', name: 'f', parameters: [] }] }), 400, 'invalid_type', 'tools[0].parameters'],
	[create({ tool_choice: 'required' }), 400, 'invalid_value', 'tool_choice'],
	[create({ tool_choice: { type: 'function', name: 'f' } }), 400, 'invalid_value', 'tool_choice.name'],
	[create({ truncation: 'oldest' }), 400, 'invalid_value', 'truncation'],
	[create({ text: { format: { type: 'json_schema', schema: '{}' } } }), 400, 'invalid_type', 'text.format.schema'],
	[create({ reasoning: { summary: 'detailed' } }), 400, 'unsupported_parameter', 'reasoning.summary'],
	[create({ include: ['reasoning.encrypted_content', 'everything'] }), 400, 'invalid_value', 'include[1]'],
	[create({ top_logprobs: 21 }), 400, 'invalid_value', 'top_logprobs'],
	[create({ user: 'u' }), 400, 'unsupported_parameter', 'user'],
	[create({ inptu: 'x' }), 400, 'unknown_parameter', 'inptu'],
	['{"type":"response.cancel","response_id":5}', 400, 'invalid_type', 'response_id'],
	['{"type":"response.cancel","response_id":"resp_none"}', 404, 'response_not_found'],
];

// Refused on a WebSocket alone.
const OF_THE_SOCKET = [
	[create({ background: true }), 400, 'unsupported_parameter', 'background'],
	[create({ stream: false }), 400, 'unsupported_parameter', 'stream'],
	[create({ stream_options: { include_obfuscation: true } }), 400, 'unsupported_parameter', 'stream_options'],
];

for (const [message, status, code, param = null] of [...MESSAGES, ...OF_THE_SOCKET]) {
	const shown = JSON.stringify(message.length > 90 ? `${message.slice(0, 87)}...` : message);
	test(`${shown} over the WebSocket is ${code}${param ? ` of ${param}` : ''}, and the socket lives on`, async () => {
		const before = stage.upstream.requests.length;
		chat.send(message);
		const event = await chat.nextError();
		checkError(event, { status, code });
		if (code !== 'response_not_found') {
			assert.equal(event.error.param, param, JSON.stringify(event));
		}
		assert.equal((await chat.turn('still alive')).text, 'You said: still alive');
		assert.equal(stage.upstream.requests.length, before + 1, 'the upstream heard of nothing else');
	});
}

test('fields that are null are as if they were not there', async () => {
	const names = ['model', 'instructions', 'temperature', 'top_p', 'max_output_tokens', 'metadata', 'store', 'previous_response_id', 'tools', 'truncation'];
	const nulls = Object.fromEntries(names.map((name) => [name, null]));
	assert.equal((await chat.turn({ input: 'nulls', ...nulls })).text, 'You said: nulls');
});

test('an error does not repeat what the client sent beyond a short part of it', async () => {
	chat.send(create({ model: `secret${'s'.repeat(100_000)}` }));
	const event = await chat.nextError();
	assert.ok(JSON.stringify(event).length < 2000);
});

test('a binary frame is an error, and the socket lives on', async () => {
	chat.send(Buffer.from(create({ input: 'binary' })));
	checkError(await chat.nextError(), { status: 400, code: 'binary_not_supported' });
	assert.equal((await chat.turn('after binary')).text, 'You said: after binary');
});

test('garbage between two turns, and while one streams, loses neither', async () => {
	const held = gate();
	stage.upstream.on('amid garbage', reply.pauses('one ', held, 'two'));
	const turn = chat.begin({ input: 'amid garbage' });
	await chat.type('response.output_text.delta', { from: turn.from });
	chat.send('garbage');
	chat.send('{}');
	const errors = () => chat.events.slice(turn.from).filter((event) => event.type === 'error');
	await chat.wait(() => errors().length === 2, { from: turn.from });
	held.open();
	await chat.type('response.completed', { from: turn.from });
	const text = chat.events
		.slice(turn.from)
		.filter((event) => event.type === 'response.output_text.delta')
		.map(({ delta }) => delta)
		.join('');
	assert.equal(text, 'one two');
	chat.seen = chat.events.length;
});

test('a message in many fragments, cut inside a character, is one message', async () => {
	const wire = await dial(stage.server);
	wire.write(upgrade(stage.server, stage.key));
	await wire.read(/101 Switching/i);
	const bytes = Buffer.from(create({ input: 'fragmented 😀 ü' }));
	bytes.forEach((_, at) => {
		wire.write(frame(bytes.subarray(at, at + 1), { opcode: at === 0 ? 1 : 0, fin: at === bytes.length - 1 }));
	});
	await wire.read(/response\.completed/);
	assert.equal(stage.upstream.asked('fragmented')[0].question, 'fragmented 😀 ü');
	wire.drop();
});

test('a message of just under the limit is taken', async () => {
	const input = 'm'.repeat((1 << 20) - 200);
	const { text } = await chat.turn({ input });
	assert.equal(text.length, input.length + 'You said: '.length);
});

test('a message past the limit closes the connection with 1009 or is an error; no other is disturbed', async () => {
	const other = await stage.chat();
	other.send(create({ input: 'm'.repeat((1 << 20) + 1) }));
	const answer = await Promise.race([other.closed, other.type('error').catch(() => other.closed)]);
	if (answer.type === 'error') {
		checkError(answer, { status: 413, code: 'message_too_large' });
	} else {
		assert.equal(answer.code, 1009);
	}
	assert.equal((await chat.turn('beside the large one')).text, 'You said: beside the large one');
	other.drop();
});

test('a frame that claims 2^63 bytes, or one past the limit, is refused before its bytes come', async () => {
	for (const length of [2n ** 63n, 2n ** 63n - 1n, 2n ** 40n]) {
		const wire = await dial(stage.server);
		wire.write(upgrade(stage.server, stage.key));
		await wire.read(/101 Switching/i);
		wire.write(frame('{"type":', { length }));
		await wire.closed();
	}
	assert.equal((await chat.turn('after the giants')).text, 'You said: after the giants');
});

// Each is no UTF-8 (RFC 3629), some only when looked at whole.
const NOT_UTF8 = ['ff', 'c0af', 'e08080', 'eda080', 'f4908080', 'f8888080', '80', 'c3', 'e282', 'f09f98', 'c328'];

for (const hex of NOT_UTF8) {
	test(`text with the bytes ${hex}, which are no UTF-8, closes the connection with 1007`, async () => {
		const other = await stage.chat();
		other.sendText(Buffer.concat([Buffer.from('{"type":"response.create","input":"'), Buffer.from(hex, 'hex'), Buffer.from('"}')]));
		assert.equal((await within(10_000, other.closed, 'closed')).code, 1007);
	});
}

test('bytes that are no UTF-8 are noticed wherever a frame boundary cuts them', async () => {
	const bad = Buffer.from('f09f9828', 'hex'); // the last byte breaks the character
	for (let cut = 1; cut < bad.length; cut++) {
		const wire = await dial(stage.server);
		wire.write(upgrade(stage.server, stage.key));
		await wire.read(/101 Switching/i);
		wire.write(frame(bad.subarray(0, cut), { fin: false }));
		wire.write(frame(bad.subarray(cut), { opcode: 0 }));
		const { text } = await wire.closed();
		assert.ok(text.includes('\x88') && text.includes('\x03\xef'), `close frame with 1007 in ${JSON.stringify(text.slice(-20))}`);
	}
});

test('clients that send garbage of every kind never disturb the stream of another', async () => {
	const dice = random('garbage clients');
	const held = gate();
	const words = Array.from({ length: 200 }, (_, at) => `${at} `);
	stage.upstream.on('undisturbed', async (x) => {
		for (const word of words) {
			await x.say(word);
			await new Promise(setImmediate);
		}
		await held.passed;
		await x.finish();
		await x.done();
	});
	const turn = chat.begin({ input: 'undisturbed' });
	await chat.type('response.output_text.delta', { from: turn.from });
	const vandals = [
		async () => {
			const wire = await dial(stage.server);
			wire.write(dice.bytes(dice.integer(1, 2000)));
			wire.drop();
		},
		async () => {
			const wire = await dial(stage.server);
			wire.write(upgrade(stage.server, stage.key));
			await wire.read(/101/);
			wire.write(dice.bytes(dice.integer(1, 2000)));
			wire.socket.resetAndDestroy();
		},
		async () => {
			const socket = new WebSocket(stage.server.wsUrl, { headers: { authorization: `Bearer ${stage.key}` } });
			await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
			for (let n = 0; n < 20; n++) {
				socket.send(dice.pick(MESSAGES)[0]);
				socket.send(dice.bytes(dice.integer(0, 300)), { binary: true });
				socket.ping(dice.bytes(dice.integer(0, 125)));
			}
			socket.terminate();
		},
		async () => {
			const wire = await dial(stage.server);
			wire.write(`POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${stage.key}\r\nContent-Length: 100000\r\n\r\n{"in`);
			wire.drop();
		},
	];
	await Promise.all(Array.from({ length: 60 }, (_, at) => vandals[at % vandals.length]()));
	held.open();
	assert.equal((await turn.end).text, words.join(''), `seed ${dice.seed}`);
});

// --- the same over HTTP ------------------------------------------------------------------------------------------------

const post = (body, headers) => stage.fetch('/v1/responses', { body, headers });

test('bad bodies over HTTP get the same errors as messages over the WebSocket', async () => {
	for (const [message, status, code, param = null] of MESSAGES) {
		let body = message;
		if (code !== 'invalid_json') {
			const { type, ...rest } = JSON.parse(message);
			if (type !== 'response.create') {
				continue; // HTTP has no other kinds of message
			}
			body = JSON.stringify(rest);
		}
		const answer = await post(body);
		assert.equal(answer.status, status, message.slice(0, 100));
		checkError(await answer.json(), { code, param });
	}
});

test('a body past the limit is 413', async () => {
	const answer = await post(create({ input: 'm'.repeat((1 << 20) + 1) })).catch((error) => error);
	// The server may hang up on the sender in mid-body; what it must not do is take it.
	if (answer instanceof Error) {
		assert.match(`${answer.cause}`, /ECONNRESET|EPIPE|closed/);
	} else {
		assert.equal(answer.status, 413);
		checkError(await answer.json(), { code: 'message_too_large' });
	}
	const wire = await dial(stage.server);
	wire.write(`POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${stage.key}\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n`);
	await wire.read(/^HTTP\/1\.1 413 /);
	wire.drop();
});

test('a body that is not declared as JSON is 415', async () => {
	for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp']) {
		const answer = await post('{"input":"x"}', { 'content-type': type });
		assert.equal(answer.status, 415, type);
		checkError(await answer.json(), { code: 'unsupported_media_type' });
	}
	const charset = await post('{"input":"x"}', { 'content-type': 'application/json; charset=utf-8' });
	assert.equal(charset.status, 200);
});

test('unknown paths are 404, wrong methods 405 with what is allowed', async () => {
	for (const target of ['/v1', '/v1/', '/v1/nothing', '/v1/responses/', '/v2/responses', '/v1/responses/x/y/z']) {
		const answer = await stage.fetch(target);
		assert.equal(answer.status, 404, target);
		checkError(await answer.json(), {});
	}
	for (const [method, target, allowed] of [
		['PUT', '/v1/responses', /POST/],
		['POST', '/v1/models', /GET/],
		['DELETE', '/v1/models', /GET/],
		['POST', '/healthz', /GET/],
	]) {
		const answer = await stage.fetch(target, { method });
		assert.equal(answer.status, 405, `${method} ${target}`);
		assert.match(answer.headers.get('allow') ?? '', allowed);
		checkError(await answer.json(), { code: 'method_not_allowed' });
	}
});

test('every answer carries an x-request-id of its own', async () => {
	const ids = new Set();
	for (const target of ['/v1/models', '/v1/nothing', '/healthz', '/', '/v1/responses/resp_x']) {
		const id = (await stage.fetch(target)).headers.get('x-request-id');
		assert.match(id ?? '', /\S{8,}/, target);
		ids.add(id);
	}
	assert.equal(ids.size, 5);
});
