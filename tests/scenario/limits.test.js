// Limits: what one connection, one user and one address may ask for, and what happens past it.
import assert from 'node:assert/strict';
import { connect, refused } from '../lib/chat.js';
import { checkError } from '../lib/check.js';
import { dial, upgrade } from '../lib/raw.js';
import { startServer, within } from '../lib/server.js';
import { test } from '../lib/test.js';
import { gate, reply, startUpstream } from '../lib/upstream.js';

/** A server with these limits, an upstream, a key. */
async function own(t, limits, more = {}) {
	const upstream = await startUpstream();
	const server = await startServer({ upstream, settings: { ...more, limits } });
	t.after(async () => {
		await server.remove();
		await upstream.stop();
	});
	const key = await server.createKey('ada');
	return { upstream, server, key, chat: () => connect(server, { key }) };
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends turns until one is refused; gives the refusal and how many were answered. */
async function exhaust(chat, most) {
	for (let answered = 0; answered <= most; answered++) {
		const from = chat.events.length;
		chat.send({ type: 'response.create', input: `turn ${answered}`, store: false });
		const last = await chat.wait((event) => ['error', 'response.completed'].includes(event.type), { from });
		chat.seen = chat.events.length;
		if (last.type === 'error') {
			return { error: last, answered };
		}
	}
	return assert.fail(`${most} turns were answered and none refused`);
}

test('a burst is answered, the next request is 429 with retry_after_ms and headers, and after that time it goes on', async (t) => {
	const { server, chat } = await own(t, { requests_per_minute: 60, burst: 5 });
	const client = await chat();
	const { error, answered } = await exhaust(client, 8);
	assert.ok(answered >= 5, `${answered} answered`);
	checkError(error, { status: 429, code: 'rate_limit_exceeded', type: 'rate_limit_error' });
	const { retry_after_ms: pause, headers } = error.error;
	assert.ok(Number.isInteger(pause) && pause > 0 && pause <= 1000, `retry_after_ms ${pause}`);
	assert.equal(headers['x-ratelimit-limit-requests'], '60');
	assert.equal(headers['x-ratelimit-remaining-requests'], '0');
	assert.match(headers['x-ratelimit-reset-requests'], /\d/);
	assert.match(headers['retry-after'], /^1$/);
	await wait(pause);
	assert.equal((await client.turn('after the pause')).text, 'You said: after the pause');
	await client.close();
	await server.stop();
});

test('a limit belongs to one connection: another goes on', async (t) => {
	const { server, chat } = await own(t, { requests_per_minute: 60, burst: 3 });
	const [spent, fresh] = [await chat(), await chat()];
	await exhaust(spent, 6);
	assert.equal((await fresh.turn('unimpressed')).text, 'You said: unimpressed');
	await Promise.all([spent.close(), fresh.close()]);
	await server.stop();
});

test('a refused request does not reach the upstream', async (t) => {
	const { upstream, server, chat } = await own(t, { requests_per_minute: 1, burst: 2 });
	const client = await chat();
	const { answered } = await exhaust(client, 4);
	assert.equal(upstream.requests.length, answered);
	await client.close();
	await server.stop();
});

test('garbage counts as well: a flood of it is limited', async (t) => {
	const { server, chat } = await own(t, { requests_per_minute: 60, burst: 5, abuse_refusals: 1000 });
	const client = await chat();
	for (let n = 0; n < 20; n++) {
		client.send('garbage');
	}
	const limited = await client.wait((event) => event.error?.code === 'rate_limit_exceeded');
	checkError(limited, { status: 429 });
	await client.close();
	await server.stop();
});

test('binary messages count as well, and who does not stop is closed', async (t) => {
	const { server, chat } = await own(t, { requests_per_minute: 60, burst: 5 });
	const client = await chat();
	for (let n = 0; n < 1000 && !client.over; n++) {
		client.send(Buffer.from('x'));
	}
	assert.equal((await within(20_000, client.closed, 'the close')).code, 1008);
	const codes = client.events.map(({ error }) => error.code);
	assert.ok(codes.filter((code) => code === 'binary_not_supported').length < 100, `${codes.length} answers`);
	assert.ok(codes.includes('rate_limit_exceeded'));
	await server.stop();
});

test('whoever does not stop is closed with 1008; others are not', async (t) => {
	const { server, chat } = await own(t, { requests_per_minute: 60, burst: 3, abuse_refusals: 10 });
	const [pest, other] = [await chat(), await chat()];
	for (let n = 0; n < 60; n++) {
		pest.send({ type: 'response.create' });
	}
	const { code } = await within(30_000, pest.closed, 'the pest is closed');
	assert.equal(code, 1008);
	const refusals = pest.events.filter((event) => event.error?.code === 'rate_limit_exceeded');
	assert.ok(refusals.length >= 1, `${refusals.length} refusals before the end`);
	assert.equal((await other.turn('in peace')).text, 'You said: in peace');
	await other.close();
	await server.stop();
});

test('a flood of cancels for ids that nobody knows is limited too', async (t) => {
	const { server, chat } = await own(t, { requests_per_minute: 60, burst: 3, abuse_refusals: 10 });
	const client = await chat();
	for (let n = 0; n < 60; n++) {
		client.send({ type: 'response.cancel', response_id: 'resp_none' });
	}
	const limited = await client.wait((event) => event.error?.code === 'rate_limit_exceeded');
	checkError(limited, { status: 429 });
	client.drop();
	await server.stop();
});

test('HTTP answers tell what is left, then 429 with Retry-After', async (t) => {
	const { server, key } = await own(t, { requests_per_minute: 60, burst: 4 });
	const other = await server.createKey('bob');
	const seen = [];
	for (let n = 0; n < 16; n++) {
		const answer = await server.fetch('/v1/models', { key });
		seen.push(answer);
		assert.equal(answer.headers.get('x-ratelimit-limit-requests'), '60');
		assert.match(answer.headers.get('x-ratelimit-remaining-requests'), /^\d+$/);
		assert.match(answer.headers.get('x-ratelimit-reset-requests'), /\d/);
		if (answer.status === 429) {
			break;
		}
		assert.equal(answer.status, 200);
	}
	const last = seen.at(-1);
	assert.equal(last.status, 429);
	assert.ok(seen.length > 4, `${seen.length - 1} answered`);
	assert.equal(last.headers.get('x-ratelimit-remaining-requests'), '0');
	assert.equal(last.headers.get('retry-after'), '1');
	checkError(await last.json(), { code: 'rate_limit_exceeded', type: 'rate_limit_error' });
	assert.equal((await server.fetch('/v1/models', { key: other })).status, 200, 'another user goes on');
	assert.equal((await server.fetch('/healthz')).status, 200, 'health checks are not limited');
	await server.stop();
});

test('bytes are limited like requests', async (t) => {
	const { server, chat } = await own(t, { bytes_per_second: '1KiB', bytes_burst: '16KiB', max_message: '8KiB' });
	const client = await chat();
	const input = 'b'.repeat(7000);
	await client.turn({ input, store: false });
	await client.turn({ input, store: false });
	client.send({ type: 'response.create', input, store: false });
	const error = checkError(await client.nextError(), { status: 429, code: 'rate_limit_exceeded' });
	assert.ok(error.retry_after_ms > 0 && error.retry_after_ms <= 7000, `${error.retry_after_ms}`);
	await client.close();
	await server.stop();
});

test('turns that wait are limited; those that were taken are answered', async (t) => {
	const { upstream, server, chat } = await own(t, { max_queued: 2 });
	const held = gate();
	upstream.on('running', reply.pauses('a', held));
	const client = await chat();
	client.send({ type: 'response.create', input: 'running' });
	await client.type('response.output_text.delta');
	for (const input of ['waits 1', 'waits 2', 'too many']) {
		client.send({ type: 'response.create', input });
	}
	checkError(await client.nextError(), { status: 429, code: 'turn_queue_full' });
	held.open();
	await client.wait(() => client.events.filter((event) => event.type === 'response.completed').length === 3, { from: 0 });
	assert.deepEqual(upstream.requests.map(({ question }) => question), ['running', 'waits 1', 'waits 2']);
	await client.close();
	await server.stop();
});

test('the limit of a message is what the settings say', async (t) => {
	const { server, chat, key } = await own(t, { max_message: '4KiB' });
	const client = await chat();
	assert.match((await client.turn('x'.repeat(3000))).text, /xxx$/);
	client.send({ type: 'response.create', input: 'x'.repeat(5000) });
	const answer = await Promise.race([client.closed, client.type('error').catch(() => client.closed)]);
	assert.ok(answer.code === 1009 || answer.error?.code === 'message_too_large', JSON.stringify(answer));
	const posted = await server.fetch('/v1/responses', { key, body: { input: 'x'.repeat(5000) } });
	assert.equal(posted.status, 413);
	client.drop();
	await server.stop();
});

test('who finds the server full is told so at once, over HTTP and for a WebSocket, and the others go on', async (t) => {
	const { server, key, chat } = await own(t, {}, { server: { max_connections: 3 } });
	const chats = [await chat(), await chat(), await chat()];
	for (const request of [upgrade(server, key), `GET /v1/models HTTP/1.1\r\nHost: ${server.address}\r\n\r\n`, '']) {
		const late = await dial(server);
		late.write(request);
		const { text } = await late.closed();
		assert.match(text, /^HTTP\/1\.1 503 Service Unavailable\r\n[^]*retry-after: 5\r\n/);
		const [head, body] = text.split('\r\n\r\n');
		assert.equal(Number(/content-length: (\d+)/.exec(head)[1]), body.length);
		assert.equal(JSON.parse(body).error.code, 'server_overloaded');
	}
	const answer = await refused(server, { key });
	assert.deepEqual([answer.status, answer.headers['retry-after']], [503, '5']);
	assert.equal((await chats[0].turn('those inside go on')).text, 'You said: those inside go on');
	await Promise.all(chats.map((one) => one.close()));
	await server.stop();
});

test('an address has so many connections and no more, and gets them back when it closes one', async (t) => {
	const { server, key, chat } = await own(t, { connections_per_address: 4 });
	const chats = [await chat(), await chat(), await chat(), await chat()];
	const fifth = await dial(server);
	fifth.write(upgrade(server, key));
	const { text } = await fifth.closed();
	assert.match(text, /^HTTP\/1\.1 429 Too Many Requests\r\n[^]*retry-after: 5\r\n[^]*"code":"rate_limit_exceeded"/);
	assert.match(text, /connections_per_address/);
	assert.equal((await chats[0].turn('the four go on')).text, 'You said: the four go on');
	await chats[1].close();
	const again = await within(
		20_000,
		(async () => {
			for (;;) {
				const next = await chat().catch(() => undefined);
				if (next) {
					return next;
				}
			}
		})(),
		'a freed place is given again',
	);
	assert.equal((await again.turn('back again')).text, 'You said: back again');
	await Promise.all([again, ...chats].map((one) => one.close()));
	await server.stop();
});

test('a connection that has lived long enough is told so and closed so that clients come back', async (t) => {
	const { server, chat } = await own(t, { connection_lifetime: '400ms' });
	const client = await chat();
	checkError(await client.nextError(), { code: 'websocket_connection_limit_reached' });
	const { code } = await within(30_000, client.closed, 'the old connection is closed');
	assert.ok([1001, 1011, 1012, 1013].includes(code), `a code on which SDKs reconnect, not ${code}`);
	await server.stop();
});

test('a connection whose lifetime ends in mid-answer is let to finish it', async (t) => {
	const { upstream, server, chat } = await own(t, { connection_lifetime: '400ms' });
	const held = gate();
	upstream.on('outlives', reply.pauses('a', held, 'b'));
	const client = await chat();
	client.send({ type: 'response.create', input: 'outlives' });
	await client.type('response.output_text.delta', { from: 0 });
	await wait(600);
	held.open();
	const completed = await client.type('response.completed', { from: 0 });
	assert.equal(completed.response.output[0].content[0].text, 'ab');
	await within(30_000, client.closed, 'and then it is closed');
	assert.equal(client.events.at(-1).error?.code, 'websocket_connection_limit_reached', 'and told why');
	await server.stop();
});

test('pings are sent, and a client that does not answer them is closed', async (t) => {
	const { server, key, chat } = await own(t, { ping_interval: '150ms', pong_timeout: '300ms' });
	const living = await chat();
	const pings = new Promise((resolve) => {
		let count = 0;
		living.socket.on('ping', () => ++count === 5 && resolve());
	});
	const dead = await dial(server);
	dead.write(upgrade(server, key));
	await dead.read(/101 Switching/i);
	await dead.closed(20_000);
	await within(20_000, pings, 'five pings');
	assert.equal((await living.turn('alive')).text, 'You said: alive');
	await living.close();
	await server.stop();
});

test('a reader that does not read holds up nobody, and gets everything in the end', async (t) => {
	const { upstream, server, chat } = await own(t, { max_answer: '16MiB' });
	const word = 'w'.repeat(1000);
	upstream.on('a flood', reply.says(Array.from({ length: 8000 }, () => word)));
	const [lazy, busy] = [await chat(), await chat()];
	lazy.socket.pause();
	const flood = lazy.begin({ input: 'a flood' });
	await upstream.request('a flood');
	for (let n = 0; n < 10; n++) {
		assert.equal((await busy.turn(`busy ${n}`)).text, `You said: busy ${n}`);
	}
	lazy.socket.resume();
	assert.equal((await flood.end).text.length, 8000 * 1000);
	await Promise.all([lazy.close(), busy.close()]);
	await server.stop();
});
