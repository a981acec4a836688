// Behind nginx and Caddy with their default timeouts: turns, streams that are not held back, a proxy that is killed, and a
// model that is silent for longer than nginx waits. The minute of silence is one for all of them, and the other tests run
// meanwhile.
import assert from 'node:assert/strict';
import { connect } from '../lib/chat.js';
import { checkStream, isTerminal } from '../lib/check.js';
import { PROXIES, startProxy } from '../lib/proxy.js';
import { startServer, within } from '../lib/server.js';
import { after, before, test } from '../lib/test.js';
import { gate, reply, startUpstream } from '../lib/upstream.js';

/** nginx waits 60 s. */
const CUT_BY_MS = 85_000;

let upstream, server, pinging, mute, key, pingingKey, muteKey;
const proxies = {}; // before `server`, by kind
let beforePinging, beforeMute; // nginx before those
const silence = gate(); // opens when nginx has given up on those that hear nothing
let minute; // what became of each connection that was silent for so long

/** An event stream through a proxy: takes the answer apart as it comes. */
async function openStream(proxy, token, body) {
	const response = await fetch(`${proxy.url}/v1/responses`, {
		method: 'POST',
		body: JSON.stringify({ ...body, stream: true }),
		headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
	});
	assert.equal(response.status, 200);
	const stream = { text: '', events: [] };
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	/** Reads on until what came fits; the end of the stream must come with the last event and not before. */
	stream.read = async (fits) => {
		while (!fits(stream)) {
			const { value, done } = await reader.read();
			assert.ok(!done, `the stream ended behind ${stream.text}`);
			stream.text += value;
			stream.events = [...stream.text.matchAll(/^data: (\{.*)\n\n/gm)].map(([, json]) => JSON.parse(json));
		}
	};
	stream.end = () => stream.read(() => stream.text.endsWith('data: [DONE]\n\n'));
	return stream;
}

const deltas = (events) =>
	events.filter(({ type }) => type === 'response.output_text.delta').map(({ delta }) => delta).join('');
const begun = ({ events }) => events.some(({ type }) => type === 'response.in_progress');

async function resume(proxy, token, response_id, starting_after) {
	const chat = await connect(proxy, { key: token });
	chat.send({ type: 'sluice:response.resume', response_id, starting_after });
	await chat.wait(isTerminal);
	await chat.close();
	return chat.events;
}

/** Begins both kinds of stream through a proxy and waits until they are silent. */
async function beginSilent(proxy, token) {
	const chat = await connect(proxy, { key: token });
	const turn = chat.begin({ input: 'long silence' }, { patience: CUT_BY_MS });
	const { id } = await turn.created;
	const stream = await openStream(proxy, token, { input: 'long silence' });
	await stream.read(begun);
	const ended = stream.end();
	ended.catch(() => {});
	return { chat, turn, id, stream, ended };
}

/** A minute during which the model says nothing. Those that shall outlast it begin first. */
async function beSilent() {
	const lasting = {};
	for (const kind of PROXIES) {
		lasting[kind] = await beginSilent(proxies[kind], key);
	}
	const idle = await connect(beforePinging, { key: pingingKey });
	const whole = fetch(`${proxies.nginx.url}/v1/responses`, {
		method: 'POST',
		body: JSON.stringify({ input: 'long silence' }),
		headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
	});
	whole.catch(() => {});
	const control = await beginSilent(beforeMute, muteKey);
	const cut = Promise.all([control.chat.closed, control.ended.catch((error) => error), whole]);
	try {
		const [closed, streamError, { status }] = await within(CUT_BY_MS, cut, 'nginx cuts what is silent');
		return { lasting, idle, control, closed, streamError, status };
	} finally {
		silence.open();
	}
}

/** Each word must come through while the model still keeps the next one back. */
async function streamWordByWord(proxy) {
	const words = ['one ', 'two ', 'three ', 'four'];
	const gates = words.map(() => gate());
	const input = `word by word on port ${proxy.port}`;
	upstream.on(input, async (x) => {
		for (const [at, word] of words.entries()) {
			await x.say(word);
			await Promise.race([gates[at].passed, x.closed]);
		}
		await x.finish();
		await x.done();
	});
	const stream = await openStream(proxy, key, { input });
	for (const at of words.keys()) {
		const soFar = words.slice(0, at + 1).join('');
		await within(20_000, stream.read(({ events }) => deltas(events) === soFar), () => `"${soFar}" is held back`);
		gates[at].open();
	}
	await stream.end();
	assert.equal(checkStream(stream.events).text, words.join(''));
}

before(async () => {
	upstream = await startUpstream();
	upstream.on('long silence', reply.pauses([], silence, ['and then ', 'it spoke']));
	// Without pings, so that it is the heartbeats that count.
	server = await startServer({ upstream, settings: { limits: { ping_interval: '1h' } } });
	pinging = await startServer({ upstream, settings: { limits: { heartbeat_interval: '0s' } } });
	mute = await startServer({ upstream, settings: { limits: { ping_interval: '1h', heartbeat_interval: '0s' } } });
	[key, pingingKey, muteKey] = await Promise.all([server, pinging, mute].map((one) => one.createKey('ada')));
	for (const kind of PROXIES) {
		proxies[kind] = await startProxy(kind, server);
	}
	beforePinging = await startProxy('nginx', pinging);
	beforeMute = await startProxy('nginx', mute);
	minute = beSilent();
	minute.catch(() => {});
});

after(async () => {
	silence.open();
	await Promise.all([...Object.values(proxies), beforePinging, beforeMute].map((proxy) => proxy?.remove()));
	await Promise.all([server, pinging, mute].map((one) => one?.remove()));
	await upstream?.stop();
});

for (const kind of PROXIES) {
	test(`${kind}: turns on a WebSocket, as a program and as the page`, async () => {
		const proxy = proxies[kind];
		const program = await connect(proxy, { key });
		const { response, text } = await program.turn('through a proxy');
		assert.equal(text, 'You said: through a proxy');
		await program.turn({ input: 'and again', previous_response_id: response.id });
		assert.deepEqual(upstream.asked('and again')[0].messages.map(({ content }) => content),
			['through a proxy', 'You said: through a proxy', 'and again']);
		await program.close();
		const page = await connect(proxy, { key, headers: { origin: proxy.url } });
		assert.equal((await page.turn('from a page')).text, 'You said: from a page');
		assert.deepEqual(await page.close(), { code: 1000, reason: '' });
	});

	test(`${kind}: an event stream is not held back`, () => streamWordByWord(proxies[kind]));

	test(`${kind}: killed in mid-answer and started again, it costs no word`, async (t) => {
		const proxy = await startProxy(kind, server);
		t.after(() => proxy.remove());
		const held = gate();
		upstream.on(`${kind} dies`, reply.pauses(['before ', 'the kill, '], held, ['behind ', 'it']));
		const chat = await connect(proxy, { key });
		const { id } = await chat.begin({ input: `${kind} dies` }).created;
		const { sequence_number } = await chat.type('response.output_text.delta');
		await proxy.kill();
		assert.equal((await within(20_000, chat.closed, 'the connection breaks')).code, 1006);
		const seen = chat.events.slice();
		assert.ok(seen.at(-1).sequence_number >= sequence_number);
		await proxy.start();
		const rest = resume(proxy, key, id, seen.at(-1).sequence_number);
		held.open();
		assert.equal(checkStream([...seen, ...(await rest)]).text, 'before the kill, behind it');
	});
}

// In nginx's own default, HTTP/1.0, an answer has no chunks, which nginx otherwise passes on as they are.
test('nginx, speaking HTTP/1.0 to the server: an event stream is not held back', async (t) => {
	const proxy = await startProxy('nginx', server, [[/proxy_http_version 1\.1;/, '']]);
	t.after(() => proxy.remove());
	await streamWordByWord(proxy);
});

test('nginx cuts what hears no heartbeats for a minute, and what was cut is resumed', async () => {
	const { control, closed, streamError, status } = await minute;
	assert.equal(closed.code, 1006);
	assert.ok(streamError instanceof Error, 'the event stream was cut');
	assert.ok(!control.chat.events.some(isTerminal) && !control.stream.events.some(isTerminal));
	assert.equal(status, 504, 'a POST that waits for the whole answer can be kept alive by nothing');
	const seen = control.chat.events;
	const rest = await resume(beforeMute, muteKey, control.id, seen.at(-1).sequence_number);
	assert.equal(checkStream([...seen, ...rest]).text, 'and then it spoke');
});

for (const kind of PROXIES) {
	test(`${kind}: heartbeats carry a WebSocket and an event stream over a minute of silence`, async () => {
		const { lasting } = await minute;
		const { chat, turn, stream, ended } = lasting[kind];
		assert.equal((await turn.end).text, 'and then it spoke');
		assert.ok(chat.events.some(({ type }) => type === 'sluice:heartbeat'));
		await ended;
		assert.equal(checkStream(stream.events).text, 'and then it spoke');
		assert.match(stream.text, /^: heartbeat$/m);
		await chat.close();
	});
}

test('nginx: pings carry a WebSocket on which nothing runs over a minute', async () => {
	const { idle } = await minute;
	assert.deepEqual(idle.events, []);
	assert.equal((await idle.turn('still there?')).text, 'You said: still there?');
	await idle.close();
});
