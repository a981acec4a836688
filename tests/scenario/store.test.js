// What is kept, how it is kept, what is not kept, and who may see it.
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { connect } from '../lib/chat.js';
import { checkError, checkResponse } from '../lib/check.js';
import { canary } from '../lib/random.js';
import { startServer } from '../lib/server.js';
import { eventually, setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply, startUpstream } from '../lib/upstream.js';

const stage = setup();
const read = async (id, more) => (await stage.fetch(`/v1/responses/${id}`, more)).json();

/** A server of the test's own, which it may stop and kill. */
async function own(t, options = {}) {
	const upstream = await startUpstream();
	const server = await startServer({ upstream, ...options });
	t.after(async () => {
		await server.remove();
		await upstream.stop();
	});
	const key = await server.createKey('ada');
	return { upstream, server, key, chat: () => connect(server, { key }), read: (id) => server.fetch(`/v1/responses/${id}`, { key }) };
}

test('what was stored is there after a restart, the same to the letter, and can be continued', async (t) => {
	const { upstream, server, key, chat, read: get } = await own(t);
	const before = await chat();
	const first = await before.turn({ input: 'keep this', instructions: 'Be good.', metadata: { a: 'b' }, temperature: 0.5 });
	await server.restart();
	const answer = await get(first.response.id);
	assert.equal(answer.status, 200, 'the key holds, and the response is there');
	assert.deepEqual(await answer.json(), first.response);
	const after = await chat();
	await after.turn({ input: 'after the restart', previous_response_id: first.response.id });
	assert.deepEqual(
		upstream.asked('after the restart')[0].messages.map(({ content }) => content),
		['keep this', 'You said: keep this', 'after the restart'],
	);
	const list = await (await server.fetch('/v1/conversations', { key })).json();
	assert.equal(list.data.length, 1, 'both turns are of one conversation');
	await server.stop();
});

test('an answer whose completed event was seen survives a kill', async (t) => {
	const { server, chat, read: get } = await own(t);
	const client = await chat();
	const { response } = await client.turn('acknowledged');
	await server.kill();
	await server.restart();
	assert.deepEqual(await (await get(response.id)).json(), response);
	await server.stop();
});

test('a response that a kill cut short is found incomplete, with no more text than was seen', async (t) => {
	const { upstream, server, chat, read: get } = await own(t);
	upstream.on('cut short', reply.stalls(['one ', 'two ', 'three ']));
	const client = await chat();
	const turn = client.begin({ input: 'cut short' });
	const { id } = await turn.created;
	await client.wait((event) => event.type === 'response.output_text.delta' && event.delta.endsWith('three '));
	await server.kill();
	await server.restart();
	const answer = await get(id);
	assert.equal(answer.status, 200);
	const response = await answer.json();
	checkResponse(response);
	assert.equal(response.status, 'incomplete');
	const text = response.output[0]?.content[0]?.text ?? '';
	assert.ok('one two three '.startsWith(text), `not what was said: ${text}`);
	const again = await chat();
	await again.turn({ input: 'after the cut', previous_response_id: id });
	assert.equal(upstream.asked('after the cut')[0].messages[0].content, 'cut short');
	await server.stop();
});

// What streams is kept a few times a second; after this long it must be.
const KEPT_BY_MS = 1500;
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test('what a client saw a moment before a kill is there after it, and the answer can be continued', async (t) => {
	const { upstream, server, chat, read: get } = await own(t);
	upstream.on('kept as it streams', reply.stalls(['one ', 'two ', 'three ']));
	const client = await chat();
	const turn = client.begin({ input: 'kept as it streams' });
	const { id } = await turn.created;
	await client.wait((event) => event.type === 'response.output_text.delta' && event.delta.endsWith('three '));
	await wait(KEPT_BY_MS);
	await server.kill();
	await server.restart();
	const response = await (await get(id)).json();
	checkResponse(response);
	assert.deepEqual([response.status, response.output[0].content[0].text], ['incomplete', 'one two three ']);
	const again = await chat();
	await again.turn({ input: 'and four', previous_response_id: id });
	assert.deepEqual(
		upstream.asked('and four')[0].messages.map(({ content }) => content),
		['kept as it streams', 'one two three ', 'and four'],
	);
	await server.stop();
});

test('an answer that streams leaves no word in the clear either: sealed if it is stored, nowhere if it is not', async (t) => {
	const { upstream, server, chat } = await own(t);
	const words = { 'the stored one': canary(), 'the one that is not': canary() };
	for (const [name, word] of Object.entries(words)) {
		upstream.on(name, reply.stalls(['It is ', word, ' and']));
		const client = await chat();
		client.begin({ input: name, store: name === 'the stored one' });
		await client.wait((event) => event.type === 'response.output_text.delta' && event.delta.endsWith('and'));
	}
	await wait(KEPT_BY_MS);
	const nowhere = async (when) => {
		for (const [name, word] of Object.entries(words)) {
			assert.deepEqual(await server.find(word), [], `${name}, ${when}`);
		}
	};
	await nowhere('while it streams');
	await server.kill();
	await nowhere('after a kill');
	await server.restart();
	await server.stop();
	await nowhere('after a restart');
});

test('store: false leaves no byte of the chat in any file, while the server runs, after it stops, nor in its log', async (t) => {
	const { upstream, server, key, chat } = await own(t);
	const words = { question: canary(), more: canary(), instructions: canary(), metadata: canary(), answer: canary(), http: canary() };
	upstream.on(words.question, reply.says(['It is ', words.answer, '.']));
	const ids = [];
	const nowhere = async (when) => {
		for (const [name, word] of Object.entries(words)) {
			assert.deepEqual(await server.find(word), [], `the ${name}, ${when}`);
		}
		// What is sealed shows no word, but a stored response shows its id: so there is not even a sealed row. The log
		// may name the id.
		for (const id of ids) {
			assert.deepEqual((await server.find(id)).filter((name) => name !== 'log'), [], `response ${id}, ${when}`);
		}
	};
	const client = await chat();
	const first = await client.turn({
		input: `Is it ${words.question}?`,
		instructions: words.instructions,
		metadata: { key: words.metadata },
		store: false,
	});
	assert.match(first.text, new RegExp(words.answer));
	const second = await client.turn({ input: words.more, previous_response_id: first.response.id, store: false });
	const answer = await (await server.fetch('/v1/responses', { key, body: { input: words.http, store: false } })).json();
	assert.equal(answer.output[0].content[0].text, `You said: ${words.http}`);
	ids.push(first.response.id, second.response.id, answer.id);
	await nowhere('while the server runs');
	// A stopped and a failed one are not kept either.
	upstream.on(words.more, reply.stalls(words.answer), reply.fails(400));
	const cancelled = client.begin({ input: words.more, store: false });
	const { id } = await cancelled.created;
	await client.type('response.output_text.delta', { from: cancelled.from });
	client.send({ type: 'response.cancel', response_id: id });
	await cancelled.end;
	ids.push(id, (await client.turn({ input: words.more, store: false })).response.id);
	await nowhere('after a cancelled and a failed one');
	// Nor is one that was refused before it began.
	client.send({ type: 'response.create', input: words.question, store: false, previous_response_id: 'resp_none' });
	await client.nextError();
	client.send({ type: 'response.create', input: words.question, model: words.more, store: false });
	await client.nextError();
	client.send({ type: 'response.create', input: words.question, store: false, [words.metadata]: 1 });
	await client.nextError();
	await nowhere('after refused ones');
	await server.stop();
	await nowhere('after the server has stopped');
});

test('the search for canaries finds what is there: the positive control', async (t) => {
	const { server, chat } = await own(t);
	const word = canary();
	const file = (name) => path.join(server.data, name);
	for (const [name, bytes] of Object.entries({
		plain: `xx${word}yy`,
		hex: Buffer.from(word).toString('hex'),
		base64: Buffer.from(`z${word}`).toString('base64'),
		base64url: Buffer.from(`zz${word}`).toString('base64url'),
		wide: Buffer.from(word, 'utf16le'),
	})) {
		await writeFile(file(name), bytes);
		assert.deepEqual(await server.find(word), [file(name)], name);
		await rm(file(name));
	}
	// The names of stored responses are not secret: they show that the database and its log are read as well.
	const client = await chat();
	const { response } = await client.turn('kept');
	const found = await server.find(response.id);
	assert.ok(found.some((name) => name.includes('sluice.db')), `${response.id} stands in ${found}`);
	await server.stop();
});

test('a stored chat is sealed: no file holds its text, instructions, metadata or title', async (t) => {
	const { upstream, server, key, chat } = await own(t);
	const words = { question: canary(), instructions: canary(), metadata: canary(), answer: canary() };
	upstream.on(words.question, reply.says(['It is ', words.answer, '.']));
	const client = await chat();
	const { response } = await client.turn({
		input: `${words.question} is the question`,
		instructions: words.instructions,
		metadata: { key: words.metadata },
	});
	const list = await (await server.fetch('/v1/conversations', { key })).json();
	assert.match(list.data[0].title, new RegExp(words.question), 'the title is made of the first words');
	const nowhere = async (when) => {
		for (const [name, word] of Object.entries(words)) {
			assert.deepEqual(await server.find(word), [], `the ${name}, ${when}`);
		}
	};
	await nowhere('while the server runs');
	await server.restart();
	const stored = await (await server.fetch(`/v1/responses/${response.id}`, { key })).json();
	assert.match(stored.output[0].content[0].text, new RegExp(words.answer), 'and yet it can be read');
	await server.stop();
	await nowhere('after the server has stopped');
});

test('neither a key nor a sign-in token stands in any file', async (t) => {
	const { server, key } = await own(t);
	const [, token] = /#signin=(\S+)$/.exec(await server.signin('ada'));
	const answer = await server.fetch('/v1/session', { body: { token }, headers: { origin: server.url } });
	const [, session] = /sluice_session=([^;]+)/.exec(answer.headers.get('set-cookie'));
	for (const secret of [key, token, session]) {
		assert.deepEqual(await server.find(secret), []);
	}
	await server.stop();
	for (const secret of [key, token, session]) {
		assert.deepEqual(await server.find(secret), []);
	}
});

test('another user finds nothing: responses, continuations, conversations', async () => {
	const bob = await stage.server.createKey('bob');
	const chat = await stage.chat();
	const { response } = await chat.turn("ada's own");
	const conversation = response.conversation.id;
	const strange = async (target, more) => {
		const answer = await stage.server.fetch(target, { key: bob, ...more });
		return [answer.status, (await answer.json()).error?.code];
	};
	assert.deepEqual(await strange(`/v1/responses/${response.id}`), [404, 'response_not_found']);
	assert.deepEqual(await strange(`/v1/responses/${response.id}`, { method: 'DELETE' }), [404, 'response_not_found']);
	assert.deepEqual(await strange(`/v1/responses/${response.id}/cancel`, { method: 'POST' }), [404, 'response_not_found']);
	assert.deepEqual(await strange('/v1/responses', { body: { input: 'x', previous_response_id: response.id } }), [
		404,
		'previous_response_not_found',
	]);
	assert.deepEqual(await strange(`/v1/conversations/${conversation}/items`), [404, 'conversation_not_found']);
	assert.deepEqual(await strange(`/v1/conversations/${conversation}`, { method: 'DELETE' }), [404, 'conversation_not_found']);
	const list = await (await stage.server.fetch('/v1/conversations', { key: bob })).json();
	assert.deepEqual([list.data, list.has_more], [[], false]);
	const socket = await connect(stage.server, { key: bob });
	socket.send({ type: 'response.create', input: 'x', previous_response_id: response.id });
	checkError(await socket.nextError(), { status: 404, code: 'previous_response_not_found' });
	socket.send({ type: 'response.cancel', response_id: response.id });
	checkError(await socket.nextError(), { status: 404, code: 'response_not_found' });
	assert.equal((await read(response.id)).status, 'completed', 'and ada still has it');
	await Promise.all([chat.close(), socket.close()]);
});

test('another user cannot cancel or read a response that is running', async () => {
	const carol = await stage.server.createKey('carol');
	const held = gate();
	stage.upstream.on('running for ada', reply.pauses('a', held, 'b'));
	const chat = await stage.chat();
	const turn = chat.begin({ input: 'running for ada' });
	const { id } = await turn.created;
	await chat.type('response.output_text.delta');
	assert.equal((await stage.server.fetch(`/v1/responses/${id}`, { key: carol })).status, 404);
	assert.equal((await stage.server.fetch(`/v1/responses/${id}/cancel`, { key: carol, method: 'POST' })).status, 404);
	const socket = await connect(stage.server, { key: carol });
	socket.send({ type: 'response.cancel', response_id: id });
	checkError(await socket.nextError(), { status: 404, code: 'response_not_found' });
	held.open();
	assert.equal((await turn.end).text, 'ab');
	await Promise.all([chat.close(), socket.close()]);
});

test('ids that are malformed, unknown or hostile are not found', async () => {
	for (const id of ['resp_', 'resp_x', 'x', '..', '%2e%2e', '%00', 'resp_%00', "resp_'--", 'a'.repeat(3000), '%F0%9F%98%80']) {
		const answer = await stage.fetch(`/v1/responses/${id}`).catch((error) => error);
		if (id.includes('%00')) {
			assert.ok(answer instanceof Error || answer.status >= 400, `${id}: refused, if need be without a word`);
			continue;
		}
		assert.equal(answer.status, 404, id);
		checkError(await answer.json());
	}
});

test('a deleted response is gone: reading, deleting again and continuing it', async () => {
	const chat = await stage.chat();
	const { response } = await chat.turn('to be deleted');
	const gone = await stage.fetch(`/v1/responses/${response.id}`, { method: 'DELETE' });
	assert.equal(gone.status, 200);
	const body = await gone.json();
	assert.deepEqual([body.id, body.deleted], [response.id, true]);
	for (const method of ['GET', 'DELETE']) {
		const answer = await stage.fetch(`/v1/responses/${response.id}`, { method });
		assert.equal(answer.status, 404);
		checkError(await answer.json(), { code: 'response_not_found' });
	}
	const other = await stage.chat();
	other.send({ type: 'response.create', input: 'x', previous_response_id: response.id });
	checkError(await other.nextError(), { status: 404, code: 'previous_response_not_found' });
	await Promise.all([chat.close(), other.close()]);
});

test('conversations are listed newest first, in pages, and their items in order', async (t) => {
	const { server, key, chat } = await own(t);
	const client = await chat();
	const roots = [];
	for (const name of ['one', 'two', 'three']) {
		roots.push((await client.turn(`conversation ${name}`)).response);
	}
	const last = (await client.turn({ input: 'more of one', previous_response_id: roots[0].id })).response;
	assert.equal(last.conversation.id, roots[0].conversation.id);
	const get = async (target) => (await server.fetch(target, { key })).json();
	const all = await get('/v1/conversations');
	assert.equal(all.object, 'list');
	assert.deepEqual(
		all.data.map(({ title }) => title),
		['conversation one', 'conversation three', 'conversation two'],
		'by their last turn',
	);
	assert.equal(all.data[0].last_response_id, last.id);
	assert.ok(all.data.every((entry) => entry.object === 'conversation' && entry.id.startsWith('conv_') && entry.created_at > 1.6e9));
	assert.deepEqual([all.first_id, all.last_id, all.has_more], [all.data[0].id, all.data[2].id, false]);
	const page = await get('/v1/conversations?limit=2');
	assert.deepEqual([page.data.length, page.has_more], [2, true]);
	const rest = await get(`/v1/conversations?limit=2&after=${page.last_id}`);
	assert.deepEqual([rest.data.map(({ id }) => id), rest.has_more], [[all.data[2].id], false]);
	const oldest = await get('/v1/conversations?order=asc&limit=1');
	assert.equal(oldest.data[0].id, all.data[2].id);
	const items = await get(`/v1/conversations/${roots[0].conversation.id}/items?order=asc`);
	assert.deepEqual(
		items.data.map((item) => item['sluice:response_id']),
		[roots[0].id, roots[0].id, last.id, last.id],
		'each item names the response of its turn',
	);
	const again = await server.fetch('/v1/responses', { key, body: { input: [...items.data, { role: 'user', content: 'sent back' }] } });
	assert.equal(again.status, 200, 'what was listed can be sent back as it came');
	assert.deepEqual(
		items.data.map(({ role, content }) => [role, content[0].type, content[0].text]),
		[
			['user', 'input_text', 'conversation one'],
			['assistant', 'output_text', 'You said: conversation one'],
			['user', 'input_text', 'more of one'],
			['assistant', 'output_text', 'You said: more of one'],
		],
	);
	assert.ok(items.data.every(({ id, status, type }) => id.startsWith('msg_') && status === 'completed' && type === 'message'));
	const target = `/v1/conversations/${roots[0].conversation.id}/items`;
	const some = await get(`${target}?order=asc&limit=3`);
	const tail = await get(`${target}?order=asc&limit=3&after=${some.last_id}`);
	assert.deepEqual([...some.data, ...tail.data], items.data);
	assert.deepEqual([some.has_more, tail.has_more], [true, false]);
	const wrong = await server.fetch('/v1/conversations?limit=many', { key });
	assert.equal(wrong.status, 400);
	checkError(await wrong.json(), { param: 'limit' });
	await client.close();
	await server.stop();
});

test('a deleted conversation takes its responses with it, and no other', async () => {
	const chat = await stage.chat();
	const doomed = (await chat.turn('doomed')).response;
	const spared = (await chat.turn('spared')).response;
	const gone = await stage.fetch(`/v1/conversations/${doomed.conversation.id}`, { method: 'DELETE' });
	assert.equal(gone.status, 200);
	assert.deepEqual(await gone.json(), { id: doomed.conversation.id, object: 'conversation.deleted', deleted: true });
	assert.equal((await stage.fetch(`/v1/conversations/${doomed.conversation.id}/items`)).status, 404);
	assert.equal((await stage.fetch(`/v1/responses/${doomed.id}`)).status, 404);
	assert.equal((await stage.fetch(`/v1/responses/${spared.id}`)).status, 200);
	const list = await (await stage.fetch('/v1/conversations?limit=100')).json();
	const ids = list.data.map(({ id }) => id);
	assert.ok(!ids.includes(doomed.conversation.id) && ids.includes(spared.conversation.id));
	await chat.close();
});

test('store: false belongs to no conversation and is in no list', async () => {
	const chat = await stage.chat();
	const { response } = await chat.turn({ input: 'unlisted', store: false });
	assert.equal(response.conversation ?? null, null);
	const list = await (await stage.fetch('/v1/conversations?limit=100')).json();
	assert.ok(list.data.every(({ title }) => !title.includes('unlisted')));
	await chat.close();
});

test('many turns at once are all stored', async () => {
	const chats = await Promise.all(Array.from({ length: 20 }, () => stage.chat()));
	const responses = (
		await Promise.all(
			chats.map(async (chat, at) => {
				const mine = [];
				for (let turn = 0; turn < 5; turn++) {
					mine.push((await chat.turn(`many ${at} ${turn}`)).response);
				}
				return mine;
			}),
		)
	).flat();
	for (const response of responses) {
		assert.deepEqual(await read(response.id), response);
	}
	await Promise.all(chats.map((chat) => chat.close()));
});

test('a response that its reader left is stored even when the server stops right then', async (t) => {
	const { upstream, server, chat, read: get } = await own(t);
	const held = gate();
	upstream.on('left behind', reply.pauses('begun', held, ' and ended'));
	const client = await chat();
	const turn = client.begin({ input: 'left behind' });
	const { id } = await turn.created;
	await client.type('response.output_text.delta');
	client.drop();
	await client.closed;
	const stopped = server.stop();
	await server.logged((line) => /drain|stopping/i.test(line.event));
	held.open();
	await stopped;
	await server.restart();
	const response = await eventually(async () => (await get(id)).json(), () => true);
	assert.deepEqual([response.status, response.output[0].content[0].text], ['completed', 'begun and ended']);
	await server.stop();
});
