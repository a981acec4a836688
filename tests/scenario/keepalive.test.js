// A connection goes on behind an answer that took its time: the server has let go of that request's headers meanwhile, and
// the next request stands for itself.
import assert from 'node:assert/strict';
import { dial, frame, upgrade } from '../lib/raw.js';
import { eventually, setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';

let other;
const stage = setup({}, async ({ server }) => {
	other = await server.createKey('grace');
});

const request = (line, headers, body = '') => {
	const framing = body && `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
	const lines = Object.entries({ Host: stage.server.address, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
	return `${line} HTTP/1.1\r\n${lines.join('')}${framing}\r\n${body}`;
};
const bearer = (key) => ({ Authorization: `Bearer ${key}` });
const ask = (body, headers) => request('POST /v1/responses', { ...bearer(stage.key), ...headers }, JSON.stringify(body));
const get = (target, headers = bearer(stage.key)) => request(`GET ${target}`, headers);

/** The head of the next answer; taken off, as all that is read, so that the text begins behind it. */
async function readHead(wire) {
	const [head] = await wire.read(/^HTTP\/1\.1 \d{3} [^]*?\r\n\r\n/);
	wire.text = wire.text.slice(head.length);
	return head;
}

async function take(wire, length) {
	const found = await eventually(length, (number) => number > 0);
	const text = wire.text.slice(0, found);
	wire.text = wire.text.slice(found);
	return text;
}

/** The body of an event stream with its chunks, to the end. */
async function stream(wire) {
	const head = await readHead(wire);
	assert.match(head, /^HTTP\/1\.1 200 OK\r\n[^]*connection: keep-alive\r\n[^]*content-type: text\/event-stream/);
	const end = 'data: [DONE]\n\n\r\n0\r\n\r\n';
	return take(wire, () => (wire.text.includes(end) ? wire.text.indexOf(end) + end.length : 0));
}

async function answer(wire) {
	const head = await readHead(wire);
	const length = Number(/content-length: (\d+)/.exec(head)[1]);
	const body = await take(wire, () => (wire.text.length >= length ? length : 0));
	return { status: Number(head.slice(9, 12)), body };
}

/** A stored response in the middle of its answer, and what lets it end. */
async function begun(question) {
	const held = gate();
	stage.upstream.on(question, reply.pauses('before ', held, 'after'));
	const chat = await stage.chat();
	const turn = chat.begin({ input: question });
	const { response } = await chat.type('response.created');
	await chat.type('response.output_text.delta');
	return { id: response.id, release: held.open, close: async () => (await turn.end, chat.close()) };
}

test('requests behind an event stream are known by their own headers, not by those before', async () => {
	const wire = await dial(stage.server);
	wire.write(ask({ input: 'streamed', stream: true }, { 'Idempotency-Key': 'first', Origin: 'http://nobody.example' }));
	assert.match(await stream(wire), /You said: streamed/);

	wire.write(get('/v1/models', {}));
	assert.equal((await answer(wire)).status, 401, 'the key of the stream is not its key');

	wire.write(ask({ input: 'streamed again', stream: true }));
	assert.match(await stream(wire), /You said: streamed again/, 'nor is the idempotency key');

	wire.write(ask({ input: 'of another user' }, bearer(other)));
	const theirs = await answer(wire);
	assert.equal(theirs.status, 200);
	wire.write(get(`/v1/responses/${JSON.parse(theirs.body).id}`));
	assert.equal((await answer(wire)).status, 404);
	wire.drop();
});

test('a hundred streams one after the other come over one connection', async () => {
	const wire = await dial(stage.server);
	for (let turn = 0; turn < 100; turn++) {
		wire.write(ask({ input: `turn ${turn}`, stream: true, store: turn % 2 === 0 }));
		assert.match(await stream(wire), new RegExp(`You said: turn ${turn}[^\\d]`));
	}
	wire.drop();
});

test('a request behind an event stream in one packet, or while that runs, is answered when it has ended', async () => {
	for (const together of [true, false]) {
		const live = await begun(`watched ${together}`);
		const wire = await dial(stage.server);
		const watch = get(`/v1/responses/${live.id}?stream=true`);
		const behind = get('/v1/models', {}) + get('/v1/models') + get('/nowhere');
		wire.write(together ? watch + behind : watch);
		await wire.read(/output_text\.delta/);
		if (!together) {
			wire.write(behind);
		}
		const models = await stage.fetch('/v1/models');
		assert.equal(models.status, 200, 'others are served meanwhile');
		await models.text();
		assert.doesNotMatch(wire.text, /after/);
		live.release();
		assert.match(await stream(wire), /after/);
		for (const status of [401, 200, 404]) {
			assert.equal((await answer(wire)).status, status);
		}
		assert.equal(wire.text, '');
		await live.close();
		wire.drop();
	}
});

test('more input while a request with a body is answered ends its connection, and the model is told', async () => {
	stage.upstream.on('talked into', reply.stalls('word'));
	for (const more of [get('/v1/models'), ask({ input: 'and another' }), 'x', '\r\n']) {
		const wire = await dial(stage.server);
		wire.write(ask({ input: `talked into ${more.length}`, stream: true, store: false }));
		await wire.read(/output_text\.delta/);
		wire.write(more);
		const { text } = await wire.closed();
		assert.equal(text.match(/HTTP\/1\.1 /g).length, 1, 'nothing else is answered');
	}
	await Promise.all(stage.upstream.asked('talked into').map((asked) => asked.hungUp()));
});

test('the next request may come byte by byte, and another behind it', async () => {
	const wire = await dial(stage.server);
	wire.socket.setNoDelay(true);
	wire.write(ask({ input: 'quickly', stream: true }));
	await stream(wire);
	for (const byte of ask({ input: 'slowly', stream: true })) {
		await new Promise((resolve) => wire.socket.write(byte, resolve));
	}
	assert.match(await stream(wire), /You said: slowly/);
	wire.write(get('/v1/models'));
	assert.equal((await answer(wire)).status, 200);
	wire.drop();
});

test('a connection may become a WebSocket behind an event stream, by an upgrade that is right', async () => {
	const wire = await dial(stage.server);
	wire.write(ask({ input: 'first over HTTP', stream: true }));
	await stream(wire);
	wire.write(upgrade(stage.server, stage.key));
	assert.match(await readHead(wire), /^HTTP\/1\.1 101 /);
	wire.write(frame(JSON.stringify({ type: 'response.create', input: 'then as messages' })));
	await wire.read(/You said: then as messages[^]*response\.completed/);
	wire.drop();

	for (const headers of [{ Upgrade: 'foo' }, { Authorization: undefined }, { 'Sec-WebSocket-Version': '8' }]) {
		const refused = await dial(stage.server);
		refused.write(ask({ input: 'over HTTP alone', stream: true }));
		await stream(refused);
		refused.write(upgrade(stage.server, stage.key, { headers }));
		assert.doesNotMatch((await refused.closed()).text, /HTTP\/1\.1 101 /);
	}
});

test('large answers to a reader that pauses arrive whole and in order', async () => {
	// More than libwebsockets hands to a socket at once: the rest goes out when the transaction has long been over for us.
	const words = 'x'.repeat(64 * 1024);
	const pieces = 24;
	stage.upstream.on('at length', async (x) => {
		for (let piece = 0; piece < pieces; piece++) {
			await x.say(words);
		}
		await x.finish();
		await x.done();
	});
	const { id } = await (await stage.fetch('/v1/responses', { body: { input: 'at length' } })).json();
	const wire = await dial(stage.server);
	wire.socket.pause();
	wire.write(get(`/v1/responses/${id}?stream=true`) + get(`/v1/responses/${id}`).repeat(3) + get('/v1/models'));
	for (let other = 0; other < 20; other++) {
		assert.equal((await stage.fetch('/v1/models')).status, 200, 'others are served meanwhile');
	}
	wire.socket.resume();
	const events = await stream(wire);
	assert.ok(events.length > 5 * pieces * words.length, `${events.length} bytes of events`);
	for (let answers = 0; answers < 3; answers++) {
		const { output } = JSON.parse((await answer(wire)).body);
		assert.equal(output[0].content[0].text.length, pieces * words.length);
	}
	assert.equal((await answer(wire)).status, 200);
	assert.equal(wire.text, '');
	wire.drop();
});
