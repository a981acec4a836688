// An idempotency key: a repeat gets the first answer, live or from the store, and the model is asked once.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { connect } from '../lib/chat.js';
import { checkError, checkResponse, checkStream, isTerminal } from '../lib/check.js';
import { canary, random } from '../lib/random.js';
import { dial } from '../lib/raw.js';
import { openai } from '../lib/sdk.js';
import { startServer } from '../lib/server.js';
import { eventually, setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply, startUpstream } from '../lib/upstream.js';

const stage = setup();

/** A server of the test's own, which it may stop and kill. */
async function own(t, options = {}) {
	const upstream = await startUpstream();
	const server = await startServer({ upstream, ...options });
	t.after(async () => {
		await server.remove();
		await upstream.stop();
	});
	const key = await server.createKey('ada');
	return { upstream, server, key, stage: { server, key, fetch: (target, more) => server.fetch(target, { key, ...more }) } };
}

const post = (at, idempotency, body, more) =>
	at.fetch('/v1/responses', { body, headers: { 'idempotency-key': idempotency }, ...more });

/** One answer as each transport gives it: its events, or the response alone, and the text as it came. */
const ways = {
	async json(at, idempotency, body) {
		const answer = await post(at, idempotency, body);
		const text = await answer.text();
		return { status: answer.status, headers: answer.headers, text, response: JSON.parse(text) };
	},
	async sse(at, idempotency, body) {
		const answer = await post(at, idempotency, { ...body, stream: true });
		const text = await answer.text();
		const events = [...text.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data));
		return { status: answer.status, text, events, response: events.at(-1)?.response };
	},
	async websocket(at, idempotency, body) {
		const chat = await connect(at.server, { key: at.key });
		const { events, response } = await chat.turn({ ...body, idempotency_key: idempotency });
		await chat.close();
		return { events, text: JSON.stringify(events), response };
	},
};

const asked = (question, upstream = stage.upstream) => upstream.asked(question).length;

test('a repeat after the end gets the same answer to the byte, and the model is asked once', async () => {
	for (const [name, ask] of Object.entries(ways)) {
		const question = `repeat over ${name}`;
		stage.upstream.on(question, reply.says(['One ', 'two ', 'three.']));
		const body = { input: question, metadata: { a: 'b' }, temperature: 0.5 };
		const first = await ask(stage, `after-${name}`, body);
		checkResponse(first.response);
		assert.equal(first.response.output[0].content[0].text, 'One two three.');
		for (let times = 0; times < 3; times++) {
			assert.equal((await ask(stage, `after-${name}`, body)).text, first.text, name);
		}
		assert.equal(asked(question), 1, name);
	}
});

test('the transport may change between the first and the repeat', async () => {
	const question = 'first on one, then on all';
	const results = {};
	for (const [name, ask] of Object.entries(ways)) {
		results[name] = await ask(stage, 'any-transport', { input: question });
	}
	assert.deepEqual(results.sse.response, results.json.response);
	assert.deepEqual(results.websocket.response, results.json.response);
	assert.deepEqual(results.websocket.events, results.sse.events);
	checkStream(results.sse.events);
	assert.equal(asked(question), 1);
});

test('what means the same is the same request: a text or its message, an absent field or null', async () => {
	const first = await ways.json(stage, 'same-meaning', { input: 'said in two ways' });
	const message = { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'said in two ways' }] };
	const again = await ways.json(stage, 'same-meaning', { input: [message], instructions: null, stream: false });
	assert.equal(again.text, first.text);
	assert.equal(asked('said in two ways'), 1);
});

test('requests that race on several connections become one: all get all events, live', async () => {
	const { integer } = random('race');
	for (let round = 0; round < 5; round++) {
		const question = `race number ${round}`;
		const held = gate();
		stage.upstream.on(question, reply.pauses(['One ', 'two '], held, ['three.']));
		const sockets = await Promise.all(Array.from({ length: 4 }, () => stage.chat()));
		const turns = sockets.map((chat) => chat.begin({ input: question, idempotency_key: `race-${round}` }));
		const others = [ways.json, ways.sse].map((ask) => ask(stage, `race-${round}`, { input: question }));
		const created = await Promise.all(turns.map((turn) => turn.created));
		assert.equal(new Set(created.map(({ id }) => id)).size, 1, 'one response');
		await sockets[0].wait((event) => event.type === 'response.output_text.delta');
		// One that joins in the middle gets what was there and what comes.
		const late = await stage.chat();
		const joined = late.begin({ input: question, idempotency_key: `race-${round}` });
		await joined.created;
		// One that leaves takes nothing from the others.
		const leaver = integer(0, 3);
		sockets[leaver].drop();
		held.open();
		const ends = await Promise.all([...turns.filter((_, at) => at !== leaver), joined].map((turn) => turn.end));
		const [json, sse] = await Promise.all(others);
		for (const end of ends) {
			assert.deepEqual(end.events, sse.events);
			assert.equal(end.text, 'One two three.');
		}
		assert.deepEqual(json.response, sse.response);
		assert.equal(asked(question), 1);
		await Promise.all([...sockets, late].map((chat) => chat.drop()));
	}
});

test('the same key with another body is refused with a 409 that says not to retry, live and ended', async () => {
	const held = gate();
	stage.upstream.on('the first body', reply.pauses('now', held));
	const chat = await stage.chat();
	const turn = chat.begin({ input: 'the first body', idempotency_key: 'reused' });
	await turn.created;
	const refused = async (body, when) => {
		const answer = await ways.json(stage, 'reused', body);
		assert.equal(answer.status, 409, when);
		assert.equal(answer.headers.get('x-should-retry'), 'false');
		const error = checkError(answer.response, { code: 'idempotency_key_reused', param: 'Idempotency-Key' });
		assert.match(error.message, /another request/);
		const other = await stage.chat();
		other.send({ type: 'response.create', ...body, idempotency_key: 'reused' });
		const event = await other.nextError();
		checkError(event, { status: 409, code: 'idempotency_key_reused' });
		assert.equal(event.headers['x-should-retry'], 'false');
		await other.close();
	};
	await refused({ input: 'another body' }, 'while the first runs');
	held.open();
	const { response } = await turn.end;
	for (const change of [
		{ input: 'another body' },
		{ temperature: 1 },
		{ instructions: 'Be brief.' },
		{ metadata: { a: 'b' } },
		{ model: 'fake-large' },
		{ max_output_tokens: 16 },
		{ previous_response_id: response.id },
		{ store: false },
		{ input: [{ role: 'system', content: 'the first body' }] },
	]) {
		await refused({ input: 'the first body', ...change }, JSON.stringify(change));
	}
	assert.equal(asked('the first body') + asked('another body'), 1);
	await chat.close();
});

test("another user's same key is another key", async () => {
	const bob = await stage.server.createKey('bob');
	const mine = await ways.json(stage, 'whose', { input: "whose is it" });
	const strange = { fetch: (target, more) => stage.server.fetch(target, { key: bob, ...more }) };
	const other = await ways.json(strange, 'whose', { input: 'whose is it' });
	assert.notEqual(other.response.id, mine.response.id);
	assert.equal(asked('whose is it'), 2);
	const body = await ways.json(strange, 'whose', { input: 'something else' });
	assert.equal(body.status, 409, 'and bob has his own conflicts');
});

test('a request that was refused before it began frees its key', async () => {
	const unknown = await ways.json(stage, 'freed', { input: 'after a refusal', previous_response_id: 'resp_none' });
	assert.deepEqual([unknown.status, unknown.response.error.code], [404, 'previous_response_not_found']);
	const model = await ways.json(stage, 'freed', { input: 'after a refusal', model: 'no-such-model' });
	assert.deepEqual([model.status, model.response.error.code], [404, 'model_not_found']);
	const good = await ways.json(stage, 'freed', { input: 'after a refusal' });
	assert.equal(good.status, 200);
	assert.equal(asked('after a refusal'), 1);
});

test('a request that failed after it began keeps its key: the repeat gets the same failure', async () => {
	stage.upstream.on('fails once', reply.fails(500));
	const first = await ways.json(stage, 'failed', { input: 'fails once' });
	assert.equal(first.status, 502);
	stage.upstream.on('fails once', reply.says('too late'));
	const calls = asked('fails once'); // the server itself may have tried again
	for (let times = 0; times < 2; times++) {
		const again = await ways.json(stage, 'failed', { input: 'fails once' });
		assert.deepEqual([again.status, again.text], [first.status, first.text]);
		assert.equal(again.headers.get('x-should-retry'), 'false');
	}
	const { events } = await ways.sse(stage, 'failed', { input: 'fails once' });
	assert.equal(events.at(-1).type, 'response.failed');
	assert.equal(asked('fails once'), calls);
});

test('a model that said to ask later is asked later: that answer does not keep the key', async () => {
	for (const store of [true, false]) {
		const question = `rate limited, store ${store}`;
		const busy = Array.from({ length: 3 }, () => reply.fails(429, { headers: { 'retry-after': '0' } }));
		stage.upstream.on(question, ...busy, reply.says('now then'));
		const body = { input: question, store };
		const seen = [];
		const last = await eventually(
			async () => {
				const answer = await ways.json(stage, `busy-${store}`, body);
				seen.push(answer.status);
				return answer;
			},
			({ status }) => status === 200,
		);
		assert.ok(seen.length > 1 && seen.slice(0, -1).every((status) => status === 429), `${seen}`);
		assert.equal(last.response.output[0].content[0].text, 'now then');
	}
});

test('a repeat after a restart gets the same answer to the byte', async (t) => {
	const { upstream, server, stage: at } = await own(t);
	const first = {};
	for (const [name, ask] of Object.entries(ways)) {
		first[name] = await ask(at, `restart-${name}`, { input: `before the restart over ${name}` });
	}
	await server.restart();
	for (const [name, ask] of Object.entries(ways)) {
		const again = await ask(at, `restart-${name}`, { input: `before the restart over ${name}` });
		assert.equal(again.text, first[name].text);
	}
	assert.equal((await ways.json(at, 'restart-json', { input: 'another' })).status, 409);
	await server.kill();
	await server.restart();
	assert.equal((await ways.json(at, 'restart-json', { input: 'before the restart over json' })).text, first.json.text);
	assert.equal(upstream.requests.length, 3);
	await server.stop();
});

test('a repeat after a kill in the middle gets what was kept, and the model is not asked again', async (t) => {
	const { upstream, server, key, stage: at } = await own(t);
	upstream.on('killed in the middle', reply.stalls(['one ', 'two ', 'three ']));
	const chat = await connect(server, { key });
	const turn = chat.begin({ input: 'killed in the middle', idempotency_key: 'killed' });
	const { id } = await turn.created;
	await chat.wait((event) => event.type === 'response.output_text.delta');
	await server.kill();
	await server.restart();
	const { events } = await ways.sse(at, 'killed', { input: 'killed in the middle' });
	const { response } = checkStream(events);
	assert.deepEqual([response.id, response.status, response.incomplete_details.reason], [id, 'incomplete', 'server_restart']);
	assert.equal(asked('killed in the middle', upstream), 1);
	await server.stop();
});

test('a kill at any moment costs no second bill: the key is on the disk before the model is asked', async (t) => {
	const { upstream, server, key, stage: at } = await own(t);
	const { integer } = random('kill at any moment');
	for (let round = 0; round < 12; round++) {
		const question = `kill number ${round}.`;
		upstream.on(question, reply.says(Array.from({ length: 20 }, (_, n) => `word${n} `)));
		const chat = await connect(server, { key });
		const turn = chat.begin({ input: question, idempotency_key: `kill-${round}` });
		// From before the request is read to after it is answered; every other time right when the model is asked.
		const moment = round % 2 ? upstream.request(question) : new Promise((done) => setTimeout(done, integer(0, 12)));
		await moment;
		await server.kill();
		await chat.closed;
		turn.end.catch(() => {});
		await server.restart();
		const seen = chat.events.find(({ type }) => type === 'response.created')?.response.id;
		const again = await ways.json(at, `kill-${round}`, { input: question });
		assert.equal(again.status, 200, again.text);
		if (seen) {
			assert.equal(again.response.id, seen);
		}
		if (round % 2) {
			assert.notEqual(again.response.status, 'failed');
		}
		assert.ok(asked(question, upstream) <= 1, `asked ${asked(question, upstream)} times`);
	}
	await server.stop();
});

test('store: false: a repeat joins while it runs, and afterwards is told that the answer is gone', async () => {
	const held = gate();
	stage.upstream.on('kept nowhere', reply.pauses('partly', held, ' done'));
	const body = { input: 'kept nowhere', store: false };
	const [one, two] = [await stage.chat(), await stage.chat()];
	const turns = [one, two].map((chat) => chat.begin({ ...body, idempotency_key: 'unstored' }));
	await Promise.all(turns.map((turn) => turn.created));
	held.open();
	const [first, second] = await Promise.all(turns.map((turn) => turn.end));
	assert.deepEqual(second.events, first.events);
	const again = await ways.json(stage, 'unstored', body);
	assert.equal(again.status, 409);
	assert.equal(again.headers.get('x-should-retry'), 'false');
	checkError(again.response, { code: 'idempotency_answer_not_kept', param: 'Idempotency-Key' });
	const other = await ways.json(stage, 'unstored', { ...body, store: true });
	checkError(other.response, { code: 'idempotency_key_reused' });
	assert.equal(asked('kept nowhere'), 1);
	await Promise.all([one.close(), two.close()]);
});

test('store: false: one whose reader left is not asked for again; one that never was asked for is', async () => {
	stage.upstream.on('left alone', reply.stalls('partly'));
	const body = { input: 'left alone', store: false };
	const chat = await stage.chat();
	const turn = chat.begin({ ...body, idempotency_key: 'left' });
	await turn.created;
	await chat.type('response.output_text.delta');
	chat.drop();
	await (await stage.upstream.request('left alone')).hungUp();
	const again = await ways.json(stage, 'left', body);
	checkError(again.response, { code: 'idempotency_answer_not_kept' });
	assert.equal(asked('left alone'), 1);
	const refused = await ways.json(stage, 'left-2', { ...body, previous_response_id: 'resp_none' });
	assert.equal(refused.status, 404);
	stage.upstream.on('left alone', reply.says('fine'));
	assert.equal((await ways.json(stage, 'left-2', body)).status, 200);
});

test('neither a key nor a word of the request stands in any file, and of store: false not even a hash', async (t) => {
	const { server, stage: at } = await own(t);
	const words = { key: canary(), question: canary(), unstoredKey: canary(), unstored: canary() };
	const stored = await ways.json(at, words.key, { input: words.question });
	assert.equal(stored.status, 200);
	const rows = async () => {
		const out = await server.everyByte();
		return out.filter(({ name }) => name.includes('sluice.db')).reduce((sum, { bytes }) => sum + bytes.length, 0);
	};
	const before = await rows();
	const unstored = await ways.json(at, words.unstoredKey, { input: words.unstored, store: false });
	assert.equal(unstored.status, 200);
	assert.equal((await ways.json(at, words.unstoredKey, { input: words.unstored, store: false })).status, 409);
	assert.equal((await ways.json(at, words.key, { input: words.unstored })).status, 409);
	assert.equal(await rows(), before, 'nothing was written for the unstored one');
	const nowhere = async (when) => {
		for (const [name, word] of Object.entries(words)) {
			assert.deepEqual(await server.find(word), [], `the ${name}, ${when}`);
		}
		const files = (await server.find(unstored.response.id)).filter((name) => name !== 'log');
		assert.deepEqual(files, [], `the unstored response, ${when}`);
	};
	await nowhere('while the server runs');
	await server.stop();
	await nowhere('after it has stopped');
});

test('after a deletion the key is free: nothing of what was erased is left to answer with', async () => {
	const first = (await ways.json(stage, 'erased', { input: 'to be erased' })).response;
	assert.equal((await stage.fetch(`/v1/responses/${first.id}`, { method: 'DELETE' })).status, 200);
	const second = (await ways.json(stage, 'erased', { input: 'to be erased' })).response;
	assert.notEqual(second.id, first.id);
	assert.equal((await stage.fetch(`/v1/conversations/${second.conversation.id}`, { method: 'DELETE' })).status, 200);
	const third = await ways.json(stage, 'erased', { input: 'asked something else' });
	assert.equal(third.status, 200);
	assert.equal(asked('to be erased'), 2);
});

test('turns that wait on one connection repeat too', async () => {
	const chat = await stage.chat();
	const [first, second] = [1, 2].map(() => chat.begin({ input: 'twice in a row', idempotency_key: 'in-a-row' }));
	await chat.wait((event) => isTerminal(event) && chat.events.filter(isTerminal).length === 2, { from: 0 });
	const ends = chat.events.filter(isTerminal);
	assert.deepEqual(ends[1], ends[0]);
	assert.equal((await first.end).text, 'You said: twice in a row');
	await second.end;
	assert.equal(asked('twice in a row'), 1);
	// And the conversation goes on from a repeated answer.
	const next = await chat.turn({ input: 'then this', previous_response_id: ends[1].response.id });
	assert.equal(next.text, 'You said: then this');
	assert.equal(stage.upstream.asked('then this')[0].messages.length, 3);
	await chat.close();
});

test('lanes of one connection with the same key get the same answer, each under its own name', async () => {
	const held = gate();
	stage.upstream.on('in two lanes', reply.pauses('first ', held, 'second'));
	const chat = await stage.chat();
	const lanes = ['a', 'b'];
	const ofLane = (lane) => chat.events.filter((event) => event.stream_id === lane);
	for (const stream_id of lanes) {
		chat.send({ type: 'response.create', input: 'in two lanes', idempotency_key: 'two-lanes', stream_id });
	}
	await chat.wait(() => lanes.every((lane) => ofLane(lane).some(({ type }) => type === 'response.output_text.delta')), { from: 0 });
	held.open();
	await chat.wait(() => lanes.every((lane) => ofLane(lane).some(isTerminal)), { from: 0 });
	const [a, b] = lanes.map((lane) => ofLane(lane).map(({ stream_id: _, ...event }) => event));
	assert.equal(checkStream(a).text, 'first second');
	assert.deepEqual(b, a);
	assert.equal(asked('in two lanes'), 1);
	await chat.close();
});

test('keys out of bounds are refused by name, those at the bounds are taken', async () => {
	for (const bad of ['', ' ', 'a b', 'x'.repeat(256), 'x'.repeat(3000), 'caf\u00e9', '\u0001']) {
		const chat = await stage.chat();
		chat.send({ type: 'response.create', input: 'x', idempotency_key: bad });
		checkError(await chat.nextError(), { status: 400, code: 'invalid_value', param: 'idempotency_key' });
		await chat.close();
	}
	const chat = await stage.chat();
	chat.send({ type: 'response.create', input: 'x', idempotency_key: 5 });
	checkError(await chat.nextError(), { status: 400, code: 'invalid_type', param: 'idempotency_key' });
	assert.equal((await chat.turn({ input: 'null is none', idempotency_key: null })).response.status, 'completed');
	await chat.close();
	for (const bad of ['', 'a b', 'x'.repeat(256), 'x'.repeat(3000), 'caf\u00e9']) {
		const answer = await ways.json(stage, bad, { input: 'x' });
		assert.equal(answer.status, 400, bad);
		checkError(answer.response, { code: 'invalid_value', param: 'Idempotency-Key' });
	}
	const inBody = await stage.fetch('/v1/responses', { body: { input: 'x', idempotency_key: 'in-the-body' } });
	assert.equal(inBody.status, 400);
	checkError(await inBody.json(), { code: 'unknown_parameter', param: 'idempotency_key' });
	for (const good of ['x', 'x'.repeat(255), `"${randomUUID()}"`]) {
		const answers = [await ways.json(stage, good, { input: `bounds ${good}` }), await ways.json(stage, good, { input: `bounds ${good}` })];
		assert.deepEqual(answers.map(({ status }) => status), [200, 200]);
		assert.equal(answers[0].text, answers[1].text);
	}
});

test("the header's name may come in any case", async () => {
	const ids = [];
	for (const name of ['Idempotency-Key', 'IDEMPOTENCY-KEY', 'idempotency-key']) {
		const body = JSON.stringify({ input: 'in any case' });
		const wire = await dial(stage.server);
		wire.write(
			`POST /v1/responses HTTP/1.1\r\nHost: ${stage.server.address}\r\nAuthorization: Bearer ${stage.key}\r\n` +
				`${name}:  any-case \r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
		);
		const { text } = await wire.closed();
		ids.push(/"id":"(resp_[^"]+)"/.exec(text)?.[1] ?? assert.fail(text));
	}
	assert.deepEqual(ids, [ids[0], ids[0], ids[0]]);
	assert.equal(asked('in any case'), 1);
});

test("the SDK's own retries with its idempotency header ask the model once", async (t) => {
	const { upstream, server, key } = await own(t);
	let calls = 0;
	/** The first answer is lost on the way, as by a proxy that gave up. */
	const flaky = async (...args) => {
		const answer = await fetch(...args);
		if (++calls === 1) {
			await answer.text();
			throw new TypeError('the connection was reset');
		}
		return answer;
	};
	const client = openai(server, key, { maxRetries: 2, fetch: flaky });
	client.idempotencyHeader = 'Idempotency-Key';
	const idempotencyKey = randomUUID();
	const response = await client.responses.create({ model: 'fake', input: 'lost on the way' }, { idempotencyKey });
	assert.equal(response.output_text, 'You said: lost on the way');
	assert.equal(calls, 2);
	assert.equal(asked('lost on the way', upstream), 1);
	const stream = await client.responses.create({ model: 'fake', input: 'lost on the way', stream: true }, { idempotencyKey });
	const events = [];
	for await (const event of stream) {
		events.push(event);
	}
	assert.equal(checkStream(events).response.id, response.id);
	const before = calls;
	const other = client.responses.create({ model: 'fake', input: 'another' }, { headers: { 'Idempotency-Key': idempotencyKey } });
	await assert.rejects(other, (error) => {
		assert.equal(error.constructor.name, 'ConflictError');
		assert.equal(error.code, 'idempotency_key_reused');
		return true;
	});
	assert.equal(calls, before + 1, 'the SDK does not retry this one');
	await server.stop();
});
