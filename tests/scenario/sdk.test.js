// The OpenAI SDK for Node, unmodified: its HTTP client and its ResponsesWS.
import assert from 'node:assert/strict';
import { checkError, checkResponse, checkStream, isTerminal } from '../lib/check.js';
import { openai, responsesWS } from '../lib/sdk.js';
import { within } from '../lib/server.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';

let client;
const stage = setup({}, async ({ server, key }) => {
	client = openai(server, key);
});

/** What the server sent, without what the SDK added to it. */
const plain = ({ output_text: _, _request_id, ...response }) => response;

test('responses.create gives the whole answer and what it cost', async () => {
	const response = await client.responses.create({ model: 'fake', input: 'over HTTP' });
	assert.equal(response.output_text, 'You said: over HTTP');
	assert.equal(response.status, 'completed');
	assert.equal(response.usage.total_tokens, 10);
	assert.match(response._request_id, /\S/, 'x-request-id');
	checkResponse(plain(response));
});

test('responses.create with stream: true gives the events as they happen', async () => {
	const held = gate();
	stage.upstream.on('streamed over HTTP', reply.pauses('now', held, ' then'));
	const stream = await client.responses.create({ model: 'fake', input: 'streamed over HTTP', stream: true });
	const events = [];
	for await (const event of stream) {
		events.push(event);
		if (event.type === 'response.output_text.delta') {
			held.open();
		}
	}
	const { response, text } = checkStream(events);
	assert.equal(text, 'now then');
	assert.equal(response.status, 'completed');
});

test("the SDK's stream helper assembles the answer", async () => {
	const final = await client.responses.stream({ model: 'fake', input: 'with the helper' }).finalResponse();
	assert.equal(final.output_text, 'You said: with the helper');
});

test('previous_response_id continues over HTTP', async () => {
	const first = await client.responses.create({ model: 'fake', input: 'http first' });
	const second = await client.responses.create({ model: 'fake', input: 'http second', previous_response_id: first.id });
	assert.equal(second.previous_response_id, first.id);
	const messages = stage.upstream.asked('http second')[0].messages.map(({ content }) => content);
	assert.deepEqual(messages, ['http first', 'You said: http first', 'http second']);
});

test('responses.retrieve gives what create gave, and delete takes it away', async () => {
	const created = await client.responses.create({ model: 'fake', input: 'to be read again', metadata: { a: 'b' } });
	const read = await client.responses.retrieve(created.id);
	assert.deepEqual(plain(read), plain(created));
	await client.responses.delete(created.id);
	await assert.rejects(client.responses.retrieve(created.id), (error) => {
		assert.equal(error.status, 404);
		assert.equal(error.code, 'response_not_found');
		return true;
	});
	await assert.rejects(client.responses.delete(created.id), { status: 404 });
});

test('responses.retrieve streams an ended response again, with the same numbers, from any of them on', async () => {
	const stream = await client.responses.create({ model: 'fake', input: 'to be streamed again', stream: true });
	const first = [];
	for await (const event of stream) {
		first.push(event);
	}
	const { response } = checkStream(first);
	for (const after of [undefined, 0, 3, first.length - 2, first.length - 1]) {
		const again = [];
		for await (const event of await client.responses.retrieve(response.id, { stream: true, starting_after: after })) {
			again.push(event);
		}
		assert.deepEqual(again, first.slice(after === undefined ? 0 : after + 1));
	}
	const past = client.responses.retrieve(response.id, { stream: true, starting_after: first.length });
	await assert.rejects(past, { status: 400, param: 'starting_after' });
	await assert.rejects(client.responses.retrieve('resp_unknown', { stream: true }), { status: 404 });
});

test('responses.retrieve streams a running response: what there is, then what comes', async () => {
	const held = gate();
	stage.upstream.on('joined in the middle', reply.pauses('first ', held, 'second'));
	const events = [];
	let joined;
	for await (const event of await client.responses.create({ model: 'fake', input: 'joined in the middle', stream: true })) {
		events.push(event);
		if (event.type === 'response.output_text.delta' && !joined) {
			joined = await client.responses.retrieve(events[0].response.id, { stream: true });
			held.open();
		}
	}
	const seen = [];
	for await (const event of joined) {
		seen.push(event);
	}
	assert.deepEqual(seen, events);
});

test('responses.cancel stops a running response', async () => {
	stage.upstream.on('cancel over HTTP', reply.stalls('partly'));
	const stream = await client.responses.create({ model: 'fake', input: 'cancel over HTTP', stream: true });
	const events = [];
	for await (const event of stream) {
		events.push(event);
		if (event.type === 'response.output_text.delta') {
			await client.responses.cancel(events[0].response.id);
		}
	}
	const { response, text } = checkStream(events);
	assert.equal(text, 'partly');
	assert.equal(response.incomplete_details.reason, 'cancelled');
	await (await stage.upstream.request('cancel over HTTP')).hungUp();
	assert.equal((await client.responses.retrieve(response.id)).status, 'cancelled');
});

test('an SSE reader of a response that is not stored stops the upstream when it leaves', async () => {
	stage.upstream.on('leave over HTTP', reply.stalls('partly'));
	const stream = await client.responses.create({ model: 'fake', input: 'leave over HTTP', stream: true, store: false });
	for await (const event of stream) {
		if (event.type === 'response.output_text.delta') {
			break;
		}
	}
	await (await stage.upstream.request('leave over HTTP')).hungUp();
});

test('models.list gives the models of the upstream', async () => {
	const { data } = await client.models.list();
	assert.deepEqual(data.map(({ id }) => id).sort(), ['fake', 'fake-large']);
	for (const model of data) {
		assert.equal(model.object, 'model');
		assert.ok(Number.isInteger(model.created));
		assert.equal(typeof model.owned_by, 'string');
	}
});

test('the SDK gets errors as its own error classes', async () => {
	await assert.rejects(client.responses.create({ model: 'no-such-model', input: 'x' }), (error) => {
		assert.equal(error.constructor.name, 'NotFoundError');
		assert.deepEqual([error.code, error.param], ['model_not_found', 'model']);
		return true;
	});
	await assert.rejects(client.responses.create({ model: 'fake', input: 5 }), (error) => {
		assert.equal(error.constructor.name, 'BadRequestError');
		assert.deepEqual([error.code, error.param], ['invalid_type', 'input']);
		return true;
	});
	await assert.rejects(openai(stage.server, 'sk_wrong').models.list(), (error) => {
		assert.equal(error.constructor.name, 'AuthenticationError');
		return true;
	});
});

test('ResponsesWS chats: two turns, the second knows the first', async () => {
	const ws = responsesWS(stage.server, stage.key);
	const stream = ws.stream();
	async function turn(request) {
		ws.send({ type: 'response.create', model: 'fake', ...request });
		const events = [];
		for (;;) {
			const { value, done } = await within(30_000, stream.next(), 'an event of ResponsesWS');
			assert.equal(done, false, 'the stream goes on');
			if (value.type === 'error') {
				throw value.error;
			}
			if (value.type === 'message' && value.message.type.startsWith('response.')) {
				events.push(value.message);
				if (isTerminal(value.message)) {
					return checkStream(events);
				}
			}
		}
	}
	const first = await turn({ input: 'sdk socket first' });
	assert.equal(first.text, 'You said: sdk socket first');
	const second = await turn({ input: 'sdk socket second', previous_response_id: first.response.id });
	assert.equal(second.text, 'You said: sdk socket second');
	assert.equal(stage.upstream.asked('sdk socket second')[0].messages.length, 3);
	ws.close();
});

test('ResponsesWS is told of an error and goes on with the same socket', async () => {
	const ws = responsesWS(stage.server, stage.key);
	const failed = new Promise((resolve) => ws.once('error', resolve));
	ws.send({ type: 'response.create', model: 'no-such-model', input: 'x' });
	const error = await within(30_000, failed, 'the error');
	checkError(error.error, { status: 404, code: 'model_not_found', param: 'model' });
	const completed = new Promise((resolve) => ws.once('response.completed', resolve));
	ws.send({ type: 'response.create', model: 'fake', input: 'after the error' });
	const { response } = await within(30_000, completed, 'the answer');
	assert.equal(response.output[0].content[0].text, 'You said: after the error');
	ws.close();
});

test('the event stream of HTTP names each event, repeats its type and ends in [DONE]', async () => {
	const answer = await stage.fetch('/v1/responses', { body: { input: 'raw events', stream: true } });
	assert.equal(answer.status, 200);
	assert.match(answer.headers.get('content-type'), /^text\/event-stream/);
	assert.match(answer.headers.get('cache-control') ?? '', /no-store|no-cache/);
	assert.match(answer.headers.get('x-request-id'), /\S/);
	const blocks = (await answer.text()).split('\n\n').filter((block) => block && !block.startsWith(':'));
	assert.equal(blocks.pop(), 'data: [DONE]');
	const events = blocks.map((block) => {
		const [, name, data] = /^event: (\S+)\ndata: (.*)$/.exec(block) ?? assert.fail(`not an event: ${block}`);
		const event = JSON.parse(data);
		assert.equal(event.type, name);
		return event;
	});
	assert.equal(checkStream(events).text, 'You said: raw events');
});

test('an HTTP request may name no model, and unsupported fields are refused by name', async () => {
	const answer = await stage.fetch('/v1/responses', { body: { input: 'no model over HTTP' } });
	assert.equal(answer.status, 200);
	assert.equal((await answer.json()).model, 'fake');
	for (const [field, value, param] of [
		['user', 'x', 'user'],
		['tools', [{ type: 'web_search' }], 'tools[0].type'],
		['reasoning', { summary: 'detailed' }, 'reasoning.summary'],
	]) {
		const refused = await stage.fetch('/v1/responses', { body: { input: 'x', [field]: value } });
		assert.equal(refused.status, 400, field);
		checkError(await refused.json(), { code: 'unsupported_parameter', param });
	}
});
