// Devices of one user that watch a conversation see every turn of it as it happens, and can stop it.
import assert from 'node:assert/strict';
import { checkError, checkStream, isTerminal } from '../lib/check.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';

const stage = setup({ settings: { limits: { burst: 1000, requests_per_minute: 100000 } } });

async function subscribe(chat, conversation) {
	const from = chat.events.length;
	chat.send({ type: 'sluice:conversation.subscribe', conversation });
	return chat.type('sluice:conversation.subscribed', { from });
}

const of = (id) => (event) => event['sluice:response_id'] === id;
/** What a watcher saw of a response, as if it had asked for it itself. */
const followed = (chat, id) =>
	chat.events.filter((event) => of(id)(event) && event.type.startsWith('response.')).map(({ 'sluice:response_id': _, ...event }) => event);
const isOver = (id) => (event) => of(id)(event) && isTerminal(event);

test('each device sees each turn once, with the question before it, whoever asks', async () => {
	const [desk, phone, tablet] = [await stage.chat(), await stage.chat(), await stage.chat()];
	const first = await desk.turn('begin here');
	const conversation = first.response.conversation.id;
	for (const chat of [desk, phone, tablet]) {
		assert.equal((await subscribe(chat, conversation)).conversation, conversation);
	}
	const turns = [];
	let previous = first.response.id;
	for (const chat of [desk, phone, tablet, phone]) {
		const turn = await chat.turn({ input: `from one of three, ${turns.length}`, previous_response_id: previous });
		turns.push({ chat, turn, previous });
		previous = turn.response.id;
	}
	for (const { chat, turn, previous } of turns) {
		for (const other of [desk, phone, tablet].filter((device) => device !== chat)) {
			await other.wait(isOver(turn.response.id), { from: 0 });
			const seen = followed(other, turn.response.id);
			assert.deepEqual(seen, turn.events);
			checkStream(seen);
			const own = other.events.filter(of(turn.response.id));
			assert.equal(own[0].type, 'sluice:conversation.turn');
			assert.equal(own[0].conversation, conversation);
			assert.equal(own[0].previous_response_id, previous);
			assert.equal(own[0].input[0].content[0].text, `from one of three, ${turns.findIndex((t) => t.turn === turn)}`);
			assert.equal(own.length, turn.events.length + 1);
		}
		assert.deepEqual(chat.events.filter(of(turn.response.id)), [], 'who asks is not told twice');
	}
	for (const chat of [desk, phone, tablet]) {
		await chat.close();
	}
});

test('who subscribes in the middle of a turn sees it from its first event on, and can stop it', async () => {
	const [desk, phone] = [await stage.chat(), await stage.chat()];
	const first = await desk.turn('to be stopped from elsewhere');
	stage.upstream.on('endless', reply.stalls(['one ', 'two ']));
	const turn = desk.begin({ input: 'endless', previous_response_id: first.response.id });
	const { id } = await turn.created;
	await desk.type('response.output_text.delta', { from: turn.from });
	await subscribe(phone, first.response.conversation.id);
	await phone.wait((event) => of(id)(event) && event.type === 'response.output_text.delta');
	assert.equal(followed(phone, id)[0].sequence_number, 0);
	phone.send({ type: 'sluice:response.cancel', response_id: id });
	await phone.wait(isOver(id));
	const { events } = await turn.end;
	assert.equal(events.at(-1).response.incomplete_details.reason, 'cancelled');
	assert.deepEqual(followed(phone, id), events);
	const [x] = stage.upstream.asked('endless');
	await x.hungUp();
	await desk.close();
	await phone.close();
});

test('a turn that was asked for over HTTP is seen too; after unsubscribing nothing is', async () => {
	const phone = await stage.chat();
	const first = await phone.turn('over http');
	const conversation = first.response.conversation.id;
	const ask = async (input) =>
		(await stage.fetch('/v1/responses', { body: { input, previous_response_id: first.response.id } })).json();
	await subscribe(phone, conversation);
	const seen = await ask('seen');
	await phone.wait(isOver(seen.id));
	assert.equal(checkStream(followed(phone, seen.id)).text, 'You said: seen');
	phone.send({ type: 'sluice:conversation.unsubscribe', conversation });
	await phone.type('sluice:conversation.unsubscribed');
	const unseen = await ask('unseen');
	assert.equal((await phone.turn('a turn later')).text, 'You said: a turn later');
	assert.deepEqual(phone.events.filter(of(unseen.id)), []);
	await phone.close();
});

test('a watcher that does not read for a while still gets everything, in order', async () => {
	const [desk, phone] = [await stage.chat(), await stage.chat()];
	const first = await desk.turn('for a slow reader');
	await subscribe(phone, first.response.conversation.id);
	phone.socket.pause();
	const words = Array.from({ length: 3000 }, (_, n) => `${n}:${'x'.repeat(500)} `);
	stage.upstream.on('long', reply.says(words));
	const turn = await desk.turn({ input: 'long', previous_response_id: first.response.id });
	phone.socket.resume();
	await phone.wait(isOver(turn.response.id));
	assert.equal(checkStream(followed(phone, turn.response.id)).text, words.join(''));
	await desk.close();
	await phone.close();
});

test('subscriptions that cannot be are clear errors', async () => {
	const chat = await stage.chat();
	const stranger = await stage.chat({ key: await stage.server.createKey('watcher') });
	const { response } = await chat.turn('mine');
	const conversation = response.conversation.id;
	const wrong = [
		[stranger, 'subscribe', { conversation }, { status: 404, code: 'conversation_not_found', param: 'conversation' }],
		[chat, 'subscribe', { conversation: 'conv_unknown' }, { status: 404, code: 'conversation_not_found', param: 'conversation' }],
		[chat, 'subscribe', { conversation: 'x'.repeat(500) }, { status: 404, code: 'conversation_not_found', param: 'conversation' }],
		[chat, 'subscribe', {}, { status: 400, code: 'missing_required_parameter', param: 'conversation' }],
		[chat, 'subscribe', { conversation_id: conversation }, { status: 400, code: 'unknown_parameter', param: 'conversation_id' }],
		[chat, 'subscribe', { conversation: 7 }, { status: 400, code: 'invalid_type', param: 'conversation' }],
		[chat, 'unsubscribe', { conversation }, { status: 404, code: 'conversation_not_found', param: 'conversation' }],
	];
	for (const [client, verb, message, expected] of wrong) {
		client.send({ type: `sluice:conversation.${verb}`, ...message });
		checkError(await client.nextError(), expected);
	}
	await chat.close();
	await stranger.close();
});

test('a connection watches 32 conversations at most; twice the same is one', async () => {
	const chat = await stage.chat();
	const conversations = [];
	for (let n = 0; n < 33; n++) {
		const { response } = await chat.turn({ input: `conversation ${n}`, generate: false });
		conversations.push(response.conversation.id);
	}
	for (const conversation of [...conversations.slice(0, 32), conversations[0]]) {
		await subscribe(chat, conversation);
	}
	chat.send({ type: 'sluice:conversation.subscribe', conversation: conversations[32] });
	checkError(await chat.nextError(), { status: 429, code: 'subscription_limit_reached', param: 'conversation' });
	chat.send({ type: 'sluice:conversation.unsubscribe', conversation: conversations[7] });
	await chat.type('sluice:conversation.unsubscribed');
	await subscribe(chat, conversations[32]);
	await chat.close();
});

test('the list of conversations names the responses that run in each', async () => {
	const chat = await stage.chat();
	const held = gate();
	stage.upstream.on('listed while it runs', reply.pauses('begun', held));
	const turn = chat.begin({ input: 'listed while it runs' });
	const created = await turn.created;
	const row = async () => {
		const { data } = await (await stage.fetch('/v1/conversations')).json();
		return data.find(({ id }) => id === created.conversation.id);
	};
	assert.deepEqual((await row()).live_responses, [created.id]);
	held.open();
	await turn.end;
	assert.deepEqual((await row()).live_responses, []);
	await chat.close();
});

test('a watcher that never reads is closed before what it has not read fills the memory', async () => {
	const [desk, phone] = [await stage.chat(), await stage.chat()];
	const { response } = await desk.turn('much to come');
	await subscribe(phone, response.conversation.id);
	phone.socket.pause();
	// More than the sockets on both sides take.
	stage.upstream.on('a book', reply.says('many words '.repeat(80_000)));
	for (let n = 0; n < 5; n++) {
		await desk.turn({ input: `a book ${n}`, previous_response_id: response.id });
	}
	for (let n = 0; n < 34; n++) {
		await desk.turn({ input: `a line ${n}`, previous_response_id: response.id });
	}
	await stage.server.logged((line) => line.event === 'closing' && line.why === 'answers are not read');
	phone.socket.resume();
	assert.equal((await phone.closed).code, 1008);
	await desk.close();
});
