// Restart without a scar: listening sockets that are handed down, and what clients see while the server changes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import http from 'node:http';
import { connect } from '../lib/chat.js';
import { isTerminal } from '../lib/check.js';
import { random } from '../lib/random.js';
import { dial } from '../lib/raw.js';
import { Load, model } from '../lib/restarts.js';
import { program, startServer, within } from '../lib/server.js';
import { eventually } from '../lib/setup.js';
import { boundSocket, handDown } from '../lib/sockets.js';
import { test } from '../lib/test.js';
import { gate, reply, startUpstream } from '../lib/upstream.js';

const RESTARTS = 20;

/** A server on a socket that is handed down, or with `own` on one of its own. */
async function stage(t, { settings = {}, own = false } = {}) {
	const upstream = await startUpstream();
	const socket = own ? undefined : boundSocket();
	const server = await startServer({ upstream, settings, sockets: socket && handDown(socket) });
	t.after(async () => {
		await server.remove();
		socket?.close();
		await upstream.stop();
	});
	const key = await server.createKey('ada');
	return { upstream, server, socket, key, chat: () => connect(server, { key }) };
}

async function resume(chat, response_id, starting_after) {
	const from = chat.events.length;
	chat.send({ type: 'sluice:response.resume', response_id, starting_after });
	await chat.wait(isTerminal, { from });
	return chat.events.slice(from);
}

/** GET on a connection of its own: the status. */
const ask = (server, path = '/healthz') =>
	new Promise((resolve, reject) => {
		const request = http.get(server.url + path, { agent: false, headers: { connection: 'close' } }, (response) => {
			response.resume();
			response.on('end', () => resolve(response.statusCode));
		});
		request.on('error', reject);
	});

/** A gauge or counter of /metrics, by the start of its line. */
async function metric(server, name) {
	const text = await (await server.fetch('/metrics', { headers: { connection: 'close' } })).text();
	return Number(text.split('\n').find((line) => line.startsWith(`${name} `))?.split(' ').at(-1));
}

test('the server serves on the sockets that are handed down, and not on the address of its settings', async (t) => {
	const upstream = await startUpstream();
	const bound = [boundSocket(), boundSocket('127.0.0.2')];
	// A port that is taken: it would not start if it tried to listen there.
	const taken = `${bound[1].host}:${bound[1].port}`;
	const server = await startServer({ upstream, sockets: handDown(...bound), settings: { server: { listen: taken } } });
	t.after(async () => {
		await server.remove();
		bound.forEach((socket) => socket.close());
		await upstream.stop();
	});
	assert.equal(server.address, `127.0.0.1:${bound[0].port}`);
	assert.ok(server.log.some(({ event }) => event.includes('inherited')), 'the log says so');
	const key = await server.createKey('ada');
	for (const { host, port } of bound) {
		const at = { url: `http://${host}:${port}`, wsUrl: `ws://${host}:${port}/v1/responses` };
		assert.equal(await ask(at), 200);
		const chat = await connect(at, { key });
		assert.equal((await chat.turn('over there')).text, 'You said: over there');
		await chat.close();
	}
	assert.match(await server.signin('ada'), new RegExp(`^http://127\\.0\\.0\\.1:${bound[0].port}/`));
	await server.stop();
});

test(`${RESTARTS} restarts under load refuse no connection, and every stream is whole`, { timeout: 180_000 }, async (t) => {
	const { upstream, server, key, chat } = await stage(t, { settings: { server: { drain_timeout: '100ms' } } });
	upstream.fallback = model;
	const load = new Load(server, key, random('restarts under load'));
	load.begin({ chats: 8, strangers: 4 });
	for (let n = 0; n < RESTARTS; n++) {
		await load.progress(200);
		await server.restart();
	}
	await load.end();
	t.diagnostic(load.story(RESTARTS));
	assert.deepEqual(load.scars, []);
	assert.ok(load.closes.get(1012) >= RESTARTS, 'clients were told of the restart');
	assert.ok(load.resumed > 0 && load.turns.completed > 0 && load.turns.incomplete > 0, 'and it was not an idle time');
	const reader = await chat();
	for (const { id, events } of load.cut) {
		assert.deepEqual(await resume(reader, id), events, 'what a restart cut is read again as it was');
	}
	await reader.close();
	await server.stop();
});

test('connections that arrive while nobody listens wait, and are answered by the successor', async (t) => {
	const { server } = await stage(t);
	await server.stop();
	const waiting = Array.from({ length: 50 }, () => ask(server));
	await server.start();
	assert.deepEqual(await Promise.all(waiting), waiting.map(() => 200));
	await server.stop();
});

for (const own of [false, true]) {
	test(`connections that nobody has accepted when SIGTERM comes are answered (${own ? 'own' : 'inherited'} socket)`, async (t) => {
		const { server } = await stage(t, { own });
		server.signal('SIGSTOP');
		let connected = 0;
		const answers = Array.from({ length: 100 }, async () => {
			const wire = await dial(server);
			connected++;
			wire.write(`GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
			return wire.read(/^HTTP\/1\.1 (\d+)/).then(([, status]) => status);
		});
		await eventually(async () => connected, (count) => count === answers.length);
		server.signal('SIGTERM');
		server.signal('SIGCONT');
		assert.deepEqual(await within(30_000, server.exited, 'the end'), { code: 0, signal: null });
		if (!own) {
			await server.start();
		}
		assert.deepEqual(await Promise.all(answers), answers.map(() => '200'));
		if (!own) {
			await server.stop();
		}
	});
}

test('whoever was accepted before SIGTERM and speaks only then is answered like anybody', async (t) => {
	const { server, key } = await stage(t);
	const before = await metric(server, 'sluice_connections_accepted_total');
	const wire = await dial(server);
	await eventually(() => metric(server, 'sluice_connections{kind="http"}'), (count) => count >= 2);
	assert.ok((await metric(server, 'sluice_connections_accepted_total')) > before);
	server.signal('SIGTERM');
	await server.logged(({ event, name }) => event === 'signal' && name === 'SIGTERM');
	wire.write(`GET /v1/conversations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n\r\n`);
	await wire.read(/^HTTP\/1\.1 200 /);
	assert.deepEqual(await within(30_000, server.exited, 'the end'), { code: 0, signal: null });
});

test('a kept-alive connection without a request does not hold up the end', async (t) => {
	const { server } = await stage(t, { own: true });
	const wire = await dial(server);
	wire.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
	await wire.read(/\r\n\r\n[^]+/);
	const began = performance.now();
	await server.stop();
	const took = performance.now() - began;
	assert.ok(took < 1500, `${took} ms`);
	await wire.closed();
	assert.equal(wire.reset, false, 'closed, not reset');
});

test('while it drains, newcomers wait on an inherited socket, and are refused by one of its own', async (t) => {
	for (const own of [false, true]) {
		const { upstream, server, chat } = await stage(t, { own });
		const held = gate();
		upstream.on('last words', reply.pauses('last ', held, 'words'));
		const client = await chat();
		const turn = client.begin({ input: 'last words' });
		await client.type('response.output_text.delta');
		server.signal('SIGTERM');
		await client.type('sluice:draining', { from: 0 });
		const newcomer = own ? assert.rejects(dial(server), { code: 'ECONNREFUSED' }) : ask(server);
		if (own) {
			await newcomer;
		}
		held.open();
		assert.equal((await turn.end).text, 'last words');
		assert.equal((await client.closed).code, 1012);
		await within(30_000, server.exited, 'the end');
		await server.start();
		assert.equal(own ? 200 : await newcomer, 200);
		await server.stop();
	}
});

test('an answer that outlasts the drain is resumed from the successor, as far as it came', async (t) => {
	const { upstream, server, chat } = await stage(t, { settings: { server: { drain_timeout: '300ms' } } });
	upstream.on('never done', reply.stalls(['as far ', 'as it came']));
	const before = await chat();
	const turn = before.begin({ input: 'never done' });
	const { id } = await turn.created;
	await before.wait(({ delta }) => delta?.includes('came'));
	await server.restart();
	assert.equal((await before.closed).code, 1012);
	const { events, response } = await turn.end;
	assert.equal(response.status, 'incomplete');
	assert.equal(response.incomplete_details.reason, 'server_restart');
	const after = await chat();
	assert.deepEqual(await resume(after, id), events);
	assert.deepEqual(await resume(after, id, 3), events.slice(4));
	await after.turn({ input: 'go on', previous_response_id: id });
	assert.equal(upstream.asked('go on')[0].messages[1].content, 'as far as it came');
	await after.close();
	await server.stop();
});

/** Starts sluiced with these descriptors from 3 on and waits for its end: what it wrote on standard error. */
async function refusal(server, descriptors, env) {
	const script = `${env.pid ?? 'LISTEN_PID=$$'} exec "$0" "$@"`;
	const child = spawn('sh', ['-c', script, program('sluiced'), '-c', server.file], {
		env: { ...process.env, LISTEN_FDS: env.fds },
		stdio: ['ignore', 'ignore', 'pipe', ...descriptors],
	});
	let stderr = '';
	child.stderr.on('data', (bytes) => (stderr += bytes));
	const code = await within(30_000, new Promise((resolve) => child.once('close', resolve)), 'the refusal');
	assert.ok(code > 0, `exit ${code}: ${stderr}`);
	return stderr;
}

test('what is handed down and cannot be listened on stops the start and is named', async (t) => {
	const { server } = await stage(t, { own: true });
	await server.stop();
	const bound = boundSocket();
	const file = openSync('/dev/null');
	t.after(() => {
		bound.close();
		closeSync(file);
	});
	assert.match(await refusal(server, [file], { fds: '1' }), /descriptor 3 is not a socket/);
	assert.match(await refusal(server, [bound.descriptor], { fds: '1' }), /descriptor 3 is not a listening TCP socket/);
	assert.match(await refusal(server, [], { fds: '1' }), /descriptor 3 is not a socket/);
	assert.match(await refusal(server, [bound.descriptor], { fds: 'many' }), /LISTEN_FDS is 'many'/);
	assert.match(await refusal(server, [bound.descriptor], { fds: '1', pid: 'LISTEN_PID=me' }), /LISTEN_PID is 'me'/);
});

test('descriptors that are meant for another process are left alone', async (t) => {
	const { server } = await stage(t, { own: true });
	await server.stop();
	server.env.LISTEN_PID = String(process.pid);
	server.env.LISTEN_FDS = '1';
	await server.start();
	assert.equal(await ask(server), 200);
	await server.stop();
});
