// Several loops in one process: who is where, and that nothing shows it.
import assert from 'node:assert/strict';
import { connect } from '../lib/chat.js';
import { checkError } from '../lib/check.js';
import { random } from '../lib/random.js';
import { dial } from '../lib/raw.js';
import { Load, model } from '../lib/restarts.js';
import { startServer, within } from '../lib/server.js';
import { eventually } from '../lib/setup.js';
import { boundSocket, handDown } from '../lib/sockets.js';
import { test } from '../lib/test.js';
import { gate, reply, startUpstream } from '../lib/upstream.js';

const LOOPS = 3;
const RESTARTS = 5;

async function own(t, { settings = {}, ...options } = {}) {
	const upstream = await startUpstream();
	const server = await startServer({
		upstream,
		...options,
		env: { SLUICE_SERVER_LOOPS: String(LOOPS) },
		settings,
	});
	t.after(async () => {
		await server.remove();
		await upstream.stop();
	});
	const key = await server.createKey('ada');
	return { upstream, server, key };
}

/** One request on this connection: { status, body, head, loop }, the loop as the log has it. */
async function ask(server, wire, method, target, { headers = {}, body } = {}) {
	const lines = Object.entries({ Host: server.address, ...headers, ...(body ? { 'Content-Length': body.length } : {}) });
	wire.text = '';
	wire.write(`${method} ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body ?? ''}`);
	const [, status, head] = await wire.read(/^HTTP\/1\.1 (\d+)([^]*?)\r\n\r\n/);
	const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
	await wire.read(new RegExp(`\\r\\n\\r\\n[^]{${length}}`));
	const [, id] = /x-request-id: (\S+)/i.exec(head);
	const { loop } = await server.logged(({ event, request }) => event === 'request' && request === id);
	return { status: Number(status), head, body: wire.text.split('\r\n\r\n').slice(1).join('\r\n\r\n'), loop: Number(loop) };
}

/** A new connection that was asked for something: what came of it, and the connection. */
async function visit(server, target = '/healthz', options = {}) {
	const wire = await dial(server);
	return { wire, ...(await ask(server, wire, options.method ?? 'GET', target, options)) };
}

const bearer = (key) => ({ headers: { Authorization: `Bearer ${key}` } });
const statuses = (answers) => answers.map(({ status }) => status);

/** How many are on each loop. */
function tally(visits) {
	const counts = Array(LOOPS).fill(0);
	visits.forEach(({ loop }) => counts[loop]++);
	return counts;
}

/** One connection on each loop, in the order of the loops, that was asked for this. */
async function everywhere(server, target, options) {
	const visits = [];
	for (let n = 0; n < LOOPS; n++) {
		visits.push(await visit(server, target, options));
	}
	assert.deepEqual(tally(visits), Array(LOOPS).fill(1), 'one on each loop');
	return visits.sort((a, b) => a.loop - b.loop);
}

/** `count` WebSockets, evenly over the loops: each with its loop. */
async function chatsEverywhere(server, key, count = LOOPS) {
	const chats = [];
	for (let n = 0; n < count; n++) {
		const from = server.log.length;
		const chat = await connect(server, { key });
		const { loop } = await server.logged(({ event }) => event === 'session opened', { from });
		chats.push(Object.assign(chat, { loop: Number(loop) }));
	}
	assert.deepEqual(tally(chats), Array(LOOPS).fill(count / LOOPS));
	return chats;
}

const metricOf = (text, name) => Number(text.split('\n').find((line) => line.startsWith(`${name} `))?.split(' ').at(-1));

test('connections are spread evenly, and whoever comes goes where others left', async (t) => {
	const { server } = await own(t);
	const visits = [];
	for (let n = 0; n < 10 * LOOPS; n++) {
		visits.push(await visit(server));
	}
	assert.deepEqual(statuses(visits), visits.map(() => 200));
	assert.deepEqual(tally(visits), Array(LOOPS).fill(10));
	// All but one of one loop go; so many newcomers take their places.
	const watch = visits.find(({ loop }) => loop === 0);
	for (const gone of [1, 2, 0]) {
		const leaving = visits.filter((one) => one.loop === gone && one !== watch);
		leaving.forEach(({ wire }) => wire.drop());
		const left = visits.length - leaving.length;
		await eventually(
			async () => metricOf((await ask(server, watch.wire, 'GET', '/metrics')).body, 'sluice_connections{kind="http"}'),
			(count) => count === left,
		);
		for (const one of leaving) {
			visits.splice(visits.indexOf(one), 1, await visit(server));
		}
		assert.deepEqual(tally(visits), Array(LOOPS).fill(10), `after loop ${gone} was left`);
	}
	await server.stop();
});

test('an address has so many connections on all loops together', async (t) => {
	const { server } = await own(t, { settings: { limits: { connections_per_address: 4 } } });
	const visits = [];
	for (let n = 0; n < 4; n++) {
		visits.push(await visit(server));
	}
	const fifth = await dial(server);
	assert.match((await fifth.closed()).text, /^HTTP\/1\.1 429 /);
	visits[2].wire.drop();
	await eventually(
		async () => metricOf((await ask(server, visits[0].wire, 'GET', '/metrics')).body, 'sluice_connections{kind="http"}'),
		(count) => count === 3,
	);
	assert.equal((await visit(server)).status, 200, 'a freed place is given again');
	await server.stop();
});

test('the server has so many connections on all loops together', async (t) => {
	const { server } = await own(t, { settings: { server: { max_connections: 5 } } });
	for (let n = 0; n < 5; n++) {
		assert.equal((await visit(server)).status, 200);
	}
	const sixth = await dial(server);
	assert.match((await sixth.closed()).text, /^HTTP\/1\.1 503 /);
	await server.stop();
});

test('a user has so many requests on all loops together', async (t) => {
	const { server, key } = await own(t, { settings: { limits: { requests_per_minute: 1, burst: 6 } } });
	const visits = [];
	for (let n = 0; n < 3 * LOOPS; n++) {
		visits.push(await visit(server, '/v1/models', bearer(key)));
	}
	assert.deepEqual(statuses(visits), [200, 200, 200, 200, 200, 200, 429, 429, 429]);
	assert.deepEqual(tally(visits), [3, 3, 3]);
	await server.stop();
});

test('metrics say the same on every loop: the sum of all', async (t) => {
	const { server, key } = await own(t);
	const chats = await chatsEverywhere(server, key);
	for (const chat of chats) {
		await chat.turn({ input: 'counted' });
	}
	const texts = (await everywhere(server, '/metrics')).map(({ body }) => body);
	for (const text of texts) {
		assert.equal(metricOf(text, 'sluice_connections{kind="websocket"}'), LOOPS);
		assert.equal(metricOf(text, 'sluice_ws_messages_total'), LOOPS);
		assert.equal(text.match(/^sluice_connections\{kind="websocket"\}/gm).length, 1, 'one line');
	}
	assert.deepEqual(
		texts.map((text) => metricOf(text, 'sluice_connections_accepted_total')),
		texts.map((_, n) => LOOPS + n + 1),
	);
	await Promise.all(chats.map((chat) => chat.close()));
	await server.stop();
});

test('every loop is alive and ready', async (t) => {
	const { server } = await own(t);
	assert.deepEqual(statuses(await everywhere(server, '/healthz')), Array(LOOPS).fill(200));
	for (const { status, body } of await everywhere(server, '/readyz')) {
		assert.equal(status, 200);
		assert.equal(JSON.parse(body).upstreams.length, 1);
	}
	await server.stop();
});

test('a key works on every loop the moment it is made, and on none once it is revoked', async (t) => {
	const { upstream, server } = await own(t);
	const key = await server.createKey('eve');
	const [{ id }] = JSON.parse(await server.ctl('key', 'list', '--json')).filter(({ user }) => user === 'eve');
	const visits = await everywhere(server, '/v1/models', bearer(key));
	assert.deepEqual(statuses(visits), Array(LOOPS).fill(200));
	const chats = await chatsEverywhere(server, key);
	await server.ctl('key', 'revoke', id);
	for (const { wire } of visits) {
		assert.equal((await ask(server, wire, 'GET', '/v1/models', bearer(key))).status, 401);
	}
	for (const chat of chats) {
		chat.send({ type: 'response.create', input: 'one more' });
		const event = await Promise.race([chat.type('error').catch(() => chat.closed), chat.closed]);
		assert.ok(event.code === 1008 || checkError(event, { status: 401, code: 'invalid_api_key' }), JSON.stringify(event));
	}
	assert.equal(upstream.asked('one more').length, 0);
	chats.forEach((chat) => chat.drop());
	await server.stop();
});

test('a sign-in that was made on one loop holds on all, and so does its end', async (t) => {
	const { server } = await own(t);
	const wires = await everywhere(server, '/healthz');
	for (const { wire } of wires) {
		const token = /#signin=(\S+)$/.exec(await server.signin('ada'))[1];
		const json = { Origin: server.url, 'Content-Type': 'application/json' };
		const body = JSON.stringify({ token });
		const made = await ask(server, wire, 'POST', '/v1/session', { headers: json, body });
		assert.equal(made.status, 200);
		const [, cookie] = /set-cookie: (sluice_session=[^;]+)/i.exec(made.head);
		const headers = { Cookie: cookie, Origin: server.url };
		for (const other of wires) {
			assert.equal((await ask(server, other.wire, 'GET', '/v1/session', { headers })).status, 200);
			assert.notEqual((await ask(server, other.wire, 'POST', '/v1/session', { headers: json, body })).status, 200, 'once');
		}
		const gone = await ask(server, wire, 'DELETE', '/v1/session', { headers });
		assert.ok(gone.status < 300, `${gone.status}`);
		for (const other of wires) {
			assert.equal((await ask(server, other.wire, 'GET', '/v1/session', { headers })).status, 401);
		}
	}
	await server.stop();
});

test('a conversation is continued from any loop', async (t) => {
	const { upstream, server, key } = await own(t);
	const chats = await chatsEverywhere(server, key);
	let previous_response_id;
	for (let n = 0; n < 2 * LOOPS; n++) {
		const { response } = await chats[n % LOOPS].turn({ input: `turn ${n}`, previous_response_id });
		previous_response_id = response.id;
		assert.equal(upstream.asked(`turn ${n}`)[0].messages.length, 2 * n + 1, 'the model is shown all turns before');
	}
	await Promise.all(chats.map((chat) => chat.close()));
	await server.stop();
});

test('an event that was never told is refused to whoever asks for it, also beside one who reads along on the same loop', async (t) => {
	const { upstream, server, key } = await own(t);
	const chats = await chatsEverywhere(server, key);
	const held = gate();
	upstream.on('read along', reply.pauses('first ', held, 'last'));
	const turn = chats[0].begin({ input: 'read along' });
	const { id: response_id } = await turn.created;
	const told = ({ delta }) => delta === 'first ';
	const { sequence_number: last } = await chats[0].wait(told, { from: 0 });
	for (const chat of chats) {
		const resume = (stream_id, starting_after) =>
			chat.send({ type: 'sluice:response.resume', response_id, stream_id, ...(starting_after && { starting_after }) });
		const of = (stream_id, fits) => chat.wait((event) => event.stream_id === stream_id && fits(event), { from: 0 });
		resume('along');
		await of('along', told);
		resume('made-up', last + 100);
		checkError(await of('made-up', () => true), { status: 400, code: 'invalid_value', param: 'starting_after' });
		resume('behind', last);
	}
	held.open();
	const { events } = await turn.end;
	for (const chat of chats) {
		for (const [lane, from] of Object.entries({ along: 0, behind: last + 1 })) {
			await chat.wait(({ type, stream_id }) => type === 'response.completed' && stream_id === lane, { from: 0 });
			const numbers = chat.events.filter(({ stream_id }) => stream_id === lane).map((event) => event.sequence_number);
			assert.deepEqual(numbers, events.slice(from).map((event) => event.sequence_number), `${lane} on loop ${chat.loop}`);
		}
	}
	await Promise.all(chats.map((chat) => chat.close()));
	await server.stop();
});

test('SIGTERM drains all loops: what runs on each is finished, told, and stored', async (t) => {
	const { upstream, server, key } = await own(t);
	const chats = await chatsEverywhere(server, key, 2 * LOOPS);
	const held = gate();
	upstream.on('last words', reply.pauses('last ', held, 'words'));
	// One on each loop is idle.
	const [idle, busy] = [chats.slice(0, LOOPS), chats.slice(LOOPS)];
	const turns = busy.map((chat) => chat.begin({ input: 'last words' }));
	await Promise.all(busy.map((chat) => chat.type('response.output_text.delta')));
	server.signal('SIGTERM');
	for (const chat of idle) {
		assert.equal((await chat.closed).code, 1012);
	}
	await Promise.all(busy.map((chat) => chat.type('sluice:draining', { from: 0 })));
	held.open();
	const ids = [];
	for (const [n, turn] of turns.entries()) {
		const { text, response } = await turn.end;
		assert.equal(text, 'last words');
		assert.equal((await busy[n].closed).code, 1012);
		ids.push(response.id);
	}
	assert.deepEqual(await within(30_000, server.exited, 'the end'), { code: 0, signal: null });
	await server.start();
	for (const id of ids) {
		const stored = await (await server.fetch(`/v1/responses/${id}`, { key })).json();
		assert.equal(stored.status, 'completed');
		assert.equal(stored.output[0].content[0].text, 'last words');
	}
	await server.stop();
});

test('what outlasts the drain is stored as far as it came, on every loop', async (t) => {
	const { upstream, server, key } = await own(t, { settings: { server: { drain_timeout: '300ms' } } });
	upstream.on('never done', reply.stalls(['as far ', 'as it came']));
	const chats = await chatsEverywhere(server, key);
	const turns = chats.map((chat) => chat.begin({ input: 'never done' }));
	await Promise.all(chats.map((chat) => chat.wait(({ delta }) => delta?.includes('came'), { from: 0 })));
	await server.restart();
	for (const [n, turn] of turns.entries()) {
		const { response } = await turn.end;
		assert.equal(response.incomplete_details.reason, 'server_restart');
		assert.equal((await chats[n].closed).code, 1012);
		const stored = await (await server.fetch(`/v1/responses/${response.id}`, { key })).json();
		assert.deepEqual(stored, response);
	}
	await server.stop();
});

test('a second signal stops all loops at once', async (t) => {
	const { upstream, server, key } = await own(t);
	upstream.on('never done', reply.stalls(['as far as it came']));
	const chats = await chatsEverywhere(server, key);
	chats.forEach((chat) => chat.send({ type: 'response.create', input: 'never done' }));
	await Promise.all(chats.map((chat) => chat.type('response.output_text.delta')));
	server.signal('SIGTERM');
	await Promise.all(chats.map((chat) => chat.type('sluice:draining', { from: 0 })));
	server.signal('SIGINT');
	assert.deepEqual(await within(10_000, server.exited, 'the end'), { code: 0, signal: null });
	await Promise.all(chats.map((chat) => chat.closed));
});

test('after a kill each response is found, on whatever loop it ran', async (t) => {
	const { upstream, server, key } = await own(t);
	const chats = await chatsEverywhere(server, key, 2 * LOOPS);
	const held = gate();
	upstream.on('killed', reply.pauses('before ', held, 'after'));
	const ids = [];
	for (const chat of chats) {
		ids.push((await chat.begin({ input: 'killed' }).created).id);
	}
	await server.kill();
	await server.start();
	for (const id of ids) {
		const { status, incomplete_details } = await (await server.fetch(`/v1/responses/${id}`, { key })).json();
		assert.deepEqual({ status, incomplete_details }, { status: 'incomplete', incomplete_details: { reason: 'server_restart' } });
	}
	held.open();
	await server.stop();
});

test(`${RESTARTS} restarts under load refuse no connection, and every stream is whole`, { timeout: 180_000 }, async (t) => {
	const socket = boundSocket();
	t.after(() => socket.close());
	const { upstream, server, key } = await own(t, {
		sockets: handDown(socket),
		settings: { server: { drain_timeout: '100ms' } },
	});
	upstream.fallback = model;
	const load = new Load(server, key, random('restarts of several loops under load'));
	t.after(() => (load.over = true));
	load.begin({ chats: 2 * LOOPS, strangers: 2 * LOOPS });
	for (let n = 0; n < RESTARTS; n++) {
		await load.progress(200);
		await server.restart();
	}
	await load.end();
	t.diagnostic(load.story(RESTARTS));
	assert.deepEqual(load.scars, []);
	assert.ok(load.closes.get(1012) >= RESTARTS, 'clients were told of the restart');
	await server.stop();
});

test('a loop that cannot be opened stops the start, and says why', async (t) => {
	const { server } = await own(t);
	await server.stop();
	const taken = boundSocket();
	t.after(() => taken.close());
	server.settings.server.listen = '192.0.2.1:80';
	await assert.rejects(server.start(), /"code":1,"signal":null[^]*can't listen on 192\.0\.2\.1 port 80/);
});
