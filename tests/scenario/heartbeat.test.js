// Silence while an answer runs is broken by heartbeats, on a WebSocket and on an event stream, and by nothing else.
import assert from 'node:assert/strict';
import { connect } from '../lib/chat.js';
import { checkStream, isTerminal } from '../lib/check.js';
import { dial } from '../lib/raw.js';
import { openai, responsesWS } from '../lib/sdk.js';
import { startServer, within } from '../lib/server.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';

const stage = setup({ settings: { limits: { heartbeat_interval: '200ms', ping_interval: '200ms' } } });

const isHeartbeat = (event) => event.type === 'sluice:heartbeat';
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves when `count` pings have come: the server's own clock. */
const pings = (chat, count) =>
	within(20_000, new Promise((resolve) => chat.socket.on('ping', () => --count === 0 && resolve())), 'pings');

/** Resolves when `count` heartbeats have come from event `from` on. */
const heartbeats = (chat, count, from = 0) => chat.wait((event) => isHeartbeat(event) && --count === 0, { from });

/** A request whose answer is an event stream, on a plain connection. */
async function stream(target, body) {
	const wire = await dial(stage.server);
	const bytes = body === undefined ? '' : JSON.stringify({ ...body, stream: true });
	const framing = bytes && `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(bytes)}\r\n`;
	const head = `Host: ${stage.server.address}\r\nAuthorization: Bearer ${stage.key}\r\n${framing}\r\n`;
	wire.write(`${bytes ? 'POST' : 'GET'} ${target} HTTP/1.1\r\n${head}${bytes}`);
	return wire;
}

/** Takes the chunks apart, each of which must have the length that it announces. */
function unchunk(text) {
	let rest = text.slice(text.indexOf('\r\n\r\n') + 4);
	const chunks = [];
	for (;;) {
		const [head] = rest.split('\r\n', 1);
		const length = Number.parseInt(head, 16);
		const chunk = rest.slice(head.length + 2, head.length + 2 + length);
		assert.equal(rest.slice(head.length + 2 + length, head.length + 4 + length), '\r\n', 'a chunk ends where it says');
		if (length === 0) {
			return chunks;
		}
		chunks.push(chunk);
		rest = rest.slice(head.length + 4 + length);
	}
}

test('a WebSocket hears heartbeats while its answer is silent, and none when nothing runs', async () => {
	const [idle, chat] = [await stage.chat(), await stage.chat()];
	const held = gate();
	stage.upstream.on('silent for a while', reply.pauses('before, ', held, 'after'));
	const turn = chat.begin({ input: 'silent for a while' });
	await chat.type('response.output_text.delta');
	await heartbeats(chat, 3);
	held.open();
	const { text } = await turn.end;
	assert.equal(text, 'before, after');
	for (const event of chat.events.filter(isHeartbeat)) {
		assert.deepEqual(event, { type: 'sluice:heartbeat' });
	}
	const ended = chat.events.length;
	await Promise.all([pings(chat, 4), pings(idle, 4)]);
	assert.deepEqual(chat.events.slice(ended), []);
	assert.deepEqual(idle.events, []);
	await Promise.all([chat.close(), idle.close()]);
});

test('a turn that waits for its first token hears heartbeats', async () => {
	const chat = await stage.chat();
	const held = gate();
	stage.upstream.on('slow to begin', reply.pauses([], held, 'begun'));
	const turn = chat.begin({ input: 'slow to begin' });
	await turn.created;
	await heartbeats(chat, 2);
	held.open();
	assert.equal((await turn.end).text, 'begun');
	await chat.close();
});

test('an answer that flows for longer than the interval has no heartbeats', async (t) => {
	const server = await startServer({ upstream: stage.upstream, settings: { limits: { heartbeat_interval: '1s' } } });
	t.after(() => server.remove());
	const chat = await connect(server, { key: await server.createKey('ada') });
	stage.upstream.on('flows', async (x) => {
		for (const end = performance.now() + 3000; performance.now() < end; ) {
			await x.say('on and ');
			await wait(20);
		}
		await x.finish();
		await x.done();
	});
	await chat.turn('flows');
	assert.equal(chat.events.filter(isHeartbeat).length, 0);
	await chat.close();
	await server.stop();
});

test('with an interval of 0s there are none', async (t) => {
	const limits = { heartbeat_interval: '0s', ping_interval: '100ms' };
	const server = await startServer({ upstream: stage.upstream, settings: { limits } });
	t.after(() => server.remove());
	const chat = await connect(server, { key: await server.createKey('ada') });
	const held = gate();
	stage.upstream.on('no heart', reply.pauses('a', held, 'b'));
	const turn = chat.begin({ input: 'no heart' });
	await chat.type('response.output_text.delta');
	await pings(chat, 6);
	held.open();
	await turn.end;
	assert.equal(chat.events.filter(isHeartbeat).length, 0);
	await chat.close();
	await server.stop();
});

test('a client that does not read finds no pile of heartbeats behind its events', async () => {
	const [lazy, busy] = [await stage.chat(), await stage.chat()];
	const held = gate();
	const words = Array.from({ length: 12_000 }, () => 'w'.repeat(1000));
	stage.upstream.on('too much to hold', reply.pauses(words.slice(0, -1), held, words.at(-1)));
	stage.upstream.on('the clock', reply.pauses('tick', held));
	const flood = lazy.begin({ input: 'too much to hold' });
	await lazy.type('response.output_text.delta');
	lazy.socket.pause();
	const clock = busy.begin({ input: 'the clock' });
	await heartbeats(busy, 8);
	held.open();
	lazy.socket.resume();
	await Promise.all([flood.end, clock.end]);
	assert.ok(lazy.events.filter(isHeartbeat).length < 4, 'the answer came with what waited');
	await Promise.all([lazy.close(), busy.close()]);
});

test('an event stream hears comments, each a chunk of its own, and its parser none', async () => {
	const held = gate();
	stage.upstream.on('an event stream', reply.pauses('before, ', held, 'after'));
	const wire = await stream('/v1/responses', { input: 'an event stream' });
	const { 0: head } = await wire.read(/^HTTP\/1\.1 200 .*?\r\n\r\n/s);
	assert.match(head, /^x-accel-buffering: no\r$/m);
	assert.match(head, /^cache-control: no-store\r$/m);
	await wire.read(/response\.output_text\.delta(.*: heartbeat\n\n){3}/s);
	held.open();
	await wire.read(/\r\n0\r\n\r\n$/);
	const chunks = unchunk(wire.text);
	assert.ok(chunks.filter((chunk) => chunk === ': heartbeat\n\n').length >= 3);
	const data = chunks.join('').matchAll(/^data: (\{.*)$/gm);
	assert.equal(checkStream([...data].map(([, json]) => JSON.parse(json))).text, 'before, after');
	const ended = wire.text.length;
	const chat = await stage.chat();
	await pings(chat, 4);
	assert.equal(wire.text.length, ended, 'nothing comes behind the end');
	await chat.close();
	wire.drop();
});

test('an event stream that starts behind the last event so far begins with a heartbeat', async () => {
	const held = gate();
	stage.upstream.on('resumed in silence', reply.pauses('before, ', held, 'after'));
	const chat = await stage.chat();
	const turn = chat.begin({ input: 'resumed in silence' });
	const { id } = await turn.created;
	const { sequence_number } = await chat.type('response.output_text.delta');
	const wire = await stream(`/v1/responses/${id}?stream=true&starting_after=${sequence_number}`);
	await wire.read(/^HTTP\/1\.1 200 .*?\r\n\r\n([^\r]*\r\n: heartbeat\n\n\r\n){2}/s);
	held.open();
	await wire.read(/\r\n0\r\n\r\n$/);
	const [first] = [...unchunk(wire.text).join('').matchAll(/^data: (\{.*)$/gm)];
	assert.equal(JSON.parse(first[1]).sequence_number, sequence_number + 1);
	await turn.end;
	wire.drop();
	await chat.close();
});

test('the SDK takes heartbeats calmly, over HTTP and over its WebSocket', async () => {
	const held = gate();
	stage.upstream.on('with the SDK', reply.pauses('before, ', held, 'after'));
	const seen = { http: [], socket: [] };
	const watcher = await stage.chat();
	const stream = await openai(stage.server, stage.key).responses.create({ model: 'fake', input: 'with the SDK', stream: true });
	const over = (async () => {
		for await (const event of stream) {
			seen.http.push(event);
		}
	})();
	const socket = responsesWS(stage.server, stage.key);
	const ended = new Promise((resolve, reject) => {
		socket.on('error', reject);
		socket.on('event', (event) => {
			seen.socket.push(event);
			return isTerminal(event) && resolve();
		});
	});
	socket.send({ type: 'response.create', model: 'fake', input: 'with the SDK' });
	await stage.upstream.request('with the SDK', 2);
	await pings(watcher, 5);
	held.open();
	await within(20_000, Promise.all([over, ended]), 'both answers');
	assert.equal(checkStream(seen.http).text, 'before, after');
	assert.ok(seen.socket.some(isHeartbeat));
	assert.equal(checkStream(seen.socket.filter((event) => !isHeartbeat(event))).text, 'before, after');
	socket.close();
	await watcher.close();
});
