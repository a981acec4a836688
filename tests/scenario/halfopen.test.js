// A connection whose other end is gone without a word (a phone out of reach, a router switched off) is found within ping plus
// pong time, whether it was idle or had events to send; a stored response does not notice.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { connect } from '../lib/chat.js';
import { checkStream, isTerminal } from '../lib/check.js';
import { connectFar, isApart, layCable, runApart, whyNotApart } from '../lib/far.js';
import { startServer, within } from '../lib/server.js';
import { eventually } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply, startUpstream } from '../lib/upstream.js';

const PING_MS = 2000;
const PONG_MS = 1000;
const HEARTBEAT_MS = 500;
const IDLE_MS = 2000;
/** For ticks of the wheel and a busy machine. */
const SLACK_MS = 1500;

async function stage(t, connects = connectFar) {
	const upstream = await startUpstream();
	const limits = {
		ping_interval: `${PING_MS}ms`,
		pong_timeout: `${PONG_MS}ms`,
		heartbeat_interval: `${HEARTBEAT_MS}ms`,
		idle_timeout: `${IDLE_MS}ms`,
		max_answer: '64MiB',
	};
	const server = await startServer({ upstream, settings: { server: { listen: '0.0.0.0:0' }, limits } });
	t.after(async () => {
		await server.remove();
		await upstream.stop();
	});
	const key = await server.createKey('ada');
	const far = await connects(server, key);
	t.after(() => far.remove());
	return { upstream, server, key, far };
}

const metric = async (server, name) => {
	const text = await (await server.fetch('/metrics')).text();
	return Number(text.split('\n').find((line) => line.startsWith(`${name} `)).split(' ')[1]);
};
const WEBSOCKETS = 'sluice_connections{kind="websocket"}';

/** Cuts the cable and waits until the server has given the connection up, which must take no longer than it may. */
async function cutAndFind({ server, far }, whileSilent = async () => {}) {
	assert.equal(await metric(server, WEBSOCKETS), 1);
	const timeouts = await metric(server, 'sluice_timeouts_total');
	const from = server.log.length;
	const found = server.logged(({ event }) => event === 'session closed', { from }).then(() => performance.now());
	await far.cut();
	const start = performance.now();
	await whileSilent();
	const took = (await within(30_000, found, 'the connection is found dead')) - start;
	assert.ok(took <= PING_MS + PONG_MS + SLACK_MS, `found after ${took} ms`);
	assert.equal(await metric(server, 'sluice_timeouts_total'), timeouts + 1, 'by a deadline');
	await eventually(() => metric(server, WEBSOCKETS), (count) => count === 0);
	assert.ok(!far.lines.some(({ closed }) => closed), 'the far end has not noticed');
}

function scenarios() {
	test('idle', async (t) => {
		const all = await stage(t);
		await cutAndFind(all);
		await all.server.stop();
	});

	test('while a turn waits for the model and heartbeats pile up in the socket', async (t) => {
		const all = await stage(t);
		const { upstream, server, key, far } = all;
		const held = gate();
		upstream.on('silent', reply.pauses('begun, ', held, 'and done'));
		far.tell({ send: { type: 'response.create', input: 'silent' } });
		await far.type('response.output_text.delta');
		await cutAndFind(all);
		const chat = await connect(server, { key });
		const { id } = far.events[0].response;
		const seen = far.events.filter(({ type }) => type.startsWith('response.'));
		chat.send({ type: 'sluice:response.resume', response_id: id, starting_after: seen.at(-1).sequence_number });
		held.open();
		await chat.wait(isTerminal);
		const rest = chat.events.filter(({ type }) => type.startsWith('response.'));
		assert.equal(checkStream([...seen, ...rest]).text, 'begun, and done');
		await chat.close();
		await server.stop();
	});

	test('while more streams than the socket can hold', async (t) => {
		const all = await stage(t);
		const { upstream, server, key, far } = all;
		const [flows, ends] = [gate(), gate()];
		const [word, words] = ['w'.repeat(4000), 6000];
		let took = false;
		upstream.on('flood', async (x) => {
			await x.say('begun, ');
			await flows.passed;
			for (let n = 0; n < words; n++) {
				await x.say(word);
			}
			took = true;
			await ends.passed;
			await x.finish();
			await x.done();
		});
		far.tell({ send: { type: 'response.create', input: 'flood' } });
		await far.type('response.output_text.delta');
		const seen = far.events.filter(({ type }) => type.startsWith('response.'));
		await cutAndFind(all, async () => flows.open());
		assert.ok(took, 'the server had all of it by then, several times what a socket holds');
		const chat = await connect(server, { key });
		const response_id = seen[0].response.id;
		chat.send({ type: 'sluice:response.resume', response_id, starting_after: seen.at(-1).sequence_number });
		await chat.type('response.output_text.delta');
		ends.open();
		await chat.wait(isTerminal);
		const rest = chat.events.filter(({ type }) => type.startsWith('response.'));
		assert.equal(checkStream([...seen, ...rest]).text, `begun, ${word.repeat(words)}`);
		await chat.close();
		await server.stop();
	});

	test('with store: false the model is stopped then', async (t) => {
		const all = await stage(t);
		const { upstream, server, far } = all;
		upstream.on('not kept', reply.stalls('begun'));
		far.tell({ send: { type: 'response.create', input: 'not kept', store: false } });
		await far.type('response.output_text.delta');
		await cutAndFind(all);
		await upstream.asked('not kept')[0].hungUp();
		await server.stop();
	});

	test('an event stream, whose heartbeats are acknowledged no more', async (t) => {
		const { upstream, server, key, far } = await stage(t, layCable);
		upstream.on('streamed', reply.stalls('begun'));
		const body = { input: 'streamed', store: false, stream: true };
		far.tell({ post: { url: `http://${far.near}:${server.port}/v1/responses`, key, body } });
		await far.said(({ bytes }) => bytes?.includes('output_text.delta'));
		// A living reader stays for longer than the deadline: what it acknowledges counts.
		const beats = () => far.lines.filter(({ bytes }) => bytes?.includes(': heartbeat')).length;
		await far.until(() => beats() > (2 * IDLE_MS) / HEARTBEAT_MS);
		await far.cut();
		const start = performance.now();
		const { early } = await within(30_000, upstream.asked('streamed')[0].closed, 'the model is stopped');
		const took = performance.now() - start;
		assert.ok(early && took <= HEARTBEAT_MS + IDLE_MS + SLACK_MS, `stopped after ${took} ms`);
		assert.ok(!far.lines.some(({ closed }) => closed), 'the far end has not noticed');
		await server.stop();
	});
}

if (isApart) {
	// Each waits most of the time, and has a server of its own.
	describe('half-open', { concurrency: 2 }, scenarios);
} else {
	const why = whyNotApart();
	test('half-open connections are found within ping plus pong time', { skip: why ?? false }, () => runApart(import.meta.url));
}
