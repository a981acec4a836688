// response.steer: what a user adds while an answer runs. The running response ends, its successor takes the input by itself.
import assert from 'node:assert/strict';
import { checkStream, isTerminal } from '../lib/check.js';
import { connect } from '../lib/chat.js';
import { startServer } from '../lib/server.js';
import { eventually, setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, messageText, reply, startUpstream } from '../lib/upstream.js';

const stage = setup();
const TOOLS = [{ type: 'function', name: 'look', parameters: { type: 'object' } }];

const steer = (chat, previous_response_id, input, more) =>
	chat.send({ type: 'response.steer', previous_response_id, input, ...more });
const steering = ({ type }) => type.startsWith('response.steer.');
const said = ({ messages }) => messages.map((message) => `${message.role}: ${messageText(message)}`);
const get = async (id) => (await stage.fetch(`/v1/responses/${id}`)).json();
const result = (call_id, output) => ({ type: 'function_call_output', call_id, output });

/** What is sent within leaves in one segment. */
function together({ socket: { _socket: tcp } }, body) {
	tcp.cork();
	body();
	tcp.uncork();
}

/** The events of each response on this connection, in the order in which they began; lanes' names are left out. */
function responses(chat, from = 0) {
	const lists = [];
	const lanes = new Map();
	for (const { stream_id, ...event } of chat.events.slice(from)) {
		if (steering(event) || !event.type.startsWith('response.') || event['sluice:response_id']) {
			continue;
		}
		if (event.type === 'response.created') {
			lanes.set(stream_id, []);
			lists.push(lanes.get(stream_id));
		}
		lanes.get(stream_id).push(event);
	}
	return lists;
}

/** Waits until `count` responses have ended; each checked, each as its final object. */
async function ended(chat, count) {
	await chat.wait((event) => isTerminal(event) && responses(chat).filter((events) => isTerminal(events.at(-1))).length === count, {
		from: 0,
	});
	return responses(chat).map((events) => checkStream(events).response);
}

/** Begins a turn that says `words` and then nothing, until it is stopped. */
async function begin(chat, input, words = 'Partial', { upstream = stage.upstream, ...more } = {}) {
	upstream.on((x) => x.question === input, reply.stalls(words));
	const from = chat.events.length;
	chat.send({ type: 'response.create', input, ...more });
	const { response } = await chat.type('response.created', { from });
	if (words.length) {
		await chat.type('response.output_text.delta', { from });
	}
	return response;
}

/** Begins a turn that calls a function and ends when the gate opens. */
async function beginCall(chat, input, held, more = {}) {
	stage.upstream.on(
		(x) => x.question === input && x.messages.at(-1).role === 'user',
		reply.does([(x) => x.call(0, 'call_a', 'look', '{}'), () => held.passed]),
	);
	chat.send({ type: 'response.create', input, tools: TOOLS, ...more });
	const { response } = await chat.type('response.created', { from: chat.events.length });
	await chat.type('response.function_call_arguments.delta');
	return response;
}

test('what is steered ends at once, and a successor with the same settings takes the input by itself', async () => {
	const chat = await stage.chat();
	const settings = { instructions: 'Be brief.', temperature: 0.3, metadata: { a: 'b' }, tools: TOOLS, max_output_tokens: 99 };
	const first = await begin(chat, 'a long story', 'Once upon', settings);
	steer(chat, first.id, 'about a cat');
	const [steered, successor] = await ended(chat, 2);
	const [accepted, ...others] = chat.events.filter(steering);
	assert.deepEqual(others, []);
	assert.match(accepted.steer.id, /^steer_/);
	assert.deepEqual(accepted, {
		type: 'response.steer.accepted',
		sequence_number: 0,
		steer: { id: accepted.steer.id, previous_response_id: first.id },
	});
	assert.ok(chat.events.indexOf(accepted) < chat.events.findIndex(isTerminal), 'told before the response ends');
	await stage.upstream.asked('a long story')[0].hungUp();
	assert.equal(steered.status, 'incomplete');
	assert.deepEqual(steered.incomplete_details, { reason: 'steered' });
	assert.equal(steered.output[0].status, 'incomplete');
	assert.equal(successor.previous_response_id, first.id);
	assert.equal(successor.status, 'completed');
	assert.deepEqual(successor.conversation, steered.conversation);
	for (const field of ['instructions', 'temperature', 'metadata', 'tools', 'max_output_tokens', 'model', 'store']) {
		assert.deepEqual(successor[field], first[field], field);
	}
	const [x] = stage.upstream.asked('about a cat');
	assert.deepEqual(said(x), ['system: Be brief.', 'user: a long story', 'assistant: Once upon', 'user: about a cat']);
	assert.equal(x.body.temperature, 0.3);
	assert.deepEqual(await get(first.id), steered);
	assert.deepEqual(await get(successor.id), successor);
	const { data } = await (await stage.fetch(`/v1/responses/${successor.id}/input_items`)).json();
	assert.equal(data[0].content[0].text, 'about a cat');
	await chat.close();
});

test('several additions at once go into one successor, in their order', async () => {
	const chat = await stage.chat();
	const { id } = await begin(chat, 'three things');
	together(chat, () => {
		steer(chat, id, 'the first');
		steer(chat, id, [
			{ role: 'user', content: 'the second' },
			{ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'the third' }] },
		]);
	});
	await ended(chat, 2);
	const accepted = chat.events.filter(steering);
	assert.deepEqual(accepted.map(({ type }) => type), ['response.steer.accepted', 'response.steer.accepted']);
	assert.deepEqual(accepted.map(({ sequence_number }) => sequence_number), [0, 1]);
	assert.notEqual(accepted[0].steer.id, accepted[1].steer.id);
	const [x] = stage.upstream.asked('the third');
	assert.deepEqual(said(x).slice(2), ['user: the first', 'user: the second', 'user: the third']);
	await chat.close();
});

test('a successor can be steered as well', async () => {
	const chat = await stage.chat();
	const first = await begin(chat, 'not this', 'A');
	stage.upstream.on((x) => x.question === 'nor this', reply.stalls('B'));
	steer(chat, first.id, 'nor this');
	const second = await chat.wait(({ type, response }) => type === 'response.created' && response.id !== first.id);
	await chat.wait(({ type, delta }) => type === 'response.output_text.delta' && delta === 'B');
	steer(chat, second.response.id, 'but this');
	const all = await ended(chat, 3);
	assert.deepEqual(all.map(({ status }) => status), ['incomplete', 'incomplete', 'completed']);
	assert.deepEqual(said(stage.upstream.asked('but this')[0]), [
		'user: not this',
		'assistant: A',
		'user: nor this',
		'assistant: B',
		'user: but this',
	]);
	await chat.close();
});

test('steered before its first token, a response ends without a word', async () => {
	for (const more of [{}, { store: false }]) {
		const chat = await stage.chat();
		const first = await begin(chat, 'before a word', [], more);
		steer(chat, first.id, 'this instead');
		const [steered, successor] = await ended(chat, 2);
		assert.deepEqual(steered.output, []);
		assert.equal(steered.incomplete_details.reason, 'steered');
		assert.equal(successor.status, 'completed');
		assert.deepEqual(said(stage.upstream.asked('this instead').at(-1)), ['user: before a word', 'user: this instead']);
		await chat.close();
	}
});

test('a turn that is not stored is steered like any other', async () => {
	const chat = await stage.chat();
	const first = await begin(chat, 'off the record', 'Psst', { store: false });
	steer(chat, first.id, 'louder');
	const [, successor] = await ended(chat, 2);
	assert.equal(successor.previous_response_id, first.id);
	assert.equal(successor.store, false);
	assert.deepEqual(said(stage.upstream.asked('louder')[0]), ['user: off the record', 'assistant: Psst', 'user: louder']);
	assert.equal((await get(successor.id)).error.code, 'response_not_found');
	const after = await chat.turn({ input: 'and further', previous_response_id: successor.id, store: false });
	assert.equal(after.response.status, 'completed');
	await chat.close();
});

test('what the model thought before it was steered is not shown again', async () => {
	const chat = await stage.chat();
	stage.upstream.on('think of it', reply.does([(x) => x.think('Hm'), (x) => x.closed]));
	chat.send({ type: 'response.create', input: 'think of it' });
	const { response } = await chat.type('response.created');
	await chat.type('response.reasoning.delta');
	steer(chat, response.id, 'think less');
	const [steered] = await ended(chat, 2);
	assert.equal(steered.output[0].content[0].text, 'Hm');
	assert.deepEqual(said(stage.upstream.asked('think less')[0]), ['user: think of it', 'user: think less']);
	await chat.close();
});

test('a turn that waits in the lane comes behind the successor', async () => {
	const chat = await stage.chat();
	const first = await begin(chat, 'the running one');
	chat.send({ type: 'response.create', input: 'the waiting one' });
	steer(chat, first.id, 'the addition');
	await ended(chat, 3);
	const asked = stage.upstream.requests.slice(-3).map(({ question }) => question);
	assert.deepEqual(asked, ['the running one', 'the addition', 'the waiting one']);
	await chat.close();
});

/** The next steering event that is a failure. */
async function failure(chat, code) {
	const event = await chat.type('response.steer.failed');
	chat.seen = chat.events.indexOf(event) + 1;
	assert.equal(event.error.type, 'invalid_request_error');
	assert.equal(event.error.code, code, JSON.stringify(event));
	assert.ok(event.error.message.length > 10);
	return event;
}

test('what cannot be steered is refused, and the input comes back', async () => {
	const [chat, other] = [await stage.chat(), await stage.chat()];
	const { response } = await chat.turn({ input: 'soon over', stream_id: 'x' });
	const input = [{ type: 'message', role: 'user', content: 'too late' }];
	steer(chat, response.id, input);
	const late = await failure(chat, 'response_already_completed');
	assert.deepEqual(late.steer, { previous_response_id: response.id, input });
	assert.equal(late.stream_id, 'x');
	steer(chat, 'resp_unknown', 'to nobody');
	const unknown = await failure(chat, 'response_not_found');
	assert.deepEqual(unknown.steer, { previous_response_id: 'resp_unknown', input: 'to nobody' });
	assert.equal(unknown.stream_id, undefined);
	const running = await begin(other, 'of another connection');
	steer(chat, running.id, 'not yours');
	await failure(chat, 'response_not_found');
	other.send({ type: 'response.cancel' });
	await ended(other, 1);
	await chat.close();
	await other.close();
});

test('a response that is only read again is not steered', async () => {
	const chat = await stage.chat();
	const { response } = await chat.turn('long ago');
	await chat.close();
	const again = await stage.chat();
	together(again, () => {
		again.send({ type: 'sluice:response.resume', response_id: response.id });
		steer(again, response.id, 'too late');
	});
	await failure(again, 'response_already_completed');
	await again.wait(isTerminal, { from: 0 });
	await again.turn('a turn of its own');
	assert.equal(stage.upstream.asked('too late').length, 0);
	await again.close();
});

test('only users steer: other input is refused as invalid and comes back, and the answer goes on', async () => {
	const held = gate();
	const chat = await stage.chat();
	stage.upstream.on('undisturbed', reply.pauses('begun', held, ' and ended'));
	const turn = chat.begin({ input: 'undisturbed', stream_id: 'calm' });
	const { id } = await turn.created;
	const inputs = [
		[{ role: 'system', content: 'obey' }],
		[{ role: 'developer', content: 'obey' }],
		[{ role: 'assistant', content: 'I obey' }],
		[result('call_a', 'x')],
		[{ role: 'user', content: 'fine' }, { type: 'item_reference', id: 'msg_1' }],
		[{ role: 'user', content: 'fine', colour: 'blue' }],
		[],
		'',
		7,
		null,
	];
	for (const input of inputs) {
		steer(chat, id, input);
		const failed = await failure(chat, 'invalid_input');
		assert.deepEqual(failed.steer, { previous_response_id: id, input });
		assert.equal(failed.stream_id, 'calm');
	}
	chat.send({ type: 'response.steer', previous_response_id: id });
	const missing = await failure(chat, 'invalid_input');
	assert.deepEqual(missing.steer, { previous_response_id: id, input: null });
	held.open();
	const end = await chat.wait((event) => isTerminal(event));
	assert.equal(end.response.status, 'completed');
	await chat.close();
});

test('a steering message without a response, or with a field too many, is an error', async () => {
	const chat = await stage.chat();
	chat.send({ type: 'response.steer', input: 'x' });
	assert.equal((await chat.nextError()).error.param, 'previous_response_id');
	chat.send({ type: 'response.steer', previous_response_id: 'resp_1', input: 'x', model: 'fake' });
	assert.equal((await chat.nextError()).error.param, 'model');
	await chat.close();
});

test('a response that has called functions goes on; what was added waits for their results and comes behind them', async () => {
	const held = gate();
	const chat = await stage.chat();
	const first = await beginCall(chat, 'look around', held, { stream_id: 'eyes', instructions: 'old' });
	steer(chat, first.id, 'closely');
	await chat.type('response.steer.accepted');
	steer(chat, first.id, 'and quickly');
	await chat.wait(() => chat.events.filter(steering).length === 2);
	held.open();
	await chat.wait(() => chat.events.filter(steering).length === 4);
	const [completed] = responses(chat).map((events) => checkStream(events).response);
	assert.equal(completed.status, 'completed');
	const [one, two, ...pending] = chat.events.filter(steering);
	pending.forEach((event, n) => {
		assert.deepEqual(event, {
			type: 'response.steer.pending',
			sequence_number: 2 + n,
			reason: 'waiting_for_required_input',
			required_input: [{ type: 'function_call_output', call_id: 'call_a', name: 'look' }],
			steer: [one, two][n].steer,
			stream_id: 'eyes',
		});
	});
	assert.ok(chat.events.indexOf(pending[0]) > chat.events.findIndex(isTerminal), 'told when the response has ended');
	chat.send({
		type: 'response.create',
		stream_id: 'eyes',
		previous_response_id: first.id,
		input: [result('call_a', 'a wall')],
		instructions: 'new',
	});
	const [, successor] = await ended(chat, 2);
	assert.equal(successor.instructions, 'new');
	const x = stage.upstream.requests.at(-1);
	assert.deepEqual(said(x), [
		'system: new',
		'user: look around',
		'assistant: ',
		'tool: a wall',
		'user: closely',
		'user: and quickly',
	]);
	const { data } = await (await stage.fetch(`/v1/responses/${successor.id}/input_items?order=asc`)).json();
	assert.deepEqual(data.map(({ content, output }) => output ?? content[0].text), ['closely', 'and quickly', 'a wall']);
	assert.equal(chat.events.filter(steering).length, 4, 'nothing more is said of it');
	await chat.turn({ input: 'no more of it', stream_id: 'eyes', previous_response_id: successor.id }).catch(() => {});
	await chat.close();
});

test('what waits for results comes back when the conversation goes on without them', async () => {
	const held = gate();
	const chat = await stage.chat();
	const first = await beginCall(chat, 'look away', held);
	steer(chat, first.id, 'quickly');
	await chat.type('response.steer.accepted');
	held.open();
	await chat.type('response.steer.pending');
	const second = await begin(chat, 'never mind', 'Well');
	steer(chat, second.id, 'at all');
	const failed = await failure(chat, 'response_not_active');
	assert.equal(failed.steer.previous_response_id, first.id);
	assert.equal(failed.steer.input, 'quickly');
	await ended(chat, 3);
	assert.deepEqual(said(stage.upstream.asked('at all')[0]), ['user: never mind', 'assistant: Well', 'user: at all']);
	await chat.close();
});

test('what waits for results comes back when the request that brings them is refused', async () => {
	const held = gate();
	const chat = await stage.chat();
	const first = await beginCall(chat, 'look there', held);
	steer(chat, first.id, 'slowly');
	await chat.type('response.steer.accepted');
	held.open();
	await chat.type('response.steer.pending');
	chat.send({
		type: 'response.create',
		model: 'no-such-model',
		previous_response_id: first.id,
		input: [result('call_a', 'a wall')],
	});
	const failed = await failure(chat, 'successor_creation_failed');
	assert.equal((await chat.nextError()).error.code, 'model_not_found');
	assert.match(failed.steer.id, /^steer_/);
	assert.equal(failed.steer.input, 'slowly');
	await chat.close();
});

test('cancelled after it was steered, a response has no successor', async () => {
	const held = gate();
	const chat = await stage.chat();
	const first = await beginCall(chat, 'look and stop', held, { stream_id: 'eyes' });
	steer(chat, first.id, 'closely');
	const accepted = await chat.type('response.steer.accepted');
	chat.send({ type: 'response.cancel', response_id: first.id });
	const failed = await failure(chat, 'response_not_active');
	assert.deepEqual(failed.steer, { ...accepted.steer, input: 'closely' });
	assert.equal(failed.stream_id, 'eyes');
	const [cancelled] = await ended(chat, 1);
	assert.equal(cancelled.incomplete_details.reason, 'cancelled');
	await chat.turn({ input: 'the lane lives on', stream_id: 'eyes' }).catch(() => {});
	assert.equal(responses(chat).length, 2);
	held.open();
	await chat.close();
});

test('an answer that fails gives back what was added to it', async () => {
	const held = gate();
	const chat = await stage.chat();
	stage.upstream.on(
		'look and fail',
		reply.does([
			(x) => x.call(0, 'call_a', 'look', '{}'),
			() => held.passed,
			(x) => x.write(`data: ${JSON.stringify({ error: { message: 'out of GPUs' } })}\n\n`),
		]),
	);
	chat.send({ type: 'response.create', input: 'look and fail', tools: TOOLS });
	const { response } = await chat.type('response.created');
	await chat.type('response.function_call_arguments.delta');
	steer(chat, response.id, 'closely');
	await chat.type('response.steer.accepted');
	held.open();
	await failure(chat, 'response_not_active');
	await chat.close();
});

test('a named lane names itself in all of it, and its successor runs there', async () => {
	const chat = await stage.chat();
	const other = await begin(chat, 'in the other lane', 'B', { stream_id: 'b' });
	const first = await begin(chat, 'in this lane', 'A', { stream_id: 'a' });
	steer(chat, first.id, 'and more');
	await chat.wait(({ type, stream_id }) => type === 'response.completed' && stream_id === 'a');
	const ofLane = chat.events.filter(({ stream_id }) => stream_id === 'a');
	assert.equal(ofLane.filter(({ type }) => type === 'response.created').length, 2);
	assert.equal(ofLane.filter(({ type }) => type === 'response.steer.accepted').length, 1);
	assert.ok(chat.events.every((event) => event.stream_id), 'every event names its lane');
	assert.ok(!chat.events.some((event) => event.stream_id === 'b' && isTerminal(event)), 'the other lane runs on');
	chat.send({ type: 'response.cancel', response_id: other.id });
	await ended(chat, 3);
	await chat.close();
});

test('only so much waits for one response', async () => {
	const held = gate();
	const chat = await stage.chat();
	const first = await beginCall(chat, 'look at all of it', held, { stream_id: 'eyes' });
	for (let n = 0; n < 17; n++) {
		steer(chat, first.id, `addition ${n}`);
	}
	const failed = await failure(chat, 'too_many_pending_steers');
	assert.deepEqual(failed.steer, { previous_response_id: first.id, input: 'addition 16' });
	assert.equal(failed.stream_id, 'eyes');
	assert.equal(chat.events.filter(({ type }) => type === 'response.steer.accepted').length, 16);
	held.open();
	await chat.wait(() => chat.events.filter(({ type }) => type === 'response.steer.pending').length === 16);
	await chat.close();
});

test('as many bytes wait as one message may have', async (t) => {
	const upstream = await startUpstream();
	const server = await startServer({ upstream, settings: { limits: { max_message: '64KiB' } } });
	t.after(async () => {
		await server.remove();
		await upstream.stop();
	});
	const chat = await connect(server, { key: await server.createKey('ada') });
	const held = gate();
	upstream.on(
		'calls and goes on',
		reply.does([(x) => x.call(0, 'call_a', 'look', '{}'), () => held.passed]),
	);
	const turn = chat.begin({ input: 'calls and goes on', tools: TOOLS });
	const { id } = await turn.created;
	await chat.type('response.function_call_arguments.delta');
	const large = 'x'.repeat(40_000);
	[large, large, 'one more'].forEach((input) => steer(chat, id, input));
	const failed = await failure(chat, 'too_many_pending_steers');
	assert.equal(failed.steer.input, 'one more');
	assert.equal(chat.events.filter(({ type }) => type === 'response.steer.accepted').length, 2);
	held.open();
	await chat.close();
});

test('a successor that cannot be created gives the input back', async (t) => {
	const upstream = await startUpstream();
	const server = await startServer({ upstream, settings: { limits: { max_context: '16KiB' } } });
	t.after(async () => {
		await server.remove();
		await upstream.stop();
	});
	const key = await server.createKey('ada');
	const chat = await connect(server, { key });
	const response = await begin(chat, 'not too long', 'begun', { upstream });
	const input = 'x'.repeat(17_000);
	steer(chat, response.id, input);
	const accepted = await chat.type('response.steer.accepted');
	const failed = await failure(chat, 'successor_creation_failed');
	assert.deepEqual(failed.steer, { ...accepted.steer, input });
	assert.match(failed.error.message, /large/, 'it says why');
	assert.ok(!chat.events.some(({ type }) => type === 'error'), 'that is all that is said of it');
	const after = await chat.turn({ input: 'shorter', previous_response_id: response.id });
	assert.equal(after.response.status, 'completed');

	const last = await begin(chat, 'as the server stops', 'begun', { upstream });
	server.signal('SIGTERM');
	await chat.type('sluice:draining');
	steer(chat, last.id, 'too late');
	await failure(chat, 'successor_creation_failed');
	assert.equal((await chat.closed).code, 1012);
});

test('a model that fails is no reason not to begin: the successor is created and fails', async () => {
	const chat = await stage.chat();
	const first = await begin(chat, 'before the failure');
	stage.upstream.on('into the failure', reply.fails(400));
	steer(chat, first.id, 'into the failure');
	const [, successor] = await ended(chat, 2);
	assert.equal(successor.status, 'failed');
	assert.equal(chat.events.filter(steering).length, 1);
	await chat.close();
});

test('a connection that is lost behind the acceptance leaves the response steered, and stored', async () => {
	const chat = await stage.chat();
	const held = gate();
	const first = await beginCall(chat, 'look and go', held);
	steer(chat, first.id, 'lost');
	await chat.type('response.steer.accepted');
	chat.drop();
	held.open();
	const left = await eventually(() => get(first.id), ({ status }) => status !== 'in_progress');
	assert.equal(left.status, 'completed');
	const again = await stage.chat();
	const { response } = await again.turn({ input: [result('call_a', 'x')], previous_response_id: first.id, tools: TOOLS });
	assert.equal(response.status, 'completed');
	assert.equal(stage.upstream.asked('lost').length, 0);
	await again.close();
});

test('a device that follows the conversation sees both responses, and cannot steer what it only follows', async () => {
	const [desk, phone] = [await stage.chat(), await stage.chat()];
	const first = await begin(desk, 'on two devices');
	phone.send({ type: 'sluice:conversation.subscribe', conversation: first.conversation.id });
	await phone.type('response.output_text.delta');
	steer(phone, first.id, 'from afar');
	await failure(phone, 'response_not_found');
	steer(desk, first.id, 'from the desk');
	const both = await ended(desk, 2);
	await phone.wait((event) => isTerminal(event) && event['sluice:response_id'] === both[1].id);
	const { events } = phone;
	for (const [n, { id }] of both.entries()) {
		const followed = events.filter((event) => event['sluice:response_id'] === id && event.type.startsWith('response.'));
		const stripped = followed.map(({ 'sluice:response_id': _, ...event }) => event);
		assert.deepEqual(stripped, responses(desk)[n]);
	}
	await desk.close();
	await phone.close();
});

test('a connection that took a response over steers it, and has the successor', async () => {
	const [desk, phone] = [await stage.chat(), await stage.chat()];
	const first = await begin(desk, 'taken over', 'A');
	phone.send({ type: 'sluice:response.resume', response_id: first.id, stream_id: 'mine' });
	await phone.type('response.output_text.delta');
	steer(phone, first.id, 'on the phone');
	const [steered, successor] = await ended(phone, 2);
	assert.equal(steered.incomplete_details.reason, 'steered');
	assert.equal(successor.previous_response_id, first.id);
	const [seen] = await ended(desk, 1);
	assert.deepEqual(seen, steered);
	assert.ok(!desk.events.some(steering));
	await desk.close();
	await phone.close();
});
