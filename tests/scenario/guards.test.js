// Raw bytes at the door: what no decent client sends is refused, within its deadline, and harms nobody.
import assert from 'node:assert/strict';
import { checkError } from '../lib/check.js';
import { dial, frame, upgrade } from '../lib/raw.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { reply } from '../lib/upstream.js';

let witness;
const limits = { header_timeout: '600ms', body_timeout: '900ms', idle_timeout: '1200ms' };
const stage = setup({ settings: { limits } }, async (ready) => {
	witness = await ready.chat();
});

/** Whatever was done to the server, someone else's connection still works. */
let turns = 0;
const stillServes = async () => assert.equal((await witness.turn(`witness ${++turns}`)).text, `You said: witness ${turns}`);

/** Sends bytes and gives what came back by the time the server closed, or had answered `answers` requests. */
async function exchange(bytes) {
	const wire = await dial(stage.server);
	wire.write(bytes);
	const { text } = await wire.closed();
	return { text, status: Number(/^HTTP\/1\.[01] (\d{3}) /.exec(text)?.[1] ?? 0), answers: text.match(/HTTP\/1\.[01] \d{3} /g)?.length ?? 0 };
}

const neverUpgraded = (text) => assert.doesNotMatch(text, /HTTP\/1\.[01] 101 /);
const request = (lines, body = '') => `${lines.join('\r\n')}\r\n\r\n${body}`;
const get = (target = '/healthz', ...headers) => request([`GET ${target} HTTP/1.1`, 'Host: x', ...headers]);

test('the upgrade that all others are measured by is taken', async () => {
	const wire = await dial(stage.server);
	wire.write(upgrade(stage.server, stage.key));
	await wire.read(/^HTTP\/1\.1 101 /);
	await wire.read(/sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i);
	wire.drop();
});

test('guard 1: an unknown Upgrade behind a kept-alive request is refused, many times over', async () => {
	for (const name of ['foo', 'foo/1', 'h2c', 'TLS/1.0', 'x'.repeat(200), 'websocket2', ' ', 'foo, websocket']) {
		const wire = await dial(stage.server);
		wire.write(get());
		await wire.read(/HTTP\/1\.1 200 /);
		wire.write(request(['GET /v1/responses HTTP/1.1', 'Host: x', `Upgrade: ${name}`, 'Connection: Upgrade', `Authorization: Bearer ${stage.key}`]));
		const { text } = await wire.closed();
		neverUpgraded(text);
	}
	await stillServes();
});

test('guard 1: an unknown Upgrade as the first request is refused', async () => {
	for (const target of ['/', '/v1/responses', '/healthz', '/nothing']) {
		const { text } = await exchange(request([`GET ${target} HTTP/1.1`, 'Host: x', 'Upgrade: foo', 'Connection: Upgrade']));
		neverUpgraded(text);
	}
	await stillServes();
});

test('guard 2: h2c is not spoken, neither by upgrade nor by prior knowledge', async () => {
	const { text } = await exchange(
		request(['GET / HTTP/1.1', 'Host: x', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__']),
	);
	neverUpgraded(text);
	const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
	const prior = await exchange(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settings]));
	assert.ok(prior.text === '' || prior.status >= 400, JSON.stringify(prior.text));
	assert.ok(!prior.text.startsWith('\0\0'), 'no HTTP/2 frame comes back');
	await stillServes();
});

const SPOILED = {
	'version 8': { headers: { 'Sec-WebSocket-Version': '8' } },
	'version 12': { headers: { 'Sec-WebSocket-Version': '12' } },
	'version 14': { headers: { 'Sec-WebSocket-Version': '14' } },
	'version 130': { headers: { 'Sec-WebSocket-Version': '130' } },
	'no version': { headers: { 'Sec-WebSocket-Version': undefined } },
	'no key': { headers: { 'Sec-WebSocket-Key': undefined } },
	'an empty key': { headers: { 'Sec-WebSocket-Key': '' } },
	'a short key': { headers: { 'Sec-WebSocket-Key': 'c2hvcnQ=' } },
	'a long key': { headers: { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZSBhbmQgbW9yZQ==' } },
	'a huge key': { headers: { 'Sec-WebSocket-Key': `${'A'.repeat(2000)}==` } },
	'a key that is no base64': { headers: { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' } },
	'a key without ==': { headers: { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQAA' } },
	'no Connection: Upgrade': { headers: { Connection: 'keep-alive' } },
	'no Host': { headers: { Host: undefined } },
	'method POST': { method: 'POST' },
	'method PUT': { method: 'PUT' },
	'method OPTIONS': { method: 'OPTIONS' },
	'HTTP/1.0': { version: 'HTTP/1.0' },
	'HTTP/2.0': { version: 'HTTP/2.0' },
	'path /': { target: '/' },
	'path /healthz': { target: '/healthz' },
	'path /v1/models': { target: '/v1/models' },
	'path /v1/responses/x': { target: '/v1/responses/x' },
	'path /index.html': { target: '/index.html' },
	'a foreign Origin': { headers: { Origin: 'http://evil.example' } },
	'Origin null': { headers: { Origin: 'null' } },
	'an Origin that only starts like ours': { headers: { Origin: 'OWN.evil.example' } },
	'a body': { headers: { 'Content-Length': '5' } },
	'an unknown subprotocol': { headers: { 'Sec-WebSocket-Protocol': 'mqtt' } },
};

for (const [name, spoiled] of Object.entries(SPOILED)) {
	test(`guard 3: an upgrade with ${name} is refused`, async () => {
		const headers = { ...spoiled.headers };
		if (headers.Origin?.startsWith('OWN')) {
			headers.Origin = headers.Origin.replace('OWN', stage.server.url);
		}
		const { text, status } = await exchange(upgrade(stage.server, stage.key, { ...spoiled, headers }));
		neverUpgraded(text);
		assert.ok(status === 0 || status >= 400, `status ${status}`);
		await stillServes();
	});
}

test('guard 3: our own Origin is taken', async () => {
	const wire = await dial(stage.server);
	wire.write(upgrade(stage.server, stage.key, { headers: { Origin: stage.server.url } }));
	await wire.read(/^HTTP\/1\.1 101 /);
	wire.drop();
});

test('guard 5: compression is never agreed to, and a frame that says it is compressed is refused', async () => {
	const wire = await dial(stage.server);
	wire.write(upgrade(stage.server, stage.key, { headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' } }));
	await wire.read(/^HTTP\/1\.1 101 [^]*\r\n\r\n/);
	assert.doesNotMatch(wire.text, /sec-websocket-extensions/i);
	const compressed = frame('x');
	compressed[0] |= 0x40;
	wire.write(compressed);
	await wire.closed();
	await stillServes();
});

const BROKEN_FRAMES = {
	'of a reserved kind': frame('{}', { opcode: 3 }),
	'of a reserved control kind': frame('', { opcode: 11 }),
	'with a reserved bit': Buffer.concat([Buffer.from([0xa1]), frame('{}').subarray(1)]),
	'that is a fragmented ping': frame('', { opcode: 9, fin: false }),
	'that is a ping of 126 bytes': frame('x'.repeat(126), { opcode: 9 }),
	'that continues nothing': frame('{}', { opcode: 0 }),
	'that starts a message within a message': Buffer.concat([frame('{', { fin: false }), frame('}', { opcode: 1 })]),
	'that closes with one byte': frame('x', { opcode: 8 }),
	'that closes with code 1005': frame(Buffer.from([3, 237]), { opcode: 8 }),
	'that closes with code 999': frame(Buffer.from([3, 231]), { opcode: 8 }),
	'that closes with a reason that is no UTF-8': frame(Buffer.from([3, 232, 0xff]), { opcode: 8 }),
};

// RFC 6455, 5.1 wants such a client closed; libwebsockets 4.1 takes the frame and does not tell (docs/security.md).
test('a frame without a mask, which the library lets through, is answered or closed, and harms nobody', async () => {
	const wire = await dial(stage.server);
	wire.write(upgrade(stage.server, stage.key));
	await wire.read(/^HTTP\/1\.1 101 /);
	wire.write(frame('{}', { mask: false }));
	await Promise.race([wire.read(/missing_required_parameter/), wire.closed()]);
	wire.drop();
	await stillServes();
});

for (const [name, bytes] of Object.entries(BROKEN_FRAMES)) {
	test(`a frame ${name} ends its connection and no other`, async () => {
		const wire = await dial(stage.server);
		wire.write(upgrade(stage.server, stage.key));
		await wire.read(/^HTTP\/1\.1 101 /);
		wire.write(bytes);
		await wire.closed();
		await stillServes();
	});
}

test('a ping is answered with its own bytes, even between the fragments of a message', async () => {
	const wire = await dial(stage.server);
	wire.write(upgrade(stage.server, stage.key));
	await wire.read(/^HTTP\/1\.1 101 [^]*\r\n\r\n/);
	const message = '{"type":"response.create","input":"pinged amid"}';
	wire.write(frame(message.slice(0, 10), { fin: false }));
	wire.write(frame('marco', { opcode: 9 }));
	await wire.read(/\x8a\x05marco/);
	wire.write(frame(message.slice(10), { opcode: 0 }));
	await wire.read(/response\.completed/);
	wire.drop();
});

test('a close is answered with the same code', async () => {
	const chat = await stage.chat();
	assert.equal((await chat.close(1000)).code, 1000);
	const other = await stage.chat();
	assert.equal((await other.close(4001)).code, 4001);
});

// --- deadlines (guard 7) -----------------------------------------------------------------------------------------------

/** Writes a byte now and then until the connection is closed; gives how long it lived, in ms. */
async function drip(first, byte = 'x', every = 60) {
	const wire = await dial(stage.server);
	const began = performance.now();
	wire.write(first);
	const timer = setInterval(() => wire.write(byte), every);
	const { at, text } = await wire.closed(20_000);
	clearInterval(timer);
	return { lived: at - began, text };
}

test('guard 7: a connection that sends nothing is closed', async () => {
	const { lived } = await drip('', '', 1000);
	assert.ok(lived > 400, `not before its time: ${lived} ms`);
});

test('guard 7: a request head that comes a byte at a time is cut off at the deadline, not extended by each byte', async () => {
	const { lived } = await drip('GET /healthz HTTP/1.1\r\nX-Slow: ');
	assert.ok(lived > 400 && lived < 6000, `${lived} ms`);
	await stillServes();
});

test('guard 7: a body that comes a byte at a time is cut off at the deadline', async () => {
	const head = request([
		'POST /v1/responses HTTP/1.1',
		'Host: x',
		`Authorization: Bearer ${stage.key}`,
		'Content-Type: application/json',
		'Content-Length: 5000',
	]);
	const { lived } = await drip(head, ' ');
	assert.ok(lived > 600 && lived < 6000, `${lived} ms`);
	await stillServes();
});

test('guard 7: a kept-alive connection that falls silent is closed', async () => {
	const wire = await dial(stage.server);
	const began = performance.now();
	wire.write(get());
	await wire.read(/HTTP\/1\.1 200 /);
	const { at } = await wire.closed(20_000);
	assert.ok(at - began > 800, `not before its time: ${at - began} ms`);
});

test('the deadlines of requests do not touch a WebSocket that is quiet, nor an answer that takes long', async () => {
	const quiet = await stage.chat();
	stage.upstream.on('takes long', async (x) => {
		await x.say('a');
		await new Promise((resolve) => setTimeout(resolve, 2500));
		await x.say('b');
		await x.finish();
		await x.done();
	});
	const answer = await stage.fetch('/v1/responses', { body: { input: 'takes long' } });
	assert.equal((await answer.json()).output[0].content[0].text, 'ab');
	assert.equal((await quiet.turn('not so quiet')).text, 'You said: not so quiet');
	await quiet.close();
});

// --- heads -------------------------------------------------------------------------------------------------------------

const BODY = '{"input":"smuggled"}';
const auth = () => `Authorization: Bearer ${stage.key}`;
const JSON_TYPE = 'Content-Type: application/json';

const SMUGGLING = {
	'Content-Length and Transfer-Encoding': () => request(['POST /v1/responses HTTP/1.1', 'Host: x', auth(), JSON_TYPE, `Content-Length: ${BODY.length}`, 'Transfer-Encoding: chunked'], `0\r\n\r\n${BODY}`),
	'Transfer-Encoding: chunked': () => request(['POST /v1/responses HTTP/1.1', 'Host: x', auth(), JSON_TYPE, 'Transfer-Encoding: chunked'], `14\r\n${BODY}\r\n0\r\n\r\n`),
	'two Content-Lengths': () => request(['POST /v1/responses HTTP/1.1', 'Host: x', auth(), JSON_TYPE, `Content-Length: ${BODY.length}`, 'Content-Length: 5'], BODY),
	'a negative Content-Length': () => request(['POST /v1/responses HTTP/1.1', 'Host: x', auth(), JSON_TYPE, 'Content-Length: -1'], BODY),
	'a Content-Length that is no number': () => request(['POST /v1/responses HTTP/1.1', 'Host: x', auth(), JSON_TYPE, 'Content-Length: 20x'], BODY),
	'a Content-Length past 64 bits': () => request(['POST /v1/responses HTTP/1.1', 'Host: x', auth(), JSON_TYPE, 'Content-Length: 99999999999999999999999'], BODY),
	'a NUL in a header': () => request(['GET /v1/models HTTP/1.1', 'Host: x', 'Origin: a\0b', auth()]),
	'a NUL in the path': () => request(['GET /healthz\0 HTTP/1.1', 'Host: x']),
	'two Hosts': () => request(['GET /v1/models HTTP/1.1', 'Host: x', 'Host: y', auth()]),
};

for (const [name, bytes] of Object.entries(SMUGGLING)) {
	test(`a request with ${name} is refused, and nothing behind it is answered`, async () => {
		const before = stage.upstream.requests.length;
		const { status, answers } = await exchange(bytes() + get('/v1/models', auth()));
		assert.ok(status === 0 || status >= 400, `status ${status}`);
		assert.ok(answers <= 1, `${answers} answers`);
		assert.equal(stage.upstream.requests.length, before);
		await stillServes();
	});
}

// The library throws a header that it does not know away, unread (docs/security.md).
test('what stands behind a NUL in an unknown header counts for nothing', async () => {
	const { status } = await exchange(request(['GET /v1/models HTTP/1.1', 'Host: x', 'X-A: a\0b', auth(), 'Connection: close']) + get('/nowhere', 'Connection: close'));
	assert.ok(status === 0 || status >= 400, `status ${status}`);
	await stillServes();
});

// A body that libwebsockets 4.1 reads together with the request before it made its loop spin for ever.
const PIPELINED = {
	'a GET': () => get(),
	'a file': () => get('/'),
	'an unknown path': () => get('/x'),
	'two GETs': () => get() + get(),
	'a POST': () => post('/v1/session', '{"token":"x"}'),
	'a list': () => get('/v1/conversations', auth()),
};
const post = (path, body, ...headers) => request([`POST ${path} HTTP/1.1`, 'Host: x', JSON_TYPE, ...headers, `Content-Length: ${body.length}`], body);

for (const [name, before] of Object.entries(PIPELINED)) {
	test(`a request with a body in one packet behind ${name} hangs nobody`, async () => {
		const rest = [
			post('/v1/session', '{"token":"x"}'),
			post('/x', '{}'),
			post('/v1/responses', BODY, auth()),
			post('/v1/responses', BODY) + get(),
			request([`POST /v1/responses/resp_${'0'.repeat(40)}/cancel HTTP/1.1`, 'Host: x', auth()]),
		];
		for (const bytes of rest) {
			for (const end of ['keep', 'reset']) {
				const wire = await dial(stage.server);
				wire.write(before() + bytes);
				await wire.read(/^HTTP\/1\.1 \d{3} /);
				if (end === 'reset') {
					wire.drop();
				}
				await stillServes();
				wire.drop();
			}
		}
	});
}

test('a head larger than eight kilobytes is refused', async () => {
	for (const head of [
		get('/healthz', `X-Large: ${'x'.repeat(20_000)}`),
		get(`/${'p'.repeat(20_000)}`),
		get('/healthz', ...Array.from({ length: 2000 }, (_, at) => `X-${at}: y`)),
	]) {
		const { status } = await exchange(head);
		assert.ok(status === 0 || status >= 400, `status ${status}`);
	}
	await stillServes();
});

test('lines that are no HTTP are refused', async () => {
	for (const line of ['hello', '\r\n\r\n\r\n', 'GET', 'GET /', 'GET / HTTP', 'GET / HTTP/9.9', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'CONNECT example.org:443 HTTP/1.1', '* * *']) {
		const { text } = await exchange(Buffer.from(`${line}\r\n\r\n`, 'latin1'));
		assert.doesNotMatch(text, /^HTTP\/1\.[01] 2/, JSON.stringify(line));
	}
	await stillServes();
});

test('requests on a kept-alive connection are answered one by one, in order', async () => {
	const wire = await dial(stage.server);
	for (const target of ['/healthz', '/v1/nothing', '/healthz']) {
		wire.text = '';
		wire.write(get(target));
		await wire.read(target === '/healthz' ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 (401|404) /);
		await wire.read(/\r\n\r\n[^]+/);
	}
	wire.drop();
});

test('a client that asks for much and hangs up at once costs nobody anything', async () => {
	stage.upstream.on('asked and gone', reply.stalls('x'));
	const wires = await Promise.all(Array.from({ length: 50 }, () => dial(stage.server)));
	for (const [at, wire] of wires.entries()) {
		const body = JSON.stringify({ input: `asked and gone ${at}`, stream: true, store: false });
		wire.write(request(['POST /v1/responses HTTP/1.1', 'Host: x', auth(), JSON_TYPE, `Content-Length: ${body.length}`], body));
		if (at % 2) {
			wire.socket.resetAndDestroy();
		}
	}
	const asked = await Promise.all(wires.map((wire, at) => (at % 2 ? undefined : wire.read(/output_text\.delta/))));
	assert.equal(asked.length, 50);
	wires.forEach((wire) => wire.drop());
	await Promise.all(stage.upstream.asked('asked and gone').map((asked) => asked.hungUp()));
	await stillServes();
});

test('an error that refuses an upgrade is the usual envelope', async () => {
	const wire = await dial(stage.server);
	wire.write(upgrade(stage.server, stage.key, { headers: { Origin: 'http://evil.example' } }));
	const [, body] = await wire.read(/^HTTP\/1\.1 403 [^]*\r\n\r\n(\{[^]*\})/);
	checkError(JSON.parse(body), { code: 'origin_not_allowed' });
	wire.drop();
});
