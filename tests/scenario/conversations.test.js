// Conversations and their items, through the OpenAI SDK as it is and over plain HTTP.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { checkError } from '../lib/check.js';
import { connect } from '../lib/chat.js';
import { canary } from '../lib/random.js';
import { openai } from '../lib/sdk.js';
import { startServer } from '../lib/server.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply, startUpstream } from '../lib/upstream.js';

let client;
const stage = setup({}, async ({ server, key }) => {
	client = openai(server, key);
});

const says = (text, role = 'user') => ({ type: 'message', role, content: text });
const textOf = (item) => item.content.map((part) => part.text).join('');
const collect = async (page) => {
	const all = [];
	for await (const item of page) {
		all.push(item);
	}
	return all;
};
const refusal = (status, code, param = null) => (error) => {
	assert.ok(error instanceof OpenAI.APIError, String(error));
	assert.deepEqual([error.status, error.code, error.param], [status, code, param], error.message);
	return true;
};
const send = async (target, more) => {
	const answer = await stage.fetch(target, more);
	return { status: answer.status, body: await answer.json() };
};

test('a conversation is made with items and metadata, and told in one shape everywhere', async () => {
	const made = await client.conversations.create({
		items: [says('Ships are safe in harbour'), says('but that is not what they are for', 'assistant')],
		metadata: { topic: 'ships' },
	});
	assert.match(made.id, /^conv_/);
	assert.equal(made.object, 'conversation');
	assert.ok(Number.isInteger(made.created_at) && made.created_at > 1.6e9);
	assert.deepEqual(made.metadata, { topic: 'ships' });
	assert.equal(made.title, 'Ships are safe in harbour');
	assert.match(made.last_response_id, /^resp_/);
	assert.deepEqual(made.live_responses, []);
	assert.deepEqual(await client.conversations.retrieve(made.id), made);
	const { body } = await send('/v1/conversations?limit=1');
	assert.deepEqual(body.data[0], made);
});

test('an empty conversation has no items and no response, and can be filled', async () => {
	const made = await client.conversations.create();
	assert.deepEqual([made.metadata, made.title, made.last_response_id], [{}, '', null]);
	const page = await client.conversations.items.list(made.id);
	assert.deepEqual([page.data, page.has_more], [[], false]);
	const added = await client.conversations.items.create(made.id, { items: [says('the first')] });
	assert.equal(added.object, 'list');
	assert.deepEqual([added.first_id, added.last_id, added.has_more], [added.data[0].id, added.data[0].id, false]);
	assert.deepEqual((await collect(client.conversations.items.list(made.id))).map(textOf), ['the first']);
});

test('items are added, listed in pages both ways, retrieved and deleted', async () => {
	const { id } = await client.conversations.create({ items: [says('one')] });
	const words = ['two', 'three', 'four', 'five'];
	const added = await client.conversations.items.create(id, { items: words.map((word) => says(word)) });
	assert.deepEqual(added.data.map(textOf), words);
	assert.equal(added.last_id, added.data[3].id);
	const all = ['one', ...words];
	for (const limit of [1, 2, 5, 100]) {
		const up = await collect(client.conversations.items.list(id, { limit, order: 'asc' }));
		assert.deepEqual(up.map(textOf), all, `${limit} at a time, upwards`);
		const down = await collect(client.conversations.items.list(id, { limit, order: 'desc', include: ['message.output_text.logprobs'] }));
		assert.deepEqual(down.map(textOf), all.toReversed(), `${limit} at a time, downwards`);
	}
	const second = await client.conversations.items.retrieve(added.data[1].id, { conversation_id: id });
	const { 'sluice:response_id': response, ...item } = second;
	assert.match(response, /^resp_/);
	assert.deepEqual(item, added.data[1]);
	const left = await client.conversations.items.delete(added.data[1].id, { conversation_id: id });
	assert.equal(left.id, id);
	assert.equal(left.object, 'conversation');
	assert.deepEqual((await collect(client.conversations.items.list(id))).map(textOf), ['one', 'two', 'four', 'five']);
	await assert.rejects(client.conversations.items.retrieve(added.data[1].id, { conversation_id: id }), refusal(404, 'item_not_found'));
	await assert.rejects(client.conversations.items.delete(added.data[1].id, { conversation_id: id }), refusal(404, 'item_not_found'));
});

test('an id that the client gave is kept, and every kind of item comes back as it went', async () => {
	const items = [
		{ type: 'message', id: 'msg_mine_1', role: 'developer', status: 'completed', content: [{ type: 'input_text', text: 'Be brief.' }] },
		{ type: 'function_call', id: 'fc_mine', call_id: 'call_1', name: 'weather', arguments: '{"at":"Oslo"}', status: 'completed' },
		{ type: 'function_call_output', id: 'fco_mine', call_id: 'call_1', output: 'rain', status: 'completed' },
		{ type: 'acme:note', id: 'note_mine', status: 'completed', text: 'kept' },
	];
	const { id } = await client.conversations.create({ items });
	const kept = await collect(client.conversations.items.list(id));
	assert.deepEqual(kept.map((item) => item.id), items.map((item) => item.id));
	kept.forEach((item, at) => {
		for (const [name, value] of Object.entries(items[at])) {
			assert.deepEqual(item[name], value, `${item.id}: ${name}`);
		}
	});
});

test('metadata are replaced and cleared, and bounded as those of a request', async () => {
	const { id } = await client.conversations.create({ metadata: { a: '1', b: '2' } });
	assert.deepEqual((await client.conversations.update(id, { metadata: { c: '3' } })).metadata, { c: '3' });
	assert.deepEqual((await client.conversations.retrieve(id)).metadata, { c: '3' });
	assert.deepEqual((await client.conversations.update(id, { metadata: null })).metadata, {});
	await assert.rejects(client.conversations.update(id, { metadata: { a: 1 } }), refusal(400, 'invalid_type', 'metadata.a'));
	await assert.rejects(client.conversations.update(id, { metadata: { a: 'x'.repeat(513) } }), refusal(400, 'invalid_value', 'metadata.a'));
	await assert.rejects(client.conversations.update(id, {}), refusal(400, 'missing_required_parameter', 'metadata'));
});

test('a conversation that came of a response takes metadata too, and is not ended by the deletion of its last turn', async () => {
	const response = await client.responses.create({ input: 'from a response' });
	const { id } = response.conversation;
	assert.deepEqual((await client.conversations.retrieve(id)).metadata, {});
	await client.conversations.update(id, { metadata: { kept: 'yes' } });
	const next = await client.responses.create({ input: 'and on', previous_response_id: response.id });
	assert.equal(next.conversation.id, id);
	await client.responses.delete(next.id);
	await client.responses.delete(response.id);
	const left = await client.conversations.retrieve(id);
	assert.deepEqual([left.metadata, left.title, left.last_response_id], [{ kept: 'yes' }, '', null]);
	assert.deepEqual(await client.conversations.delete(id), { id, object: 'conversation.deleted', deleted: true });
	await assert.rejects(client.conversations.retrieve(id), refusal(404, 'conversation_not_found'));
});

/** A server of the test's own, which it may restart. */
async function own(t) {
	const upstream = await startUpstream();
	const server = await startServer({ upstream });
	t.after(async () => {
		await server.remove();
		await upstream.stop();
	});
	const key = await server.createKey('ada');
	return { upstream, server, key };
}

test('what was added is in the context of the next answer, also after a restart', async (t) => {
	const { upstream, server, key } = await own(t);
	let sdk = openai(server, key);
	const { id, last_response_id: first } = await sdk.conversations.create({ items: [says('I am Ada'), says('Hello Ada', 'assistant')], metadata: { a: 'b' } });
	await sdk.responses.create({ input: 'Who am I?', previous_response_id: first });
	await sdk.conversations.items.create(id, { items: [says('I like tea')] });
	await server.restart();
	sdk = openai(server, key);
	const { last_response_id: last, metadata } = await sdk.conversations.retrieve(id);
	assert.deepEqual(metadata, { a: 'b' });
	const answer = await sdk.responses.create({ input: 'What do I like?', previous_response_id: last });
	assert.equal(answer.conversation.id, id);
	const seen = upstream.asked('What do I like?')[0].messages.map(({ role, content }) => [role, content]);
	assert.deepEqual(seen, [
		['user', 'I am Ada'],
		['assistant', 'Hello Ada'],
		['user', 'Who am I?'],
		['assistant', 'You said: Who am I?'],
		['user', 'I like tea'],
		['user', 'What do I like?'],
	]);
	const texts = (await collect(sdk.conversations.items.list(id))).map(textOf);
	assert.deepEqual(texts, [...seen.map(([, content]) => content), 'You said: What do I like?']);
	await server.stop();
});

test('`conversation` of a request goes on behind what was added', async () => {
	const { id } = await client.conversations.create({ items: [says('remember the key')] });
	const answer = await client.responses.create({ input: 'which one was it?', conversation: id });
	assert.equal(answer.conversation.id, id);
	assert.deepEqual(
		stage.upstream.asked('which one was it?')[0].messages.map(({ content }) => content),
		['remember the key', 'which one was it?'],
	);
	assert.equal((await client.conversations.retrieve(id)).last_response_id, answer.id);
	// An empty one too.
	const empty = await client.conversations.create();
	const begun = await client.responses.create({ input: 'in an empty one', conversation: empty.id });
	assert.equal(begun.conversation.id, empty.id);
	assert.equal(begun.previous_response_id, null);
});

test('a deleted item is out of the context, even of a connection that remembers its turn', async () => {
	const chat = await stage.chat();
	const first = await chat.turn('the secret is plum');
	const id = first.response.conversation.id;
	const question = (await collect(client.conversations.items.list(id)))[0];
	await client.conversations.items.delete(question.id, { conversation_id: id });
	await chat.turn({ input: 'what was the secret?', previous_response_id: first.response.id });
	assert.deepEqual(
		stage.upstream.asked('what was the secret?')[0].messages.map(({ content }) => content),
		['You said: the secret is plum', 'what was the secret?'],
	);
	await chat.close();
});

test('a response whose answer was deleted is replayed without it', async () => {
	const response = await client.responses.create({ input: 'say and forget' });
	const { id } = response.conversation;
	await client.conversations.items.delete(response.output[0].id, { conversation_id: id });
	const left = await client.responses.retrieve(response.id);
	assert.deepEqual([left.status, left.output], ['completed', []]);
	const events = await collect(await client.responses.retrieve(response.id, { stream: true }));
	assert.deepEqual(
		events.map((event) => [event.type, event.sequence_number]),
		[
			['response.created', 0],
			['response.in_progress', 1],
			['response.completed', 2],
		],
	);
	assert.deepEqual(events[2].response.output, []);
	const inputs = await collect(client.responses.inputItems.list(response.id));
	assert.deepEqual(inputs.map(textOf), ['say and forget']);
});

test('the row of added items is a response that ended and said nothing', async () => {
	const made = await client.conversations.create({ items: [says('only this')] });
	const response = await client.responses.retrieve(made.last_response_id);
	assert.deepEqual([response.status, response.output, response.previous_response_id, response.conversation.id], ['completed', [], null, made.id]);
	const events = await collect(await client.responses.retrieve(response.id, { stream: true }));
	assert.deepEqual(events.map((event) => event.type), ['response.created', 'response.in_progress', 'response.completed']);
	assert.deepEqual((await collect(client.responses.inputItems.list(response.id))).map(textOf), ['only this']);
});

test('while a response runs, nothing is added or deleted, but metadata may change', async () => {
	const held = gate();
	stage.upstream.on('hold on', reply.pauses('a', held, 'b'));
	const chat = await stage.chat();
	const made = await client.conversations.create({ items: [says('before')] });
	const turn = chat.begin({ input: 'hold on', previous_response_id: made.last_response_id });
	const { id: running } = await turn.created;
	await chat.type('response.output_text.delta');
	const [item] = await collect(client.conversations.items.list(made.id));
	const locked = refusal(409, 'conversation_locked');
	await assert.rejects(client.conversations.items.create(made.id, { items: [says('during')] }), locked);
	await assert.rejects(client.conversations.items.delete(item.id, { conversation_id: made.id }), locked);
	await assert.rejects(client.conversations.delete(made.id), locked);
	const updated = await client.conversations.update(made.id, { metadata: { while: 'it runs' } });
	assert.deepEqual([updated.metadata, updated.live_responses], [{ while: 'it runs' }, [running]]);
	// What it was asked is there already.
	assert.deepEqual((await collect(client.responses.inputItems.list(running))).map(textOf), ['hold on']);
	held.open();
	assert.equal((await turn.end).text, 'ab');
	await client.conversations.items.create(made.id, { items: [says('after')] });
	assert.deepEqual((await collect(client.conversations.items.list(made.id))).map(textOf), ['before', 'hold on', 'ab', 'after']);
	assert.deepEqual((await client.conversations.retrieve(made.id)).metadata, { while: 'it runs' });
	await chat.close();
});

test('items and metadata that are changed at the same moment are all there', async () => {
	const { id } = await client.conversations.create();
	const words = Array.from({ length: 8 }, (_, at) => `word ${at}`);
	await Promise.all(
		words.flatMap((word) => [
			client.conversations.items.create(id, { items: [says(word)] }),
			client.conversations.update(id, { metadata: { word } }),
		]),
	);
	const texts = (await collect(client.conversations.items.list(id))).map(textOf);
	assert.deepEqual(texts.toSorted(), words);
	assert.ok(words.includes((await client.conversations.retrieve(id)).metadata.word));
});

test('input items come newest first, in pages, of a running response and of a stored one', async () => {
	const input = ['one', 'two', 'three', 'count them'].map((word) => says(word));
	const response = await client.responses.create({ input });
	const newest = ['count them', 'three', 'two', 'one'];
	assert.deepEqual((await collect(client.responses.inputItems.list(response.id, { limit: 3 }))).map(textOf), newest);
	assert.deepEqual((await collect(client.responses.inputItems.list(response.id, { limit: 1, order: 'asc' }))).map(textOf), newest.toReversed());
	const page = await client.responses.inputItems.list(response.id, { include: ['message.input_image.image_url'] });
	assert.equal(page.data[0]['sluice:response_id'], undefined, 'all are of the one response');
	const { status, body } = await send(`/v1/responses/${response.id}/input_items?limit=101`);
	assert.equal(status, 400);
	checkError(body, { code: 'invalid_value', param: 'limit' });
	assert.equal((await send(`/v1/responses/${response.id}/input_items?after=msg_x`)).body.error.param, 'after');
	await assert.rejects(client.responses.inputItems.list('resp_none'), refusal(404, 'response_not_found'));
});

test('a body that is wrong is refused by the name of its field', async () => {
	const { id } = await client.conversations.create();
	const items = `/v1/conversations/${id}/items`;
	for (const [target, body, status, code, param] of [
		['/v1/conversations', { items: [{ role: 'king', content: 'x' }] }, 400, 'invalid_value', 'items[0].role'],
		['/v1/conversations', { items: 'x' }, 400, 'invalid_type', 'items'],
		['/v1/conversations', { items: Array(21).fill(says('x')) }, 400, 'invalid_value', 'items'],
		['/v1/conversations', { colour: 'red' }, 400, 'unknown_parameter', 'colour'],
		['/v1/conversations?x=1', {}, 400, 'unknown_parameter', 'x'],
		[`/v1/conversations/${id}`, { metadata: {}, title: 'x' }, 400, 'unknown_parameter', 'title'],
		[items, { items: [] }, 400, 'invalid_value', 'items'],
		[items, {}, 400, 'missing_required_parameter', 'items'],
		[items, { items: [says('x'), { type: 'item_reference', id: 'msg_1' }] }, 400, 'unsupported_parameter', 'items[1]'],
		[`${items}?order=asc`, { items: [says('x')] }, 400, 'unknown_parameter', 'order'],
	]) {
		const answer = await send(target, { body });
		assert.equal(answer.status, status, `${target} ${JSON.stringify(body)}`);
		checkError(answer.body, { code, param });
	}
	for (const target of [`${items}?colour=red`, `/v1/conversations/${id}?limit=1`, '/v1/conversations?ordre=asc']) {
		assert.equal((await send(target)).body.error.code, 'unknown_parameter', target);
	}
	const broken = await stage.fetch('/v1/conversations', { method: 'POST', body: '{"items":[', headers: { 'content-type': 'application/json' } });
	assert.equal((await broken.json()).error.code, 'invalid_json');
	assert.deepEqual((await client.conversations.items.list(id)).data, [], 'nothing of it was kept');
});

test("another user's conversation is not found, and stays as it was", async () => {
	const made = await client.conversations.create({ items: [says('mine')], metadata: { a: 'b' } });
	const [item] = await collect(client.conversations.items.list(made.id));
	const bob = openai(stage.server, await stage.server.createKey('bob'));
	const missing = refusal(404, 'conversation_not_found');
	await assert.rejects(bob.conversations.retrieve(made.id), missing);
	await assert.rejects(bob.conversations.update(made.id, { metadata: {} }), missing);
	await assert.rejects(bob.conversations.delete(made.id), missing);
	await assert.rejects(bob.conversations.items.list(made.id), missing);
	await assert.rejects(bob.conversations.items.create(made.id, { items: [says('his')] }), missing);
	await assert.rejects(bob.conversations.items.retrieve(item.id, { conversation_id: made.id }), missing);
	await assert.rejects(bob.conversations.items.delete(item.id, { conversation_id: made.id }), missing);
	await assert.rejects(bob.responses.inputItems.list(made.last_response_id), refusal(404, 'response_not_found'));
	const his = await bob.conversations.create();
	await assert.rejects(bob.conversations.items.retrieve(item.id, { conversation_id: his.id }), refusal(404, 'item_not_found'));
	await assert.rejects(bob.conversations.items.delete(item.id, { conversation_id: his.id }), refusal(404, 'item_not_found'));
	assert.deepEqual(await client.conversations.retrieve(made.id), made);
	assert.deepEqual((await collect(client.conversations.items.list(made.id))).map(textOf), ['mine']);
});

test('no file holds a word of items or metadata, nor what was replaced or deleted', async (t) => {
	const { server, key } = await own(t);
	const sdk = openai(server, key);
	const words = { item: canary(), added: canary(), deleted: canary(), metadata: canary(), name: canary(), replaced: canary() };
	const { id } = await sdk.conversations.create({ items: [says(words.item)], metadata: { [words.name]: words.replaced } });
	const added = await sdk.conversations.items.create(id, { items: [says(words.added), says(words.deleted)] });
	await sdk.conversations.update(id, { metadata: { [words.name]: words.metadata } });
	await sdk.conversations.items.delete(added.data[1].id, { conversation_id: id });
	const nowhere = async (when) => {
		for (const [name, word] of Object.entries(words)) {
			assert.deepEqual(await server.find(word), [], `the ${name}, ${when}`);
		}
	};
	await nowhere('while the server runs');
	assert.ok((await server.find(added.data[0].id)).some((name) => name.includes('sluice.db')), 'ids are not secret');
	await server.restart();
	const again = openai(server, key);
	assert.deepEqual((await again.conversations.retrieve(id)).metadata, { [words.name]: words.metadata });
	assert.deepEqual((await collect(again.conversations.items.list(id))).map(textOf), [words.item, words.added]);
	await server.stop();
	await nowhere('after the server has stopped');
	// Which the log may name: it says what was asked for.
	const found = (await server.find(added.data[1].id)).filter((name) => name !== 'log');
	assert.deepEqual(found, [], 'nor the id of the deleted one');
});

test('a conversation that is watched over WebSocket can be continued from what was added', async () => {
	const made = await client.conversations.create({ items: [says('watched')] });
	const watcher = await connect(stage.server, { key: stage.key });
	watcher.send({ type: 'sluice:conversation.subscribe', conversation: made.id });
	await watcher.type('sluice:conversation.subscribed');
	await client.conversations.items.create(made.id, { items: [says('and more')] });
	const { last_response_id: last } = await client.conversations.retrieve(made.id);
	await client.responses.create({ input: 'seen by the watcher', previous_response_id: last });
	const turn = await watcher.type('sluice:conversation.turn');
	assert.equal(turn.previous_response_id, last);
	await watcher.close();
});
