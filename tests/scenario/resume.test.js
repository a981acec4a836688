// A response is read again over the WebSocket: live from where a client was cut off, ended from the store, after a kill.
import assert from 'node:assert/strict';
import { checkError, isTerminal } from '../lib/check.js';
import { random } from '../lib/random.js';
import { connect } from '../lib/chat.js';
import { startServer } from '../lib/server.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply, startUpstream } from '../lib/upstream.js';

const stage = setup();

/** Resumes and gives the events up to the terminal one. */
async function resume(chat, response_id, starting_after) {
	const from = chat.events.length;
	chat.send({ type: 'sluice:response.resume', response_id, starting_after });
	await chat.wait(isTerminal, { from });
	return chat.events.slice(from);
}

test('an ended response comes again from any event on, with the same numbers, on any connection of its user', async () => {
	stage.upstream.on('again', reply.says(['One ', 'two ', 'three ', 'four.']));
	const [first, second] = [await stage.chat(), await stage.chat()];
	const { events, response } = await first.turn('again');
	for (const chat of [first, second]) {
		assert.deepEqual(await resume(chat, response.id), events);
		for (let after = 0; after < events.length - 1; after++) {
			assert.deepEqual(await resume(chat, response.id, after), events.slice(after + 1));
		}
	}
	await first.close();
	await second.close();
});

test('cut off in the middle, a client goes on behind the last event it saw', async () => {
	const { integer } = random('cut off');
	const words = Array.from({ length: 40 }, (_, n) => `word${n} `);
	for (let round = 0; round < 5; round++) {
		const held = gate();
		const half = integer(1, words.length - 1);
		const question = `cut in round ${round}`;
		stage.upstream.on(question, reply.pauses(words.slice(0, half).join(''), held, words.slice(half).join('')));
		const before = await stage.chat();
		const turn = before.begin({ input: question });
		const { id } = await turn.created;
		await before.type('response.output_text.delta');
		before.drop();
		await before.closed;
		const seen = before.events.slice();
		const after = await stage.chat();
		const rest = resume(after, id, seen.at(-1).sequence_number);
		held.open();
		const all = [...seen, ...(await rest)];
		all.forEach((event, n) => assert.equal(event.sequence_number, n));
		const text = all.filter(({ type }) => type === 'response.output_text.delta').map(({ delta }) => delta);
		assert.equal(text.join(''), words.join(''));
		assert.equal(all.filter(isTerminal).length, 1);
		await after.close();
	}
});

test('a log longer than one turn of the loop may write comes whole, over both transports', async () => {
	const words = Array.from({ length: 300 }, (_, n) => `${n} `.padEnd(3000, '.'));
	stage.upstream.on('long', reply.says(words));
	const chat = await stage.chat();
	const { events, response } = await chat.turn('long');
	assert.deepEqual(await resume(chat, response.id), events);
	const answer = await stage.server.fetch(`/v1/responses/${response.id}?stream=true`, { key: stage.key });
	const lines = (await answer.text()).split('\n').filter((line) => line.startsWith('data: {'));
	assert.deepEqual(lines.map((line) => JSON.parse(line.slice('data: '.length))), events);
	await chat.close();
});

test('a second device sees the same events as the first, live', async () => {
	const held = gate();
	stage.upstream.on('on two devices', reply.pauses('begun ', held, 'and ended'));
	const [desk, phone] = [await stage.chat(), await stage.chat()];
	const turn = desk.begin({ input: 'on two devices' });
	const { id } = await turn.created;
	const watched = resume(phone, id);
	await phone.type('response.output_text.delta');
	held.open();
	assert.deepEqual(await watched, (await turn.end).events);
	await desk.close();
	await phone.close();
});

test('what a killed server had streamed comes again, ends as incomplete, and can be continued', async (t) => {
	const upstream = await startUpstream();
	const server = await startServer({ upstream });
	t.after(async () => {
		await server.remove();
		await upstream.stop();
	});
	const key = await server.createKey('ada');
	const chat = () => connect(server, { key });
	upstream.on('killed', reply.stalls('kept by a checkpoint'));
	const before = await chat();
	const turn = before.begin({ input: 'killed' });
	const { id } = await turn.created;
	await before.type('response.output_text.delta');
	// The text is on the disk once a checkpoint is: the store says how many commits there were.
	const commits = async () => Number(/^sluice_store_writes_total (\d+)/m.exec(await (await server.fetch('/metrics')).text())[1]);
	const start = await commits();
	while ((await commits()) === start) {
		await new Promise(setImmediate);
	}
	await server.kill();
	await server.restart();
	const after = await chat();
	const events = await resume(after, id);
	assert.deepEqual(events.slice(0, before.events.length), before.events);
	const { response } = events.at(-1);
	assert.equal(response.status, 'incomplete');
	assert.equal(response.incomplete_details.reason, 'server_restart');
	assert.equal(response.output[0].content[0].text, 'kept by a checkpoint');
	await after.turn({ input: 'go on', previous_response_id: id });
	const [{ messages }] = upstream.asked('go on');
	assert.deepEqual(messages.map(({ content }) => content), ['killed', 'kept by a checkpoint', 'go on']);
	await after.close();
});

test('a resume that cannot be is a clear error, and the socket lives on', async () => {
	const chat = await stage.chat();
	const { events, response } = await chat.turn('to be resumed wrongly');
	const stranger = await stage.chat({ key: await stage.server.createKey('stranger') });
	const wrong = [
		[chat, { response_id: response.id, starting_after: events.length }, { status: 400, code: 'invalid_value', param: 'starting_after' }],
		[chat, { response_id: response.id, starting_after: events.length - 1 }, { status: 400, code: 'invalid_value', param: 'starting_after' }],
		[chat, { response_id: response.id, starting_after: -1 }, { status: 400, code: 'invalid_value', param: 'starting_after' }],
		[chat, { response_id: response.id, starting_after: 'x' }, { status: 400, code: 'invalid_type', param: 'starting_after' }],
		[chat, { response_id: response.id, start_after: 3 }, { status: 400, code: 'unknown_parameter', param: 'start_after' }],
		[chat, {}, { status: 400, code: 'missing_required_parameter', param: 'response_id' }],
		[chat, { response_id: 7 }, { status: 400, code: 'invalid_type', param: 'response_id' }],
		[chat, { response_id: 'resp_unknown' }, { status: 404, code: 'response_not_found', param: 'response_id' }],
		[stranger, { response_id: response.id }, { status: 404, code: 'response_not_found', param: 'response_id' }],
	];
	for (const [client, message, expected] of wrong) {
		client.send({ type: 'sluice:response.resume', ...message });
		checkError(await client.nextError(), expected);
	}
	const unstored = await chat.turn({ input: 'not kept', store: false });
	stranger.send({ type: 'sluice:response.resume', response_id: unstored.response.id });
	checkError(await stranger.nextError(), { status: 404, code: 'response_not_found' });
	const held = gate();
	stage.upstream.on('runs unstored', reply.pauses('begun', held));
	const running = chat.begin({ input: 'runs unstored', store: false });
	const { id } = await running.created;
	const sibling = await stage.chat();
	sibling.send({ type: 'sluice:response.resume', response_id: id });
	checkError(await sibling.nextError(), { status: 404, code: 'response_not_found', param: 'response_id' });
	for (const query of ['', '?stream=true']) {
		assert.equal((await stage.fetch(`/v1/responses/${id}${query}`)).status, 404);
	}
	await sibling.close();
	held.open();
	await running.end;
	assert.equal((await chat.turn('still here')).text, 'You said: still here');
	await chat.close();
	await stranger.close();
});

test('over HTTP a parameter that is none is refused by name, and what SDKs send is not', async () => {
	const { id } = await (await stage.fetch('/v1/responses', { body: { input: 'asked for by name' } })).json();
	const misspelt = await stage.fetch(`/v1/responses/${id}?stream=true&start_after=3`);
	checkError({ status: misspelt.status, ...(await misspelt.json()) }, { status: 400, code: 'unknown_parameter', param: 'start_after' });
	for (const query of ['?include[]=x', '?include=x', '?stream=true&include_obfuscation=false&starting_after=3']) {
		assert.equal((await stage.fetch(`/v1/responses/${id}${query}`)).status, 200, query);
	}
});

test('a resumed response does not take the place of the turn that the connection remembers', async () => {
	const chat = await stage.chat();
	const first = await chat.turn({ input: 'remember me', store: false });
	const other = await (await stage.fetch('/v1/responses', { body: { input: 'another' } })).json();
	await resume(chat, other.id);
	await chat.turn({ input: 'who am I?', previous_response_id: first.response.id, store: false });
	const [{ messages }] = stage.upstream.asked('who am I?');
	assert.equal(messages[0].content, 'remember me');
	await chat.turn({ input: 'go on from there', previous_response_id: other.id });
	assert.equal(stage.upstream.asked('go on from there')[0].messages[0].content, 'another');
	await chat.close();
});
