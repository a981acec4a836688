// Who gets in: API keys, sign-in addresses, the session cookie and its Origin.
import assert from 'node:assert/strict';
import { connect, refused } from '../lib/chat.js';
import { checkError } from '../lib/check.js';
import { startServer } from '../lib/server.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';

const stage = setup({ settings: { server: { origins: 'https://chat.example.org' } } });

const keys = async (server) => JSON.parse(await server.ctl('key', 'list', '--json'));

/** A new key of a user, and its id. */
async function newKey(user, server = stage.server) {
	const before = new Set((await keys(server)).map(({ id }) => id));
	const key = await server.createKey(user);
	const [entry, ...rest] = (await keys(server)).filter(({ id }) => !before.has(id));
	assert.deepEqual(rest, []);
	assert.equal(entry.user, user);
	return { key, id: entry.id };
}

const ENDPOINTS = [
	['POST', '/v1/responses'],
	['GET', '/v1/responses/resp_x'],
	['DELETE', '/v1/responses/resp_x'],
	['POST', '/v1/responses/resp_x/cancel'],
	['GET', '/v1/models'],
	['GET', '/v1/conversations'],
	['GET', '/v1/conversations/conv_x/items'],
	['DELETE', '/v1/conversations/conv_x'],
	['GET', '/v1/session'],
];

const WRONG = {
	'no credentials': {},
	'an empty key': { authorization: 'Bearer ' },
	'a wrong key': { authorization: 'Bearer sk_0000000000000000000000000000000000000000' },
	'a key of another form': { authorization: 'Bearer hello' },
	'another scheme': { authorization: 'Basic YWRhOmFkYQ==' },
	'a very long key': { authorization: `Bearer ${'a'.repeat(4000)}` },
	'an invented session': { cookie: 'sluice_session=ses_0000000000000000000000000000' },
};

for (const [name, headers] of Object.entries(WRONG)) {
	test(`${name}: 401 at every endpoint and at the upgrade`, async () => {
		for (const [method, target] of ENDPOINTS) {
			const body = method === 'POST' ? '{"input":"x"}' : undefined;
			const answer = await stage.server.fetch(target, { method, headers: { ...headers, origin: stage.server.url }, body });
			assert.equal(answer.status, 401, `${method} ${target}`);
			checkError(await answer.json(), { code: 'invalid_api_key', type: 'authentication_error' });
		}
		const { status, body } = await refused(stage.server, { headers: { ...headers, origin: stage.server.url } });
		assert.equal(status, 401);
		checkError(JSON.parse(body), { code: 'invalid_api_key' });
	});
}

test('a wrong, an unknown and a revoked key get the same answer, word for word', async () => {
	const { key, id } = await newKey('dora');
	await stage.server.ctl('key', 'revoke', id);
	const flipped = stage.key.replace(/.$/, (c) => (c === 'a' ? 'b' : 'a'));
	const answers = [];
	for (const wrong of [key, flipped, 'sk_unknown']) {
		const answer = await stage.server.fetch('/v1/models', { key: wrong });
		answers.push([answer.status, await answer.text()]);
	}
	assert.deepEqual(answers[0], answers[1]);
	assert.deepEqual(answers[0], answers[2]);
});

test('a key works the moment it is made, and no longer once it is revoked', async () => {
	const { key, id } = await newKey('eve');
	assert.equal((await stage.server.fetch('/v1/models', { key })).status, 200);
	await stage.server.ctl('key', 'revoke', id);
	assert.equal((await stage.server.fetch('/v1/models', { key })).status, 401);
	assert.equal((await refused(stage.server, { key })).status, 401);
	const entry = (await keys(stage.server)).find((one) => one.id === id);
	assert.ok(entry.revoked_at > 1.6e9);
});

test('an open connection loses its right to new turns with its key; a running answer is finished', async () => {
	const { key, id } = await newKey('frank');
	const chat = await connect(stage.server, { key });
	const held = gate();
	stage.upstream.on('while revoked', reply.pauses('a', held, 'b'));
	const turn = chat.begin({ input: 'while revoked' });
	await chat.type('response.output_text.delta');
	await stage.server.ctl('key', 'revoke', id);
	held.open();
	assert.equal((await turn.end).text, 'ab');
	chat.send({ type: 'response.create', input: 'one more' });
	const event = await Promise.race([chat.type('error').catch(() => chat.closed), chat.closed]);
	if (event.type === 'error') {
		checkError(event, { status: 401, code: 'invalid_api_key' });
	} else {
		assert.equal(event.code, 1008);
	}
	assert.equal(stage.upstream.asked('one more').length, 0);
	chat.drop();
});

test('an open connection loses its right to watch with its key, too', async () => {
	const [lost, kept] = [await newKey('grace'), await newKey('grace')];
	const phone = await connect(stage.server, { key: lost.key });
	const other = await connect(stage.server, { key: lost.key });
	const desk = await connect(stage.server, { key: kept.key });
	const { response } = await desk.turn('before');
	const watch = { type: 'sluice:conversation.subscribe', conversation: response.conversation.id };
	phone.send(watch);
	await phone.type('sluice:conversation.subscribed');
	await stage.server.ctl('key', 'revoke', lost.id);
	await desk.turn({ input: 'after', previous_response_id: response.id });
	other.send(watch);
	for (const chat of [phone, other]) {
		assert.equal((await chat.closed).code, 1008);
		checkError(chat.events.at(-1), { status: 401, code: 'invalid_api_key' });
	}
	assert.deepEqual(phone.events.map((event) => event.type), ['sluice:conversation.subscribed', 'error']);
	assert.equal(other.events.length, 1);
	await desk.close();
});

test('keys survive a restart, revoked ones stay revoked', async (t) => {
	const server = await startServer({ upstream: stage.upstream });
	t.after(() => server.remove());
	const good = await newKey('ada', server);
	const bad = await newKey('ada', server);
	await server.ctl('key', 'revoke', bad.id);
	await server.restart();
	assert.equal((await server.fetch('/v1/models', { key: good.key })).status, 200);
	assert.equal((await server.fetch('/v1/models', { key: bad.key })).status, 401);
	await server.stop();
	// With the server down the tool works on the store itself.
	const offline = await newKey('ada', server);
	await server.start();
	assert.equal((await server.fetch('/v1/models', { key: offline.key })).status, 200);
	await server.stop();
});

test('sluicectl says what is wrong and fails', async () => {
	const fails = async (pattern, ...args) => {
		const error = await stage.server.ctl(...args).then(
			(out) => assert.fail(`no failure: ${out}`),
			(failure) => failure,
		);
		assert.notEqual(error.code, 0);
		assert.match(error.stderr, pattern);
	};
	await fails(/user/, 'key', 'create');
	await fails(/\S/, 'key', 'create', '--user', 'no spaces allowed');
	await fails(/\S/, 'key', 'revoke', 'no-such-key');
	await fails(/\S/, 'key');
	await fails(/\S/, 'nonsense');
});

// --- the page's way in -------------------------------------------------------------------------------------------------

const token = async (user = 'ada', server = stage.server) => {
	const address = await server.signin(user);
	const [, origin, value] = /^(http:\/\/[^/]+)\/#signin=(\S+)$/.exec(address) ?? assert.fail(address);
	assert.equal(origin, server.url);
	return value;
};
const redeem = (value, headers = { origin: stage.server.url }) => stage.server.fetch('/v1/session', { body: { token: value }, headers });
const cookieOf = (answer) => answer.headers.get('set-cookie')?.split(';')[0];

/** Signs in; gives the headers that a browser would then send. */
async function signIn(user) {
	const answer = await redeem(await token(user));
	assert.equal(answer.status, 200);
	return { cookie: cookieOf(answer), origin: stage.server.url };
}

test('a sign-in address becomes a session cookie that scripts cannot read and other sites cannot use', async () => {
	const answer = await redeem(await token());
	assert.equal(answer.status, 200);
	const session = await answer.json();
	assert.equal(session.object, 'session');
	assert.equal(session.user.name, 'ada');
	assert.match(session.user.id, /^user_/);
	assert.ok(session.expires_at * 1000 > Date.now());
	const [pair, ...attributes] = answer.headers.get('set-cookie').split(/;\s*/);
	assert.match(pair, /^sluice_session=\S{20,}$/);
	assert.deepEqual(attributes.filter((attribute) => !/^Max-Age=[1-9]\d+$/.test(attribute)).sort(), ['HttpOnly', 'Path=/', 'SameSite=Strict']);
	assert.equal(attributes.length, 4);
	assert.match(answer.headers.get('cache-control') ?? '', /no-store/);
	const again = await stage.server.fetch('/v1/session', { headers: { cookie: pair } });
	assert.deepEqual(await again.json(), session);
});

test('a sign-in token works once; a wrong one never', async () => {
	const value = await token();
	assert.equal((await redeem(value)).status, 200);
	for (const wrong of [value, `${value}x`, 'in_0000', '']) {
		const answer = await redeem(wrong);
		assert.ok([400, 401].includes(answer.status), wrong);
		assert.equal(answer.headers.get('set-cookie'), null);
		if (answer.status === 401) {
			checkError(await answer.json(), { code: 'invalid_token', type: 'authentication_error' });
		}
	}
	assert.equal((await redeem(value)).status, 401);
	for (const body of ['{}', '{"token":5}', '[]', 'x']) {
		const answer = await stage.server.fetch('/v1/session', { body, headers: { origin: stage.server.url } });
		assert.equal(answer.status, 400, body);
	}
});

test('of two that redeem a token at the same moment one gets in', async () => {
	const value = await token();
	const answers = await Promise.all(Array.from({ length: 8 }, () => redeem(value)));
	const statuses = answers.map(({ status }) => status).sort();
	assert.deepEqual(statuses, [200, ...Array(7).fill(401)]);
});

test('a sign-in token runs out', async (t) => {
	const server = await startServer({ upstream: stage.upstream, settings: { auth: { signin_lifetime: '100ms' } } });
	t.after(() => server.remove());
	const value = await token('ada', server);
	await new Promise((resolve) => setTimeout(resolve, 150));
	const answer = await server.fetch('/v1/session', { body: { token: value }, headers: { origin: server.url } });
	assert.equal(answer.status, 401);
	await server.stop();
});

test('a session runs out', async (t) => {
	const server = await startServer({ upstream: stage.upstream, settings: { auth: { session_lifetime: '300ms' } } });
	t.after(() => server.remove());
	const answer = await server.fetch('/v1/session', { body: { token: await token('ada', server) }, headers: { origin: server.url } });
	assert.equal(answer.status, 200);
	await new Promise((resolve) => setTimeout(resolve, 400));
	assert.equal((await server.fetch('/v1/session', { headers: { cookie: cookieOf(answer) } })).status, 401);
	await server.stop();
});

test('the cookie chats over the WebSocket and reads over HTTP, as the same user as the key', async () => {
	const headers = await signIn('ada');
	const chat = await connect(stage.server, { headers });
	const { response } = await chat.turn('from the page');
	assert.equal((await stage.fetch(`/v1/responses/${response.id}`)).status, 200, 'the key of the same user finds it');
	const read = await stage.server.fetch(`/v1/responses/${response.id}`, { headers: { cookie: headers.cookie } });
	assert.equal(read.status, 200);
	await chat.close();
});

test('the cookie is good for nothing when another origin sends it', async () => {
	const { cookie } = await signIn('ada');
	const own = new URL(stage.server.url);
	for (const origin of ['http://evil.example', 'null', `http://${own.hostname}:1`, `https://evil.example/${own.host}`, `${own.origin}.evil.example`, '']) {
		const headers = { cookie, origin };
		assert.equal((await refused(stage.server, { headers })).status, 403, `upgrade from ${origin}`);
		const answer = await stage.server.fetch('/v1/responses', { headers, body: { input: 'x' } });
		assert.equal(answer.status, 403, `POST from ${origin}`);
		checkError(await answer.json(), { code: 'origin_not_allowed' });
		const gone = await stage.server.fetch('/v1/session', { method: 'DELETE', headers });
		assert.equal(gone.status, 403, `DELETE from ${origin}`);
	}
	const silent = await refused(stage.server, { headers: { cookie } });
	assert.equal(silent.status, 403, 'an upgrade by cookie needs an Origin');
	const blind = await stage.server.fetch('/v1/responses', { headers: { cookie }, body: { input: 'x' } });
	assert.equal(blind.status, 403, 'so does a change');
});

test('an origin on the list is as good as our own', async () => {
	const { cookie } = await signIn('ada');
	const chat = await connect(stage.server, { headers: { cookie, origin: 'https://chat.example.org' } });
	assert.equal((await chat.turn('from a listed origin')).text, 'You said: from a listed origin');
	await chat.close();
});

test('a foreign Origin is refused at the upgrade even with a good key', async () => {
	const { status, body } = await refused(stage.server, { key: stage.key, headers: { origin: 'http://evil.example' } });
	assert.equal(status, 403);
	checkError(JSON.parse(body), { code: 'origin_not_allowed' });
});

test('signing out ends the session for good', async () => {
	const headers = await signIn('ada');
	const gone = await stage.server.fetch('/v1/session', { method: 'DELETE', headers });
	assert.equal(gone.status, 204);
	assert.match(gone.headers.get('set-cookie'), /^sluice_session=;.*Max-Age=0/);
	assert.equal((await stage.server.fetch('/v1/session', { headers })).status, 401);
	assert.equal((await refused(stage.server, { headers })).status, 401);
});

test('two sessions of two users do not see each other', async () => {
	const [ada, bob] = [await signIn('ada'), await signIn('bob')];
	const chat = await connect(stage.server, { headers: ada });
	const { response } = await chat.turn('between sessions');
	assert.equal((await stage.server.fetch(`/v1/responses/${response.id}`, { headers: bob })).status, 404);
	await chat.close();
});
