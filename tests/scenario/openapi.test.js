// /openapi.json: that it is served, is a valid document, and says neither more nor less than the sources do.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Validator } from '@seriousme/openapi-schema-validator';
import { checkBody, checkEvent, checkHead, checkMessage, checkRequest, fits, openapi, tally } from '../lib/schema.js';
import { responsesWS } from '../lib/sdk.js';
import { within } from '../lib/server.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { reply } from '../lib/upstream.js';

const run = promisify(execFile);
const stage = setup();
const source = (name) => readFile(fileURLToPath(new URL(`../../${name}`, import.meta.url)), 'utf8');
const { schemas } = openapi.components;

test('it is served to anybody, as JSON', async () => {
	const answer = await stage.server.fetch('/openapi.json');
	assert.equal(answer.status, 200);
	assert.equal(answer.headers.get('content-type'), 'application/json');
	assert.deepEqual(await answer.json(), openapi);
});

test('it is a valid OpenAPI 3.1 document', async () => {
	const validator = new Validator();
	const { valid, errors } = await validator.validate(structuredClone(openapi));
	assert.equal(valid, true, JSON.stringify(errors));
	assert.equal(validator.version, '3.1');
	const operations = Object.values(openapi.paths).flatMap((methods) => Object.values(methods));
	const ids = operations.map(({ operationId }) => operationId);
	assert.equal(new Set(ids).size, ids.length, 'every operation has an id of its own');
});

test('every schema compiles, and every component is used', () => {
	Object.keys(schemas).forEach((name) => fits(name, {}));
	const text = JSON.stringify(openapi);
	for (const [kind, components] of Object.entries(openapi.components)) {
		for (const name of kind === 'securitySchemes' ? [] : Object.keys(components)) {
			assert.ok(text.includes(`"#/components/${kind}/${name}"`), `${kind}/${name}`);
		}
	}
});

test('its paths are the routes of the server', async () => {
	const rows = [...(await source('src/edge/http.c')).matchAll(/\{HTTP_(\w+), "([^"]+)", \w+\}/g)];
	const routes = rows.map(([, method, path]) => `${method} ${path.replace('{*}', '{}')}`);
	assert.ok(routes.length > 10, `${routes}`);
	const described = Object.entries(openapi.paths).flatMap(([path, methods]) =>
		Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{\w+\}/g, '{}')}`),
	);
	// An upgrade, and files of the page, are no routes.
	const others = ['GET /v1/responses', 'GET /openapi.json', 'GET /'];
	assert.deepEqual([...routes, ...others].sort(), described.sort());
});

test('its messages of a client are those that the server takes', async () => {
	const [, table] = /struct message_type types\[\] = \{(.*?)\n\};/s.exec(await source('src/edge/message.c'));
	const taken = [...table.matchAll(/^\t\{"([^"]+)"/gm)].map(([, name]) => name);
	assert.deepEqual(taken.sort(), Object.keys(schemas.ClientMessage.discriminator.mapping).sort());
});

test('its error codes are those of the table in include/proto/error.h, with their types', async () => {
	const text = (await source('include/proto/error.h')).replaceAll('\\\n', ' ');
	const rows = [...text.matchAll(/X\(\w+,\s*"(\w+)",\s*\d+,\s*"(\w+)"/g)];
	assert.ok(rows.length > 30);
	assert.deepEqual(schemas.ErrorCode.enum, rows.map(([, code]) => code));
	assert.deepEqual(schemas.ErrorType.enum, [...new Set(rows.map(([, , type]) => type))]);
});

test('it is of the version that the server is', async () => {
	assert.equal(openapi.info.version, (await source('VERSION')).trim());
});

// --- that the judge judges ------------------------------------------------------------------------------------------

const place = { sequence_number: 4, item_id: 'msg_1', output_index: 0, content_index: 0 };
const delta = { type: 'response.output_text.delta', ...place, delta: 'a', logprobs: [] };
const says = /is not what \/openapi.json says|of no type/;

test('an event that lacks a field, has one too many or a wrong one is found', () => {
	checkMessage({ ...delta, stream_id: 'a' });
	for (const spoiled of [
		{ ...delta, more: 1 },
		{ ...delta, delta: 7 },
		{ ...delta, item_id: '' },
		{ ...delta, sequence_number: -1 },
		{ ...delta, type: 'response.output_text.deltas' },
		{ ...delta, stream_id: 'no lane' },
		Object.fromEntries(Object.entries(delta).filter(([name]) => name !== 'logprobs')),
		[delta],
		null,
	]) {
		assert.throws(() => checkMessage(spoiled), says, JSON.stringify(spoiled));
	}
	const stream = { $ref: '#/components/schemas/StreamEvent' };
	checkEvent(delta, stream);
	assert.throws(() => checkEvent({ ...delta, stream_id: 'a' }, stream), says, 'over HTTP there are no lanes');
	assert.throws(() => checkEvent({ type: 'sluice:heartbeat' }, stream), says, 'nor messages of a WebSocket');
});

test('every event and message refuses a field that is not described', () => {
	for (const [type, reference] of Object.entries(schemas.ServerMessage.discriminator.mapping)) {
		const schema = schemas[reference.split('/').at(-1)];
		assert.equal(schema.additionalProperties, false, type);
		assert.equal(schema.properties.type.const, type);
	}
});

test('a response that contradicts itself, or holds what it must not, is found', async () => {
	const asked = await stage.fetch('/v1/responses', { body: { input: 'to be spoiled' } });
	const response = await asked.json();
	assert.ok(fits('Response', response));
	const [message] = response.output;
	for (const spoiled of [
		{ ...response, status: 'done' },
		{ ...response, completed_at: null },
		{ ...response, error: { code: 'a', message: 'b' } },
		{ ...response, status: 'incomplete' },
		{ ...response, more: null },
		{ ...response, usage: { ...response.usage, cost: 1 } },
		{ ...response, output: [{ ...message, more: 1 }] },
		{ ...response, output: [{ ...message, role: 'user' }] },
		{ ...response, output: [{ ...message, content: [{ ...message.content[0], text: null }] }] },
	]) {
		assert.ok(!fits('Response', spoiled), JSON.stringify(spoiled));
	}
	assert.ok(fits('Response', { ...response, output: [{ type: 'vendor:thing', id: 'x_1', whatever: 1 }] }), "another implementer's item");
});

test('an answer with a wrong status, type, header or body is found', async () => {
	const { headers } = await stage.fetch('/v1/models');
	const head = { method: 'GET', path: '/v1/models', status: 200, headers };
	const described = checkHead(head);
	const without = new Headers(headers);
	without.delete('x-request-id');
	const typed = new Headers(headers);
	typed.set('content-type', 'text/html');
	for (const spoiled of [
		{ ...head, status: 201 },
		{ ...head, path: '/v1/nothing' },
		{ ...head, headers: without },
		{ ...head, headers: typed },
	]) {
		assert.throws(() => checkHead(spoiled), /openapi\.json|text\/html/, JSON.stringify(spoiled));
	}
	assert.throws(() => checkBody(described, '{"object":"list"}'), says);
});

test('a request about which the server and the document do not agree is found', () => {
	const request = { method: 'POST', path: '/v1/responses' };
	const refusal = (code) => JSON.stringify({ error: { code } });
	checkRequest({ ...request, body: { input: 'a' }, status: 200 }, '{}');
	checkRequest({ ...request, body: { input: 5 }, status: 400 }, refusal('invalid_type'));
	checkRequest({ ...request, body: { input: 'a' }, status: 400 }, refusal('invalid_value'));
	const taken = () => checkRequest({ ...request, body: { input: 5 }, status: 200 }, '{}');
	assert.throws(taken, /was taken, and \/openapi.json refuses it/);
	const refused = () => checkRequest({ ...request, body: { input: 'a' }, status: 400 }, refusal('unknown_parameter'));
	assert.throws(refused, /was refused, and \/openapi.json takes it/);
});

// --- that it sees what comes ----------------------------------------------------------------------------------------

/** How many events and answers were validated while `body` ran. */
async function seen(body) {
	const before = { ...tally };
	await body();
	return [tally.events - before.events, tally.answers - before.answers];
}

const EVENTS = 9; // of a turn whose answer came in one delta

test('what comes to fetch, to node:http and to ws is validated, the last also for the SDK', async () => {
	stage.upstream.on('to be seen', reply.says('Yes.'));
	const body = { input: 'to be seen', stream: true };
	assert.deepEqual(await seen(async () => (await stage.fetch('/v1/responses', { body })).text()), [EVENTS, 1]);
	const post = async () => {
		const { host, port } = stage.server;
		const headers = { authorization: `Bearer ${stage.key}`, 'content-type': 'application/json' };
		const request = http.request({ host, port, path: '/v1/responses', method: 'POST', headers });
		request.end(JSON.stringify(body));
		const [response] = await once(request, 'response');
		response.resume();
		await once(response, 'end');
	};
	assert.deepEqual(await seen(post), [EVENTS, 1]);
	assert.deepEqual(
		await seen(async () => {
			const chat = await stage.chat();
			await chat.turn('to be seen');
			await chat.close();
		}),
		[EVENTS, 0],
	);
	assert.deepEqual(
		await seen(async () => {
			const ws = responsesWS(stage.server, stage.key);
			const ended = new Promise((resolve) => ws.once('response.completed', resolve));
			ws.send({ type: 'response.create', input: 'to be seen' });
			await within(30_000, ended, 'the end of the turn');
			ws.close();
		}),
		[EVENTS, 0],
	);
});

test('a server that says what is not described fails the test that hears it', async () => {
	const script = fileURLToPath(new URL('../lib/misspoken.js', import.meta.url));
	for (const [how, complaint] of [
		['fetch', /GET \/healthz: the answer 200 is not what \/openapi.json says: .*"more"/],
		['http', /GET \/healthz: the answer 200 is not what \/openapi.json says: .*"more"/],
		['ws', /the message is of no type that \/openapi.json knows: .*sluice:nonsense/],
	]) {
		const { code, stderr } = await run(process.execPath, [script, how]).catch((error) => error);
		assert.equal(code, 1, how);
		assert.match(stderr, complaint);
	}
});
