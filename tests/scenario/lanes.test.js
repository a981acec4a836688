// Lanes of one WebSocket: a named lane's events carry its name, lanes run beside each other, turns of one lane in order.
import assert from 'node:assert/strict';
import { checkError, checkStream, isTerminal } from '../lib/check.js';
import { connect } from '../lib/chat.js';
import { random } from '../lib/random.js';
import { startServer } from '../lib/server.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply, startUpstream } from '../lib/upstream.js';

const stage = setup({ settings: { limits: { burst: 1000, requests_per_minute: 100000 } } });
const create = (chat, input, rest = {}) => chat.send({ type: 'response.create', input, ...rest });
const inLane = (stream_id) => (event) => event.stream_id === stream_id;
const ends = (stream_id) => (event) => event.stream_id === stream_id && isTerminal(event);

/** The events of one lane, without its name, one list for each response. */
function responsesOf(events, stream_id) {
	const lists = [];
	for (const { stream_id: lane, ...event } of events) {
		if (lane !== stream_id || !event.type.startsWith('response.')) {
			continue;
		}
		if (event.type === 'response.created') {
			lists.push([]);
		}
		lists.at(-1).push(event);
	}
	return lists;
}

test('lanes run beside each other, and every event of a named one says which it is', async () => {
	const chat = await stage.chat();
	const held = { a: gate(), b: gate() };
	for (const lane of ['a', 'b']) {
		stage.upstream.on(`ask in ${lane}`, reply.pauses(`first of ${lane}, `, held[lane], `second of ${lane}`));
		create(chat, `ask in ${lane}`, { stream_id: lane });
		await chat.wait((event) => inLane(lane)(event) && event.type === 'response.output_text.delta');
	}
	create(chat, 'without a name');
	await chat.wait((event) => event.stream_id === undefined && isTerminal(event));
	held.b.open();
	await chat.wait(ends('b'));
	assert.ok(!chat.events.some(ends('a')), 'a waits for its gate');
	held.a.open();
	await chat.wait(ends('a'));
	assert.equal(checkStream(responsesOf(chat.events, 'a')[0]).text, 'first of a, second of a');
	assert.equal(checkStream(responsesOf(chat.events, 'b')[0]).text, 'first of b, second of b');
	assert.equal(checkStream(responsesOf(chat.events, undefined)[0]).text, 'You said: without a name');
	await chat.close();
});

test('turns of one lane run in the order in which they came', async () => {
	const chat = await stage.chat();
	for (let n = 0; n < 5; n++) {
		create(chat, `number ${n}`, { stream_id: 'queue' });
	}
	await chat.wait((event) => isTerminal(event) && responsesOf(chat.events, 'queue').length === 5);
	const texts = responsesOf(chat.events, 'queue').map((events) => checkStream(events).text);
	assert.deepEqual(texts, [0, 1, 2, 3, 4].map((n) => `You said: number ${n}`));
	await chat.close();
});

test('many lanes at once lose nothing and mix nothing up, whatever order the tokens come in', async () => {
	const { integer } = random('many lanes');
	const chat = await stage.chat();
	const lanes = Array.from({ length: 16 }, (_, n) => `lane.${n}_x-`);
	const words = (lane) => Array.from({ length: 30 }, (_, n) => `${lane}:${n} `);
	for (const lane of lanes) {
		stage.upstream.on(`for ${lane}.`, async (x) => {
			for (const word of words(lane)) {
				await x.say(word);
				for (let pauses = integer(0, 3); pauses > 0; pauses--) {
					await new Promise(setImmediate);
				}
			}
			await x.finish();
			await x.done();
		});
		create(chat, `for ${lane}.`, { stream_id: lane });
	}
	await Promise.all(lanes.map((lane) => chat.wait(ends(lane), { from: 0 })));
	for (const lane of lanes) {
		assert.equal(checkStream(responsesOf(chat.events, lane)[0]).text, words(lane).join(''));
	}
	await chat.close();
});

test('a stream_id that is none is refused by its own code', async () => {
	const chat = await stage.chat();
	for (const stream_id of ['', ' ', 'a b', 'é', 'x'.repeat(257), 7, {}, ['a'], 'a\n', '"']) {
		create(chat, 'never asked', { stream_id });
		const error = await chat.nextError();
		checkError(error, { status: 400, code: 'invalid_stream_id', param: 'stream_id' });
		assert.equal(error.stream_id, undefined);
	}
	const longest = 'Az09_.-'.repeat(37).slice(0, 256);
	create(chat, 'longest name', { stream_id: longest });
	await chat.wait(ends(longest));
	assert.deepEqual(stage.upstream.asked('never asked'), []);
	await chat.close();
});

test('an error about a turn of a lane names the lane', async () => {
	const chat = await stage.chat();
	create(chat, 'x', { stream_id: 'wrong', temperature: 7 });
	const error = await chat.nextError();
	checkError(error, { status: 400, code: 'invalid_value', param: 'temperature' });
	assert.equal(error.stream_id, 'wrong');
	create(chat, 'x', { stream_id: 'orphan', previous_response_id: 'resp_unknown' });
	const orphan = await chat.nextError();
	checkError(orphan, { status: 404, code: 'previous_response_not_found' });
	assert.equal(orphan.stream_id, 'orphan');
	chat.send({ type: 'response.cancel', stream_id: 'idle' });
	const idle = await chat.nextError();
	checkError(idle, { status: 400, code: 'missing_required_parameter', param: 'response_id' });
	assert.equal(idle.stream_id, 'idle');
	await chat.close();
});

test('a cancel without an id stops what runs in its lane, and nothing else', async () => {
	const chat = await stage.chat();
	const held = gate();
	for (const lane of ['stop', 'go']) {
		stage.upstream.on(`to ${lane}`, reply.pauses('begun', held, ' and ended'));
		create(chat, `to ${lane}`, { stream_id: lane });
		await chat.wait((event) => inLane(lane)(event) && event.type === 'response.output_text.delta');
	}
	chat.send({ type: 'response.cancel', stream_id: 'stop' });
	const stopped = await chat.wait(ends('stop'));
	assert.equal(stopped.response.incomplete_details.reason, 'cancelled');
	held.open();
	assert.equal((await chat.wait(ends('go'))).type, 'response.completed');
	await chat.close();
});

test('a ping is answered, in its lane if it names one, while a turn runs', async () => {
	const chat = await stage.chat();
	const held = gate();
	stage.upstream.on('during pings', reply.pauses('begun', held));
	const turn = chat.begin({ input: 'during pings' });
	await turn.created;
	chat.send({ type: 'sluice:ping' });
	assert.deepEqual(await chat.type('sluice:pong'), { type: 'sluice:pong' });
	chat.send({ type: 'sluice:ping', stream_id: 'probe' });
	assert.deepEqual(await chat.wait(inLane('probe')), { type: 'sluice:pong', stream_id: 'probe' });
	held.open();
	await turn.end;
	await chat.close();
});

test('what is not stored continues from any lane; only a failure in its own lane makes it forgotten', async () => {
	const chat = await stage.chat();
	const turn = async (lane, input, previous_response_id) => {
		const from = chat.events.length;
		create(chat, input, { stream_id: lane, store: false, previous_response_id });
		return chat.wait((event) => inLane(lane)(event) && (isTerminal(event) || event.type === 'error'), { from });
	};
	const first = await turn('a', 'the password is swordfish');
	const { id } = first.response;
	stage.upstream.on('fork fails', reply.fails(400));
	assert.equal((await turn('b', 'fork fails', id)).type, 'response.failed');
	const fork = await turn('b', 'fork works', id);
	assert.equal(fork.type, 'response.completed');
	assert.equal((await turn('b', 'fork fails', id)).type, 'response.failed');
	assert.equal((await turn('c', 'beyond the fork', fork.response.id)).type, 'response.completed', 'b remembers its own');
	const [{ messages }] = stage.upstream.asked('fork works');
	assert.equal(messages[0].content, 'the password is swordfish');
	stage.upstream.on('same lane fails', reply.fails(400));
	assert.equal((await turn('a', 'same lane fails', id)).type, 'response.failed');
	checkError(await turn('a', 'after that', id), { status: 404, code: 'previous_response_not_found' });
	await chat.close();
});

test('what was deleted is not remembered: the model is not shown it again', async () => {
	const chat = await stage.chat();
	const first = await chat.turn('the first thing said');
	const second = await chat.turn({ input: 'a secret to be deleted', previous_response_id: first.response.id });
	const third = await chat.turn({ input: 'the third thing said', previous_response_id: second.response.id });
	const gone = await stage.fetch(`/v1/responses/${second.response.id}`, { method: 'DELETE' });
	assert.equal(gone.status, 200);
	for (const parent of [third, second]) {
		create(chat, 'go on without it', { previous_response_id: parent.response.id });
		checkError(await chat.nextError(), { status: 404, code: 'previous_response_not_found' });
	}
	assert.deepEqual(stage.upstream.asked('go on without it'), []);
	await chat.turn({ input: 'go on from the first', previous_response_id: first.response.id });
	const [{ messages }] = stage.upstream.asked('go on from the first');
	assert.deepEqual(messages.map(({ content }) => content), ['the first thing said', first.text, 'go on from the first']);
	await chat.close();
});

test('a response that still runs cannot be continued from another lane, stored or not', async () => {
	const chat = await stage.chat();
	for (const store of [true, false]) {
		const held = gate();
		stage.upstream.on(`still running ${store}`, reply.pauses('begun', held));
		create(chat, `still running ${store}`, { stream_id: 'runs', store });
		const { response } = await chat.wait((event) => event.type === 'response.created');
		create(chat, 'too early', { stream_id: 'early', store, previous_response_id: response.id });
		checkError(await chat.nextError(), { status: 409, code: 'previous_response_not_ready' });
		held.open();
		await chat.wait(ends('runs'));
	}
	await chat.close();
});

test('generate: false gives a response to continue from without asking the model', async () => {
	for (const store of [true, false]) {
		const chat = await stage.chat();
		const before = stage.upstream.requests.length;
		const { events, response } = await chat.turn({ input: `prepared ${store}`, generate: false, store });
		assert.deepEqual(events.map(({ type }) => type), ['response.created', 'response.in_progress', 'response.completed']);
		assert.deepEqual(response.output, []);
		assert.equal(stage.upstream.requests.length, before);
		await chat.turn({ input: `and now ${store}`, previous_response_id: response.id, store });
		const [{ messages }] = stage.upstream.asked(`and now ${store}`);
		assert.deepEqual(messages.map(({ content }) => content), [`prepared ${store}`, `and now ${store}`]);
		await chat.close();
	}
});

test('lanes, turns in flight and waiting turns have their limits, and idle lanes make room', async (t) => {
	const upstream = await startUpstream();
	const settings = { limits: { max_lanes: 3, max_in_flight: 2, max_queued: 2 } };
	const server = await startServer({ upstream, settings });
	t.after(async () => {
		await server.remove();
		await upstream.stop();
	});
	const chat = await connect(server, { key: await server.createKey('ada') });
	const held = gate();
	upstream.on('held', reply.pauses('begun', held));
	create(chat, 'held 1', { stream_id: 'a' });
	create(chat, 'held 2', { stream_id: 'b' });
	await upstream.request('held', 2);
	create(chat, 'held 3', { stream_id: 'c' });
	create(chat, 'more', { stream_id: 'd' });
	const full = await chat.nextError();
	checkError(full, { status: 400, code: 'websocket_stream_limit_reached', param: 'stream_id' });
	assert.equal(full.stream_id, 'd');
	create(chat, 'held 4', { stream_id: 'a' });
	create(chat, 'one too many', { stream_id: 'b' });
	checkError(await chat.nextError(), { status: 429, code: 'turn_queue_full' });
	assert.equal(upstream.asked('held').length, 2, 'two are in flight');
	held.open();
	await chat.wait((event) => isTerminal(event) && chat.events.filter(isTerminal).length === 4);
	create(chat, 'now there is room', { stream_id: 'd' });
	await chat.wait(ends('d'));
	await chat.close();
});

test('over HTTP there are no lanes, and no turns that are only prepared', async () => {
	for (const [field, value] of [['stream_id', 'a'], ['generate', false]]) {
		const answer = await stage.fetch('/v1/responses', { body: { input: 'x', [field]: value } });
		assert.equal(answer.status, 400);
		checkError({ status: 400, ...(await answer.json()) }, { status: 400, code: 'unsupported_parameter', param: field });
	}
});
