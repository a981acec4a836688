// Several upstreams: who is asked, who is asked next, who is passed over, and what is told of it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { connect } from '../lib/chat.js';
import { checkError } from '../lib/check.js';
import { openai } from '../lib/sdk.js';
import { startServer } from '../lib/server.js';
import { eventually } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { reply, startUpstream } from '../lib/upstream.js';

const NAMES = ['default', 'second', 'third'];

/**
 * A server with one upstream per element of `keys`, the settings of its section: the first is [upstream], the others
 * [upstream second] and [upstream third]. Each says who it is.
 */
async function stand(t, keys, { upstream = {}, limits = {} } = {}) {
	const upstreams = await Promise.all(keys.map(() => startUpstream()));
	const settings = { limits };
	keys.forEach((own, i) => {
		upstreams[i].fallback = reply.says(NAMES[i]);
		upstreams[i].models = [];
		const section = i === 0 ? 'upstream' : `upstream ${NAMES[i]}`;
		settings[section] = { url: upstreams[i].url, ...(i === 0 ? { model: 'm', retries: 0, ...upstream } : {}), ...own };
	});
	const server = await startServer({ settings });
	t.after(async () => {
		await server.remove();
		await Promise.all(upstreams.map((one) => one.stop()));
	});
	const key = await server.createKey('ada');
	const chat = await connect(server, { key });
	const asked = () => upstreams.map((one) => one.requests.length);
	/** The answer's text, or its error. */
	const turn = async (request = 'x') => {
		const { response, text } = await chat.turn(request);
		return response.status === 'completed' ? text : response;
	};
	const ready = async () => (await server.fetch('/readyz')).json();
	const metric = async (row) => {
		const text = await (await server.fetch('/metrics')).text();
		const line = text.split('\n').find((one) => one.startsWith(`${row} `));
		assert.ok(line, `no ${row} in\n${text}`);
		return Number(line.split(' ').at(-1));
	};
	return { upstreams, server, key, chat, asked, turn, ready, metric };
}

test('a request goes by its model, with the key of that upstream and no other', async (t) => {
	const dir = await mkdtemp(path.join(tmpdir(), 'sluice-keys-'));
	t.after(() => rm(dir, { recursive: true }));
	const file = (name) => path.join(dir, name);
	await writeFile(file('one'), 'key-one-1111\n');
	await writeFile(file('two'), 'key-two-2222\n');
	const stage = await stand(t, [
		{ models: 'm, shared', api_key_file: file('one') },
		{ models: 'large org/with/slashes shared', api_key_file: file('two') },
		{ models: 'free' },
	]);
	assert.equal(await stage.turn({ input: 'x' }), 'default');
	assert.equal(await stage.turn({ input: 'x', model: 'large' }), 'second');
	assert.equal(await stage.turn({ input: 'x', model: 'org/with/slashes' }), 'second');
	assert.equal(await stage.turn({ input: 'x', model: 'free' }), 'third');
	assert.equal(await stage.turn({ input: 'x', model: 'shared' }), 'default');
	assert.deepEqual(stage.asked(), [2, 2, 1]);
	const keys = stage.upstreams.map((one) => new Set(one.requests.map((x) => x.headers.authorization)));
	assert.deepEqual(keys, [new Set(['Bearer key-one-1111']), new Set(['Bearer key-two-2222']), new Set([undefined])]);
	// Also when the one goes on to the next.
	stage.upstreams[0].queue(reply.fails(500));
	assert.equal(await stage.turn({ input: 'x', model: 'shared' }), 'second');
	assert.equal(stage.upstreams[1].requests.at(-1).headers.authorization, 'Bearer key-two-2222');
	const answer = await stage.server.fetch('/v1/responses', { key: stage.key, body: { input: 'x', model: 'none' } });
	assert.equal(answer.status, 404);
	checkError(await answer.json(), { status: 404, code: 'model_not_found', param: 'model' });
	assert.deepEqual(await stage.server.find('key-one-1111'), []);
	assert.deepEqual(await stage.server.find('key-two-2222'), []);
	await stage.server.stop();
});

const FAULTS = {
	'an error 500': { reply: reply.fails(500), kind: 'server' },
	'an error 503': { reply: reply.fails(503), kind: 'server' },
	'too many requests': { reply: reply.fails(429, { headers: { 'retry-after': '60' } }), kind: 'rate_limited' },
	'a key that it does not take': { reply: reply.fails(401), kind: 'unauthorized' },
	'a model that it does not know': { reply: reply.fails(404), kind: 'rejected' },
	// Its list is declared, so that this is no used connection, which would be replaced without an error.
	'a connection that breaks': { reply: async (x) => x.cut(), kind: 'refused', own: { models: 'm' } },
	'a page in place of a stream': {
		reply: async (x) => {
			x.head(200, { 'content-type': 'text/html' });
			x.end('<p>');
		},
		kind: 'protocol',
	},
	'an end before the first token': { reply: reply.raw((x) => [x.event({ role: 'assistant', content: '' })]), kind: 'cut' },
	silence: { reply: reply.stalls(), kind: 'timeout', upstream: { first_token_timeout: '600ms' } },
};

for (const [name, { reply: fault, kind, upstream, own = {} }] of Object.entries(FAULTS)) {
	test(`${name}: the next upstream is asked at once, and the reader sees its answer alone`, async (t) => {
		const stage = await stand(t, [own, own, {}], { upstream });
		stage.upstreams[0].queue(fault);
		assert.equal(await stage.turn(), 'second');
		assert.deepEqual(stage.asked(), [1, 1, 0]);
		assert.equal(await stage.metric(`sluice_upstream_errors_total{upstream="default",kind="${kind}"}`), 1);
		assert.equal(await stage.metric('sluice_upstream_requests_total{upstream="second"}'), 1);
		assert.equal(await stage.metric('sluice_upstream_failovers_total'), 1);
		const line = await stage.server.logged((one) => one.event === 'next upstream is tried');
		assert.equal(line.upstream, 'default');
		assert.equal(line.error, `upstream_${kind}`);
		await stage.server.stop();
	});
}

test('nobody at the address: the next upstream is asked, and the one after it', async (t) => {
	const stage = await stand(t, [{}, {}, {}]);
	await stage.upstreams[0].stop();
	stage.upstreams[1].queue(reply.fails(502));
	assert.equal(await stage.turn(), 'third');
	assert.deepEqual(stage.asked(), [0, 1, 1]);
	await stage.server.stop();
});

test('behind the first token no other is asked', async (t) => {
	const stage = await stand(t, [{}, {}], { upstream: { silence_timeout: '200ms' } });
	for (const broken of [reply.raw((x) => [x.event({ content: 'Hal' })]), reply.stalls('Hal')]) {
		stage.upstreams[0].queue(broken);
		const { response, text } = await stage.chat.turn('x');
		assert.equal(response.status, 'incomplete');
		assert.equal(text, 'Hal');
	}
	assert.deepEqual(stage.asked(), [2, 0]);
	await stage.server.stop();
});

test('a request that is not to its liking is no reason to ask another', async (t) => {
	const stage = await stand(t, [{}, {}]);
	stage.upstreams[0].queue(reply.fails(400, { message: 'too long' }));
	const response = await stage.turn();
	assert.equal(response.status, 'failed');
	assert.match(response.error.message, /too long.*upstream_rejected/);
	assert.deepEqual(stage.asked(), [1, 0]);
	await stage.server.stop();
});

test('when all have failed they are asked again, in order', async (t) => {
	const stage = await stand(t, [{}, {}], { upstream: { retries: 1, retry_base: '1ms' } });
	stage.upstreams[0].queue(reply.fails(503), reply.fails(503));
	stage.upstreams[1].queue(reply.fails(401));
	assert.equal(await stage.turn(), 'second');
	assert.deepEqual(stage.asked(), [2, 2]);
	await stage.server.stop();
});

test('order is what the settings say', async (t) => {
	const stage = await stand(t, [{ order: 5 }, { order: 7 }, { order: 3 }]);
	stage.upstreams[2].queue(reply.fails(500));
	stage.upstreams[0].queue(reply.fails(500));
	assert.equal(await stage.turn(), 'second');
	assert.deepEqual(stage.asked(), [1, 1, 1]);
	const { upstreams } = await stage.ready();
	assert.deepEqual(upstreams.map(({ name }) => name), ['third', 'default', 'second']);
	await stage.server.stop();
});

test('one that fails again and again is passed over, then probed, then used again; /readyz, metrics and log tell', async (t) => {
	const stage = await stand(t, [{ models: 'm' }, { models: 'm' }], { upstream: { breaker_failures: 3, breaker_pause: '300ms' } });
	const state = async (name) => (await stage.ready()).upstreams.find((one) => one.name === name).state;
	assert.deepEqual(await stage.ready(), {
		status: 'degraded',
		upstream: 'unknown',
		upstreams: [
			{ name: 'default', state: 'unknown', models: 1 },
			{ name: 'second', state: 'unknown', models: 1 },
		],
	});
	assert.equal(await stage.turn(), 'default');
	assert.equal(await state('default'), 'ok');
	assert.equal(await stage.metric('sluice_upstream_up{upstream="default"}'), 1);
	let broken = true;
	stage.upstreams[0].on(() => broken, reply.fails(500));
	for (let i = 0; i < 3; i++) {
		assert.equal(await stage.turn(), 'second');
	}
	assert.deepEqual(stage.asked(), [4, 3]);
	assert.equal(await state('default'), 'open');
	assert.equal(await state('second'), 'ok');
	assert.equal((await stage.ready()).upstream, 'ok');
	assert.equal(await stage.metric('sluice_upstream_up{upstream="default"}'), 0);
	assert.equal(await stage.metric('sluice_upstream_breaker_opens_total{upstream="default"}'), 1);
	const opened = await stage.server.logged((one) => one.event === 'upstream is passed over');
	assert.equal(opened.upstream, 'default');

	// However many ask: while it is passed over nobody asks it, and afterwards one does at a time.
	await eventually(
		async () => {
			const before = stage.asked()[0];
			assert.equal(await stage.turn(), 'second');
			return stage.asked()[0] - before;
		},
		(more) => more === 1,
	);
	assert.equal(stage.asked()[0], 5);
	assert.equal(await stage.metric('sluice_upstream_breaker_opens_total{upstream="default"}'), 2);

	broken = false;
	await eventually(() => stage.turn(), (text) => text === 'default');
	assert.equal(await state('default'), 'ok');
	assert.equal(await stage.metric('sluice_upstream_up{upstream="default"}'), 1);
	await stage.server.logged((one) => one.event === 'upstream answers again' && one.upstream === 'default');
	assert.equal(await stage.turn(), 'default');
	await stage.server.stop();
});

test('when all are passed over that is said at once; a lone upstream is always asked', async (t) => {
	const stage = await stand(t, [{ models: 'm lone' }, { models: 'm' }], { upstream: { breaker_failures: 1, breaker_pause: '5m' } });
	stage.upstreams.forEach((one) => one.on('fails', reply.fails(500)));
	assert.equal((await stage.turn('fails')).status, 'failed');
	assert.deepEqual(stage.asked(), [1, 1]);
	const response = await stage.turn('x');
	assert.equal(response.error.code, 'upstream_failed');
	assert.match(response.error.message, /upstream_unavailable/);
	assert.deepEqual(stage.asked(), [1, 1]);
	assert.equal((await stage.ready()).upstream, 'unknown');
	assert.equal(await stage.turn({ input: 'x', model: 'lone' }), 'default');
	assert.equal((await stage.ready()).upstream, 'ok');
	await stage.server.stop();
});

test('what a request needs decides who is asked; what none of them can alone is refused', async (t) => {
	const stage = await stand(t, [
		{ models: 'm', tools: 'no' },
		{ models: 'm', images: 'no' },
	]);
	const tools = [{ type: 'function', name: 'f', parameters: { type: 'object', properties: {} } }];
	const image = { type: 'input_image', image_url: 'data:image/png;base64,iVBORw0KGgo=' };
	const input = [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'x' }, image] }];
	assert.equal(await stage.turn({ input: 'x' }), 'default');
	assert.equal(await stage.turn({ input: 'x', tools }), 'second');
	assert.equal(await stage.turn({ input }), 'default');
	assert.deepEqual(stage.asked(), [2, 1]);
	// Nor does a failure bring it to one that can't.
	stage.upstreams[1].queue(reply.fails(500));
	assert.equal((await stage.turn({ input: 'x', tools })).error.code, 'upstream_failed');
	assert.deepEqual(stage.asked(), [2, 2]);
	const response = await stage.turn({ input, tools });
	assert.equal(response.error.code, 'upstream_rejected');
	assert.match(response.error.message, /upstream_unable/);
	assert.deepEqual(stage.asked(), [2, 2]);
	await stage.server.stop();
});

test('model lists merge, with what the settings declare; the SDK finds one by a name with slashes', async (t) => {
	const stage = await stand(t, [
		{ models: 'm org/big', context: 4096, images: 'no', input_price: '0.15', output_price: 2 },
		{ files: 'yes', reasoning: 'no', tools: 'no' },
	]);
	stage.upstreams[1].models = ['org/big', 'small:latest', 'ünïcode 100%'];
	await stage.server.restart();
	const list = async () => (await stage.server.fetch('/v1/models', { key: stage.key })).json();
	const { object, data } = await eventually(list, ({ data: models }) => models.length === 4);
	assert.equal(object, 'list');
	const common = { object: 'model', created: data[0].created };
	assert.ok(Math.abs(common.created - Date.now() / 1000) < 600);
	assert.deepEqual(data[0], {
		id: 'm',
		...common,
		owned_by: 'default',
		'sluice:context': 4096,
		'sluice:tools': true,
		'sluice:images': false,
		'sluice:files': false,
		'sluice:reasoning': true,
		'sluice:input_price': 0.15,
		'sluice:output_price': 2,
	});
	// Both have it: together they can more, the rest is what the first declares.
	assert.deepEqual(data[1], { ...data[0], id: 'org/big', 'sluice:images': true, 'sluice:files': true });
	assert.deepEqual(data[2], {
		id: 'small:latest',
		object: 'model',
		created: data[2].created,
		owned_by: 'second',
		'sluice:context': null,
		'sluice:tools': false,
		'sluice:images': true,
		'sluice:files': true,
		'sluice:reasoning': false,
		'sluice:input_price': null,
		'sluice:output_price': null,
	});
	assert.deepEqual((await list()).data, data, 'nothing changes from one look to the next');
	const client = openai(stage.server, stage.key);
	for (const model of data) {
		assert.deepEqual(await client.models.retrieve(model.id), model);
	}
	const plain = await stage.server.fetch('/v1/models/org/big', { key: stage.key });
	assert.deepEqual(await plain.json(), data[1]);
	for (const none of ['none', 'small', 'org', 'org/big/', '%ff', 'x'.repeat(300)]) {
		const answer = await stage.server.fetch(`/v1/models/${none}`, { key: stage.key });
		assert.equal(answer.status, 404, none);
		checkError(await answer.json(), { status: 404, code: 'model_not_found', param: 'model' });
	}
	assert.equal((await stage.server.fetch('/v1/models/m')).status, 401);
	assert.equal((await stage.server.fetch('/v1/models/m', { key: stage.key, method: 'POST', body: {} })).status, 405);
	await stage.server.stop();
});
