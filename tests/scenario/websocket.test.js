// Turns over the WebSocket, with a plain client.
import assert from 'node:assert/strict';
import { checkError, checkResponse } from '../lib/check.js';
import { random } from '../lib/random.js';
import { eventually, setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';

const stage = setup();

/** The messages of the nth request whose question contains `text`, as [role, text] pairs. */
const sent = (text, nth = 1) =>
	stage.upstream.asked(text)[nth - 1].messages.map(({ role, content }) => [
		role,
		typeof content === 'string' ? content : content.map((part) => part.text).join(''),
	]);

test('a turn gives every event in order, numbered from 0, and the whole answer', async () => {
	stage.upstream.on('all events', reply.says(['One ', 'two ', 'three.'], { usage: { input: 11, output: 5 } }));
	const chat = await stage.chat();
	const { events, response, text } = await chat.turn('all events');
	assert.equal(text, 'One two three.');
	assert.equal(response.status, 'completed');
	assert.equal(response.usage.input_tokens, 11);
	assert.equal(response.usage.output_tokens, 5);
	assert.equal(response.previous_response_id, null);
	assert.equal(response.store, true);
	const frame = events.map((event) => event.type).filter((type) => type !== 'response.output_text.delta');
	assert.deepEqual(frame, [
		'response.created',
		'response.in_progress',
		'response.output_item.added',
		'response.content_part.added',
		'response.output_text.done',
		'response.content_part.done',
		'response.output_item.done',
		'response.completed',
	]);
	await chat.close();
});

test('a token reaches the client while the upstream still holds the next one back', async () => {
	const held = gate();
	stage.upstream.on('one by one', reply.pauses('first', held, ' second'));
	const chat = await stage.chat();
	const turn = chat.begin({ input: 'one by one' });
	const delta = await chat.type('response.output_text.delta');
	assert.equal(delta.delta, 'first');
	held.open();
	assert.equal((await turn.end).text, 'first second');
	await chat.close();
});

test('the second turn knows the first: the upstream is shown both', async () => {
	const chat = await stage.chat();
	const first = await chat.turn('my colour is green');
	const second = await chat.turn({ input: 'what is my colour', previous_response_id: first.response.id });
	assert.equal(second.response.previous_response_id, first.response.id);
	assert.notEqual(second.response.id, first.response.id);
	assert.deepEqual(sent('what is my colour'), [
		['user', 'my colour is green'],
		['assistant', 'You said: my colour is green'],
		['user', 'what is my colour'],
	]);
	const third = await chat.turn({ input: 'and now', previous_response_id: second.response.id });
	assert.equal(third.text, 'You said: and now');
	assert.equal(sent('and now').length, 5);
	await chat.close();
});

test('a conversation can fork: two turns continue the same one, each without the other', async () => {
	const chat = await stage.chat();
	const root = await chat.turn('the root');
	await chat.turn({ input: 'left branch', previous_response_id: root.response.id });
	await chat.turn({ input: 'right branch', previous_response_id: root.response.id });
	const expected = (last) => [
		['user', 'the root'],
		['assistant', 'You said: the root'],
		['user', last],
	];
	assert.deepEqual(sent('left branch'), expected('left branch'));
	assert.deepEqual(sent('right branch'), expected('right branch'));
	await chat.close();
});

test('without previous_response_id a turn starts anew', async () => {
	const chat = await stage.chat();
	await chat.turn('something to forget');
	await chat.turn('a new beginning');
	assert.deepEqual(sent('a new beginning'), [['user', 'a new beginning']]);
	await chat.close();
});

test('settings of the request reach the upstream and come back in the response', async () => {
	const chat = await stage.chat();
	const { events, response } = await chat.turn({
		input: 'with settings',
		model: 'fake-large',
		instructions: 'Answer in verse.',
		temperature: 0.25,
		top_p: 0.5,
		max_output_tokens: 64,
		metadata: { topic: 'tests', 'ünï': 'cödé' },
	});
	const { body } = stage.upstream.asked('with settings')[0];
	assert.equal(body.model, 'fake-large');
	assert.equal(body.temperature, 0.25);
	assert.equal(body.top_p, 0.5);
	assert.equal(body.max_tokens ?? body.max_completion_tokens, 64);
	assert.equal(body.stream, true);
	assert.equal(body.stream_options.include_usage, true);
	assert.equal('metadata' in body, false, 'metadata is not for the upstream');
	const [first, ...rest] = sent('with settings');
	assert.ok(['system', 'developer'].includes(first[0]));
	assert.equal(first[1], 'Answer in verse.');
	assert.deepEqual(rest, [['user', 'with settings']]);
	for (const shown of [events[0].response, response]) {
		assert.equal(shown.model, 'fake-large');
		assert.equal(shown.instructions, 'Answer in verse.');
		assert.equal(shown.temperature, 0.25);
		assert.equal(shown.top_p, 0.5);
		assert.equal(shown.max_output_tokens, 64);
		assert.deepEqual(shown.metadata, { topic: 'tests', 'ünï': 'cödé' });
	}
	await chat.close();
});

test('instructions hold for one turn only', async () => {
	const chat = await stage.chat();
	const first = await chat.turn({ input: 'instructed', instructions: 'Be brief.' });
	const second = await chat.turn({ input: 'not instructed any more', previous_response_id: first.response.id });
	assert.equal(second.response.instructions, null);
	assert.deepEqual(sent('not instructed any more').map(([role]) => role), ['user', 'assistant', 'user']);
	await chat.close();
});

test('a request that names no model gets the configured one, and its own defaults are left to the upstream', async () => {
	const chat = await stage.chat();
	const { response } = await chat.turn({ input: 'no model named', model: null });
	assert.equal(response.model, 'fake');
	const { body } = stage.upstream.asked('no model named')[0];
	assert.equal(body.model, 'fake');
	for (const field of ['temperature', 'top_p', 'max_tokens', 'max_completion_tokens']) {
		assert.equal(field in body, false, `${field} is not sent`);
	}
	await chat.close();
});

test('input may be a list of messages with parts', async () => {
	const chat = await stage.chat();
	await chat.turn({
		input: [
			{ type: 'message', role: 'developer', content: 'Be kind.' },
			{ role: 'user', content: [{ type: 'input_text', text: 'first of list' }] },
			{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Yes?', annotations: [] }] },
			{ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'last ' }, { type: 'input_text', text: 'of list' }] },
		],
	});
	const messages = sent('last of list');
	assert.deepEqual(
		messages.map(([role]) => role.replace('developer', 'system')),
		['system', 'user', 'assistant', 'user'],
	);
	assert.deepEqual(
		messages.map(([, text]) => text),
		['Be kind.', 'first of list', 'Yes?', 'last of list'],
	);
	await chat.close();
});

test('any text goes through unharmed, in both directions and in the second turn', async () => {
	const texts = [
		'quotes " and \\ backslashes / and <script>alert(1)</script> &amp;',
		'line\nbreaks\r\nand\ttabs \u0001 \u001f \u007f \u2028 \u2029',
		'ünïcödé 😀 👩‍👩‍👧 日本語 العربية \u{10FFFF} \uFEFF end',
		'data: [DONE]\n\ndata: {"error":"x"}\n\n',
	];
	const chat = await stage.chat();
	for (const [at, text] of texts.entries()) {
		stage.upstream.queue(reply.says([...text]));
		const first = await chat.turn(`unharmed ${at} ${text}`);
		assert.equal(first.text, text);
		assert.equal(stage.upstream.asked(`unharmed ${at}`)[0].question, `unharmed ${at} ${text}`);
		await chat.turn({ input: `again ${at}`, previous_response_id: first.response.id });
		assert.deepEqual(sent(`again ${at}`)[1], ['assistant', text]);
	}
	await chat.close();
});

test('a long answer of random pieces arrives whole', async () => {
	const dice = random('a long answer');
	const pieces = Array.from({ length: 2000 }, () => dice.pick(['a', 'bb ', 'ö', '\n', '😀', '"', 'word ', '\\u0041']));
	stage.upstream.on('random pieces', reply.says(pieces));
	const chat = await stage.chat();
	const { text } = await chat.turn('random pieces');
	assert.equal(text, pieces.join(''), `seed ${dice.seed}`);
	await chat.close();
});

test('an answer without a word is completed and empty', async () => {
	stage.upstream.on('say nothing', reply.says([]));
	const chat = await stage.chat();
	const { response, text } = await chat.turn('say nothing');
	assert.equal(response.status, 'completed');
	assert.equal(text, '');
	await chat.close();
});

test('turns on one connection run one after another, in the order in which they were sent', async () => {
	const held = gate();
	stage.upstream.on('queued one', reply.pauses('1', held));
	const chat = await stage.chat();
	const first = chat.begin({ input: 'queued one' });
	await first.created;
	await stage.upstream.request('queued one');
	chat.send({ type: 'response.create', input: 'queued two' });
	chat.send({ type: 'response.create', input: 'queued three' });
	// An error for an unknown id shows that the two before it have been read.
	chat.send({ type: 'response.cancel', response_id: 'resp_none' });
	await chat.type('error');
	assert.equal(stage.upstream.asked('queued two').length, 0, 'the second waits for the first');
	held.open();
	await first.end;
	const completed = () => chat.events.filter((event) => event.type === 'response.completed');
	await chat.wait(() => completed().length === 3, { from: 0 });
	const ids = chat.events.filter((event) => event.response).map((event) => event.response.id);
	const order = ids.filter((id, at) => id !== ids[at - 1]);
	assert.equal(order.length, 3, 'the events of three responses, none mixed with another');
	assert.ok(stage.upstream.requests.indexOf(stage.upstream.asked('queued two')[0]) < stage.upstream.requests.indexOf(stage.upstream.asked('queued three')[0]));
	await chat.close();
});

test('connections run beside each other', async () => {
	const held = gate();
	stage.upstream.on('held back', reply.pauses('a', held, 'b'));
	const [slow, quick] = await Promise.all([stage.chat(), stage.chat()]);
	const turn = slow.begin({ input: 'held back' });
	await slow.type('response.output_text.delta');
	assert.equal((await quick.turn('quick')).text, 'You said: quick');
	held.open();
	assert.equal((await turn.end).text, 'ab');
	await Promise.all([slow.close(), quick.close()]);
});

for (const type of ['response.cancel', 'sluice:response.cancel']) {
	test(`${type} ends the response once, keeps what came, and closes the upstream at once`, async () => {
		stage.upstream.on(`cancel by ${type}`, reply.stalls(['Half ', 'an ']));
		const chat = await stage.chat();
		const turn = chat.begin({ input: `cancel by ${type}` });
		const { id } = await turn.created;
		const asked = await stage.upstream.request(`cancel by ${type}`);
		await chat.wait((event) => event.type === 'response.output_text.delta' && event.delta.endsWith('an '));
		chat.send({ type, response_id: id });
		const { response, text } = await turn.end;
		assert.equal(text, 'Half an ');
		assert.equal(response.status, 'incomplete');
		assert.deepEqual(response.incomplete_details, { reason: 'cancelled' });
		await asked.hungUp();
		const stored = await (await stage.fetch(`/v1/responses/${id}`)).json();
		checkResponse(stored);
		assert.equal(stored.status, 'cancelled');
		assert.equal((await chat.turn('after the cancel')).text, 'You said: after the cancel');
		await chat.close();
	});
}

test('a response can be cancelled before its first token, and even before the upstream answers', async () => {
	stage.upstream.on('cancel early', async (x) => x.closed);
	const chat = await stage.chat();
	const turn = chat.begin({ input: 'cancel early' });
	const { id } = await turn.created;
	const asked = await stage.upstream.request('cancel early');
	chat.send({ type: 'response.cancel', response_id: id });
	const { response } = await turn.end;
	assert.equal(response.incomplete_details.reason, 'cancelled');
	await asked.hungUp();
	await chat.close();
});

test('a cancelled turn can be continued: the upstream is shown what had come', async () => {
	stage.upstream.on('tell me all', reply.stalls(['Only ', 'this']));
	const chat = await stage.chat();
	const turn = chat.begin({ input: 'tell me all' });
	const { id } = await turn.created;
	await chat.wait((event) => event.type === 'response.output_text.delta' && event.delta.endsWith('this'));
	chat.send({ type: 'response.cancel', response_id: id });
	await turn.end;
	await chat.turn({ input: 'go on please', previous_response_id: id });
	assert.deepEqual(sent('go on please').slice(0, 2), [
		['user', 'tell me all'],
		['assistant', 'Only this'],
	]);
	await chat.close();
});

test('cancelling an id that nobody knows, or a response that has ended, is an error and nothing else', async () => {
	const chat = await stage.chat();
	chat.send({ type: 'response.cancel', response_id: 'resp_000000000000000000000000000000000000000' });
	checkError(await chat.nextError(), { status: 404, code: 'response_not_found' });
	const { response } = await chat.turn('soon over');
	chat.send({ type: 'response.cancel', response_id: response.id });
	checkError(await chat.nextError(), { status: 409, code: 'response_not_active' });
	chat.send({ type: 'response.cancel' });
	checkError(await chat.nextError(), { status: 400, code: 'missing_required_parameter', param: 'response_id' });
	chat.send({ type: 'response.cancel', id: response.id });
	checkError(await chat.nextError(), { status: 400, code: 'unknown_parameter', param: 'id' });
	assert.equal((await chat.turn('still here')).text, 'You said: still here');
	await chat.close();
});

test('cancelling a response over HTTP that has ended is refused for good, and SDKs are told so', async () => {
	const chat = await stage.chat();
	const { response } = await chat.turn('over before the cancel');
	const answer = await stage.fetch(`/v1/responses/${response.id}/cancel`, { method: 'POST' });
	assert.equal(answer.status, 409);
	assert.equal(answer.headers.get('x-should-retry'), 'false');
	const { error } = await answer.json();
	assert.deepEqual([error.code, error.param], ['response_not_active', 'response_id']);
	await chat.close();
});

test('a client that leaves a response that is not stored takes the upstream connection with it', async () => {
	stage.upstream.on('leave unstored', reply.stalls('begun'));
	const chat = await stage.chat();
	chat.begin({ input: 'leave unstored', store: false });
	await chat.type('response.output_text.delta');
	const asked = await stage.upstream.request('leave unstored');
	chat.drop();
	await asked.hungUp();
});

test('a client that leaves a stored response finds it whole when it comes back', async () => {
	const held = gate();
	stage.upstream.on('leave stored', reply.pauses('begun', held, ' and ended'));
	const chat = await stage.chat();
	const turn = chat.begin({ input: 'leave stored' });
	const { id } = await turn.created;
	await chat.type('response.output_text.delta');
	chat.drop();
	await chat.closed;
	const running = await (await stage.fetch(`/v1/responses/${id}`)).json();
	assert.equal(running.status, 'in_progress');
	held.open();
	const read = async () => (await stage.fetch(`/v1/responses/${id}`)).json();
	const stored = await eventually(read, (response) => response.status !== 'in_progress');
	checkResponse(stored);
	assert.equal(stored.status, 'completed');
	assert.equal(stored.output[0].content[0].text, 'begun and ended');
	assert.equal((await (await stage.upstream.request('leave stored')).closed).early, false);
});

test('store: false continues on the same socket and is unknown on another', async () => {
	const [here, there] = await Promise.all([stage.chat(), stage.chat()]);
	const first = await here.turn({ input: 'not to be kept', store: false });
	assert.equal(first.response.store, false);
	there.send({ type: 'response.create', input: 'from elsewhere', previous_response_id: first.response.id });
	checkError(await there.nextError(), { status: 404, code: 'previous_response_not_found', param: 'previous_response_id' });
	const second = await here.turn({ input: 'and yet continued', store: false, previous_response_id: first.response.id });
	assert.deepEqual(sent('and yet continued'), [
		['user', 'not to be kept'],
		['assistant', 'You said: not to be kept'],
		['user', 'and yet continued'],
	]);
	assert.equal((await stage.fetch(`/v1/responses/${second.response.id}`)).status, 404);
	await Promise.all([here.close(), there.close()]);
});

test('a turn cannot continue a response that is still running', async () => {
	const held = gate();
	stage.upstream.on('still running', reply.pauses('a', held));
	const [here, there] = await Promise.all([stage.chat(), stage.chat()]);
	const turn = here.begin({ input: 'still running' });
	const { id } = await turn.created;
	there.send({ type: 'response.create', input: 'too early', previous_response_id: id });
	checkError(await there.nextError(), { status: 409, code: 'previous_response_not_ready' });
	held.open();
	await turn.end;
	assert.equal((await there.turn({ input: 'in time', previous_response_id: id })).response.status, 'completed');
	await Promise.all([here.close(), there.close()]);
});

test('what some clients send besides is taken well: stream: true, response.processed', async () => {
	const chat = await stage.chat();
	chat.send({ type: 'response.processed', response_id: 'resp_x' });
	assert.equal((await chat.turn({ input: 'with stream', stream: true })).text, 'You said: with stream');
	assert.deepEqual(chat.events.filter((event) => event.type === 'error'), []);
	await chat.close();
});

test('metadata comes back from the store as it was sent', async () => {
	const chat = await stage.chat();
	const { response } = await chat.turn({ input: 'with metadata', metadata: { a: '1', b: 'zwei' } });
	const stored = await (await stage.fetch(`/v1/responses/${response.id}`)).json();
	assert.deepEqual(stored.metadata, { a: '1', b: 'zwei' });
	assert.deepEqual(stored, response);
	await chat.close();
});

test('two hundred turns at once on fifty connections, every answer the right one', async () => {
	const chats = await Promise.all(Array.from({ length: 50 }, () => stage.chat()));
	await Promise.all(
		chats.map(async (chat, at) => {
			let previous;
			for (let turn = 0; turn < 4; turn++) {
				const input = `crowd ${at} turn ${turn}`;
				const { response, text } = await chat.turn({ input, previous_response_id: previous });
				assert.equal(text, `You said: ${input}`);
				previous = response.id;
			}
		}),
	);
	await Promise.all(chats.map((chat) => chat.close()));
});
