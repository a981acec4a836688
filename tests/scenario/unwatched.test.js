// A connection breaks while its answer runs: what is stored goes on for a while, what is not is stopped at once.
import assert from 'node:assert/strict';
import { isTerminal } from '../lib/check.js';
import { eventually, setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';

const UNWATCHED_MS = 1500;
const stage = setup({
	settings: { limits: { unwatched_time: `${UNWATCHED_MS}ms`, max_unwatched: 2, burst: 1000, requests_per_minute: 100000 } },
});

const read = async (id, key) => (await stage.fetch(`/v1/responses/${id}`, key && { key })).json();
const ended = (response) => response.status !== 'in_progress';

/** Begins a turn on a connection of its own and cuts that in the middle of the answer. */
async function cutOff(question, request = {}, key = undefined) {
	const chat = await stage.chat(key && { key });
	const turn = chat.begin({ input: question, ...request });
	const { id } = await turn.created;
	await chat.type('response.output_text.delta');
	chat.drop();
	return id;
}

test('stored, it goes on without a listener and is there when it has ended', async () => {
	const held = gate();
	stage.upstream.on('goes on', reply.pauses('before the cut, ', held, 'after it'));
	const id = await cutOff('goes on');
	held.open();
	const response = await eventually(() => read(id), ended);
	assert.equal(response.status, 'completed');
	assert.equal(response.output[0].content[0].text, 'before the cut, after it');
});

test('after its time without a listener the model is stopped, and what came is kept', async () => {
	stage.upstream.on('never ends', reply.stalls('all that came'));
	const began = performance.now();
	const id = await cutOff('never ends');
	const response = await eventually(() => read(id), ended);
	assert.ok(performance.now() - began >= UNWATCHED_MS, 'not before its time');
	assert.equal(response.status, 'incomplete');
	assert.equal(response.incomplete_details.reason, 'abandoned');
	assert.equal(response.output[0].content[0].text, 'all that came');
	await stage.upstream.asked('never ends')[0].hungUp();
});

test('a listener in time keeps it alive', async () => {
	const held = gate();
	stage.upstream.on('saved', reply.pauses('one ', held, 'two'));
	const id = await cutOff('saved');
	const chat = await stage.chat();
	chat.send({ type: 'sluice:response.resume', response_id: id });
	await chat.type('response.output_text.delta');
	// Another one, cut off later, has been given up by then.
	stage.upstream.on('the clock', reply.stalls('tick'));
	const clock = await cutOff('the clock');
	await eventually(() => read(clock), ended);
	held.open();
	assert.equal((await chat.wait(isTerminal)).response.status, 'completed');
	await chat.close();
});

test('only so many of one user go on alone: the one that waits longest makes room', async () => {
	const [ada, bob] = [await stage.server.createKey('many'), await stage.server.createKey('few')];
	const began = performance.now();
	const ids = [];
	stage.upstream.on('one of three', reply.stalls('begun'));
	for (let n = 0; n < 3; n++) {
		ids.push(await cutOff('one of three', {}, ada));
	}
	const other = await cutOff('one of three', {}, bob);
	const first = await eventually(() => read(ids[0], ada), ended);
	assert.equal(first.incomplete_details.reason, 'abandoned');
	const rest = await Promise.all([...ids.slice(1).map((id) => read(id, ada)), read(other, bob)]);
	if (performance.now() - began < UNWATCHED_MS) {
		assert.ok(!rest.some(ended), 'the others go on');
	}
});

test('not stored, the model is stopped within a second', async () => {
	stage.upstream.on('for nobody', reply.stalls('begun'));
	const id = await cutOff('for nobody', { store: false });
	const cut = performance.now();
	const { early, at } = await stage.upstream.asked('for nobody')[0].closed;
	assert.ok(early && at - cut < 1000, `closed after ${Math.round(at - cut)} ms`);
	assert.equal((await stage.fetch(`/v1/responses/${id}`)).status, 404);
});
