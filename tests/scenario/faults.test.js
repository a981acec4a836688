// Faults on purpose: cancels at every moment, kills under load, too few descriptors, readers that do not read.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { connect } from '../lib/chat.js';
import { checkResponse, isTerminal } from '../lib/check.js';
import { dial, frame, upgrade } from '../lib/raw.js';
import { random } from '../lib/random.js';
import { startServer, within } from '../lib/server.js';
import { eventually, setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply, startUpstream } from '../lib/upstream.js';

const stage = setup();

async function own(t, options = {}) {
	const upstream = await startUpstream();
	t.after(() => upstream.stop());
	const server = await startServer({ upstream, ...options });
	t.after(() => server.remove());
	return { upstream, server, key: await server.createKey('ada') };
}

test('a cancel at every event of a response gives exactly one terminal event, and the next turn works', async () => {
	const chat = await stage.chat();
	const words = ['a ', 'b ', 'c ', 'd'];
	stage.upstream.on('cancelled somewhere', reply.says(words));
	for (let at = 0; at < 12; at++) {
		const from = chat.events.length;
		const turn = chat.begin({ input: 'cancelled somewhere' });
		const { id } = await turn.created;
		await chat.wait(() => {
			const mine = chat.events.slice(from);
			return mine.length > at || mine.some(isTerminal);
		}, { from });
		chat.send({ type: 'response.cancel', response_id: id });
		const { response, text } = await turn.end;
		assert.ok(['completed', 'incomplete'].includes(response.status));
		assert.ok(words.join('').startsWith(text), `part of what was said: ${text}`);
		if (response.status === 'incomplete') {
			assert.equal(response.incomplete_details.reason, 'cancelled');
		}
		const next = await chat.turn(`after cancel ${at}`);
		assert.equal(next.text, `You said: after cancel ${at}`);
		const terminals = chat.events.slice(from).filter((event) => isTerminal(event) && event.response.id === id);
		assert.equal(terminals.length, 1, 'one terminal event, also later');
	}
	await chat.close();
});

test('however it is cancelled, what came is kept and the model is hung up before that is acknowledged', async () => {
	const [chat, other] = [await stage.chat(), await stage.chat()];
	const ways = {
		'by its id': (id) => chat.send({ type: 'response.cancel', response_id: id }),
		'by its lane': () => chat.send({ type: 'sluice:response.cancel' }),
		'from another device': (id) => other.send({ type: 'sluice:response.cancel', response_id: id }),
		'over HTTP': async (id) => {
			const answer = await stage.fetch(`/v1/responses/${id}/cancel`, { method: 'POST' });
			assert.equal((await answer.json()).incomplete_details.reason, 'cancelled');
		},
	};
	const cancelled = async () => Number(/^sluice_cancel_seconds_count (\d+)/m.exec(await (await stage.fetch('/metrics')).text())[1]);
	const before = await cancelled();
	let count = 0;
	for (const [way, cancel] of Object.entries(ways)) {
		for (const words of [[], ['one '], ['one ', 'two ', 'three ']]) {
			const question = `cancelled ${way} after ${words.length}`;
			stage.upstream.on(question, reply.stalls(words));
			const turn = chat.begin({ input: question });
			const { id } = await turn.created;
			const x = await stage.upstream.request(question);
			const deltas = () => chat.events.slice(turn.from).filter(({ type }) => type === 'response.output_text.delta');
			await chat.wait(() => deltas().map(({ delta }) => delta).join('') === words.join(''), { from: turn.from });
			await cancel(id);
			const { response, text } = await turn.end;
			assert.equal(response.incomplete_details.reason, 'cancelled');
			assert.equal(text, words.join(''));
			await x.hungUp();
			assert.equal(await cancelled(), before + ++count);
		}
	}
	await chat.close();
	await other.close();
});

test('two cancels at once are one: the second is told that it is late, or nothing', async () => {
	stage.upstream.on('cancelled twice', reply.stalls('x'));
	const chat = await stage.chat();
	const turn = chat.begin({ input: 'cancelled twice' });
	const { id } = await turn.created;
	await chat.type('response.output_text.delta');
	chat.send({ type: 'response.cancel', response_id: id });
	chat.send({ type: 'response.cancel', response_id: id });
	assert.equal((await turn.end).response.incomplete_details.reason, 'cancelled');
	assert.equal((await chat.turn('after two cancels')).text, 'You said: after two cancels');
	assert.equal(chat.events.filter((event) => isTerminal(event) && event.response.id === id).length, 1);
	await chat.close();
});

test('killed at random under load, again and again: what was acknowledged is there, and nothing is stuck', { timeout: 180_000 }, async (t) => {
	const dice = random('kills');
	const { upstream, server, key } = await own(t);
	upstream.fallback = async (x) => {
		for (const word of ['one ', 'two ', 'three ', x.question]) {
			await x.say(word);
			await new Promise(setImmediate);
		}
		await x.finish();
		await x.done();
	};
	const acknowledged = new Map();
	const begun = new Set();
	for (let round = 0; round < 8; round++) {
		const chats = await Promise.all(Array.from({ length: 6 }, () => connect(server, { key })));
		const load = chats.map(async (chat, at) => {
			for (let turn = 0; ; turn++) {
				const { created, end } = chat.begin({ input: `round ${round} chat ${at} turn ${turn}` });
				begun.add((await created).id);
				const { response } = await end;
				acknowledged.set(response.id, response);
			}
		});
		const stopped = Promise.allSettled(load);
		const enough = acknowledged.size + dice.integer(5, 60);
		await within(
			60_000,
			(async () => {
				while (acknowledged.size < enough) {
					await new Promise(setImmediate);
				}
			})(),
			'the load makes progress',
		);
		await server.kill();
		await stopped;
		await server.restart();
		for (const [id, response] of acknowledged) {
			const answer = await server.fetch(`/v1/responses/${id}`, { key });
			assert.deepEqual(await answer.json(), response, `round ${round}, seed ${dice.seed}`);
		}
		for (const id of begun) {
			const answer = await server.fetch(`/v1/responses/${id}`, { key });
			assert.equal(answer.status, 200, `a response whose created event was seen is there: round ${round}, seed ${dice.seed}`);
			const response = await answer.json();
			checkResponse(response);
			assert.notEqual(response.status, 'in_progress', `nothing is stuck: round ${round}, seed ${dice.seed}`);
		}
	}
	await server.stop();
});

const cpuTicks = async (pid) => {
	const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
	return Number(fields[11]) + Number(fields[12]);
};

test('when newcomers have taken every descriptor they may, those who are there still reach the model', async (t) => {
	const { server, upstream, key } = await own(t, { wrapper: ['prlimit', '--nofile=200:200'] });
	const held = gate();
	upstream.fallback = reply.pauses('first ', held, 'second');
	const chats = await Promise.all(Array.from({ length: 40 }, () => connect(server, { key })));
	const wires = [];
	for (let n = 0; n < 200; n++) {
		const wire = await dial(server).catch(() => undefined);
		if (wire) {
			wires.push(wire);
		}
	}
	const turns = chats.map((chat, n) => chat.begin({ input: `turn ${n}` }));
	await Promise.all(chats.map((chat) => chat.type('response.output_text.delta')));
	held.open();
	await Promise.all(turns.map(({ end }) => end));
	wires.forEach((wire) => wire.drop());
	await Promise.all(chats.map((chat) => chat.close()));
});

test('out of descriptors the server neither spins nor floods its log, and recovers', async (t) => {
	const { server, key } = await own(t, { wrapper: ['prlimit', '--nofile=200:200'] });
	const { pid } = server.child;
	const wires = [];
	for (let n = 0; n < 300; n++) {
		const wire = await dial(server).catch(() => undefined);
		if (wire) {
			wires.push(wire);
		}
	}
	const [ticks, lines] = [await cpuTicks(pid), server.lines.length];
	await new Promise((resolve) => setTimeout(resolve, 2000));
	const spent = (await cpuTicks(pid)) - ticks;
	assert.ok(spent < 100, `${spent} of 200 ticks: the loop spins`);
	assert.ok(server.lines.length - lines < 50, `${server.lines.length - lines} lines in two seconds`);
	assert.ok(server.log.some(({ event }) => /descriptor/.test(event)), 'the server did run short');
	wires.forEach((wire) => wire.drop());
	await Promise.all(wires.map((wire) => wire.ended));
	const chat = await within(
		30_000,
		(async () => {
			for (;;) {
				const one = await connect(server, { key }).catch(() => undefined);
				if (one) {
					return one;
				}
			}
		})(),
		'the server takes connections again',
	);
	assert.equal((await chat.turn('recovered')).text, 'You said: recovered');
	await chat.close();
	await server.stop();
});

test('who sends to an event stream that it follows, or leaves it in a silence, does not make the server spin', async (t) => {
	const { upstream, server, key } = await own(t, { settings: { limits: { ping_interval: '200ms' } } });
	upstream.on('silence', reply.stalls('a word'));
	const chat = await connect(server, { key });
	const { id } = await chat.begin({ input: 'silence' }).created;
	for (const spoil of [(wire) => wire.write('GET / HTTP/1.1\r\n'), (wire) => wire.socket.end()]) {
		const wire = await dial(server);
		wire.write(`GET /v1/responses/${id}?stream=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n\r\n`);
		await wire.read(/output_text\.delta/);
		spoil(wire);
		const ticks = await cpuTicks(server.child.pid);
		let pings = 5;
		await new Promise((resolve) => chat.socket.on('ping', () => --pings === 0 && resolve()));
		const spent = (await cpuTicks(server.child.pid)) - ticks;
		assert.ok(spent < 50, `${spent} of 100 ticks: the loop spins`);
		wire.drop();
	}
	chat.drop();
});

const residentKiB = async (pid) => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))[1]);

test('what a reader does not read is not kept for it encoded', async (t) => {
	const { upstream, server, key } = await own(t);
	const word = 'w'.repeat(4000);
	const megabytes = 4;
	upstream.on('much', reply.says(Array.from({ length: megabytes * 256 }, () => word)));
	const before = await residentKiB(server.child.pid);
	const lazy = await Promise.all(Array.from({ length: 10 }, () => connect(server, { key })));
	for (const chat of lazy) {
		chat.socket.pause();
		chat.send({ type: 'response.create', input: 'much', store: false });
	}
	await Promise.all(lazy.map((_, at) => upstream.request('much', at + 1).then(({ closed }) => closed)));
	const running = async () => Number(/^sluice_responses_live (\d+)/m.exec(await (await server.fetch('/metrics')).text())[1]);
	await eventually(running, (count) => count === 0);
	const grown = (await residentKiB(server.child.pid)) - before;
	// Each answer stands in its log and in the turn that its connection remembers, in buffers with some room to grow: two
	// to three times its size. Encoded for the reader it would be there five times more: as deltas, and whole in each of
	// the four closing events. A sanitizer keeps what was freed, so that it says nothing there.
	const most = 10 * megabytes * 1024 * 4;
	const sanitized = (await readFile(`/proc/${server.child.pid}/maps`, 'utf8')).match(/lib[at]san/);
	assert.ok(sanitized || grown < most, `${grown} KiB, at most ${most}`);
	// And nothing was dropped in its place: who reads again gets all of it.
	for (const chat of lazy.slice(0, 2)) {
		chat.socket.resume();
		assert.equal((await chat.wait(isTerminal)).response.output[0].content[0].text.length, megabytes * 256 * word.length);
	}
	lazy.forEach((chat) => chat.drop());
	await server.stop();
});

test('pings, fragments and tiny frames in floods are survived, and others do not notice', async (t) => {
	const { server, key } = await own(t, { settings: { limits: { bytes_per_second: '64KiB', bytes_burst: '1MiB' } } });
	const other = await connect(server, { key });
	const wire = await dial(server);
	wire.write(upgrade(server, key));
	await wire.read(/^HTTP\/1\.1 101 /);
	const ping = Buffer.from([0x89, 0x80, 1, 2, 3, 4]);
	const empty = Buffer.from([0x00, 0x80, 1, 2, 3, 4]);
	wire.write(Buffer.concat(Array(20_000).fill(ping)));
	wire.write(Buffer.concat([Buffer.from([0x01, 0x80, 1, 2, 3, 4]), ...Array(20_000).fill(empty)]));
	for (let n = 0; n < 5; n++) {
		assert.equal((await other.turn(`amid the flood ${n}`)).text, `You said: amid the flood ${n}`);
	}
	wire.drop();
	await other.close();
	await server.stop();
});

/** An upgraded connection that writes JSON messages in one segment. */
async function rawSession() {
	const wire = await dial(stage.server);
	wire.write(upgrade(stage.server, stage.key));
	await wire.read(/ 101 [^]*\r\n\r\n/);
	return { ...wire, say: (...messages) => wire.write(Buffer.concat(messages.map((message) => frame(JSON.stringify(message))))) };
}

// The first answer makes the client's kernel reset the connection, so that writing the next one fails in the middle of
// what the server does for that message.
test('a client that is gone before the second of its messages is answered harms nobody', async () => {
	const witness = await stage.chat();
	const { response } = await witness.turn('something to watch');
	const watch = { type: 'sluice:conversation.subscribe', conversation: response.conversation.id };
	const unwatch = { ...watch, type: 'sluice:conversation.unsubscribe' };
	const lost = (stream_id) => ({ type: 'response.create', stream_id, input: 'Hi', previous_response_id: 'resp_unknown' });
	for (let round = 0; round < 20; round++) {
		const [watcher, asker] = [await rawSession(), await rawSession()];
		watcher.say(watch);
		await watcher.read(/subscribed/);
		watcher.say({ type: 'nonsense' }, unwatch);
		watcher.drop();
		asker.say(watch, lost('a'), lost('b'), lost('b'), lost('b'), lost('c'));
		asker.drop();
		assert.equal((await witness.turn(`round ${round}`)).text, `You said: round ${round}`);
	}
	await witness.close();
});
