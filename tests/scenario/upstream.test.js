// Each way in which an upstream can misbehave, and what becomes of the response.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect } from '../lib/chat.js';
import { checkError } from '../lib/check.js';
import { canary } from '../lib/random.js';
import { startServer } from '../lib/server.js';
import { eventually, setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply, startUpstream, usageEvent } from '../lib/upstream.js';

let chat;
const stage = setup({ settings: { upstream: { retries: 2, retry_base: '1ms', retry_max: '2s' } } }, async (ready) => {
	chat = await ready.chat();
});

let questions = 0;
/** One turn whose request gets these replies, try by try; checks that the upstream was asked `tries` times. */
async function turn(replies, { tries = 1, on = stage, socket = chat } = {}) {
	const input = `question ${++questions}.`;
	on.upstream.on(input, ...[replies].flat());
	const ended = await socket.turn({ input });
	assert.equal(on.upstream.asked(input).length, tries, 'how often the upstream was asked');
	return ended;
}

function assertCompleted({ response, text }, expected) {
	assert.equal(response.status, 'completed');
	assert.equal(text, expected);
}

function assertFailed({ response }, code, kind) {
	assert.equal(response.status, 'failed', JSON.stringify(response));
	assert.equal(response.error.code, code);
	assert.ok(response.error.message.includes(`(${kind})`), `${kind} in: ${response.error.message}`);
}

function assertIncomplete({ response, text }, reason, expected) {
	assert.equal(response.status, 'incomplete', JSON.stringify(response));
	assert.equal(response.incomplete_details.reason, reason);
	assert.equal(text, expected, 'what came is kept');
}

const finish = (x, usage) => x.event({}, { finish: 'stop' }) + (usage ? usageEvent(x.id) : '') + 'data: [DONE]\n\n';
const TEXT = 'Grüße, 世界 😀!';
/** The usual stream, as one text. */
const whole = (x) => x.event({ role: 'assistant', content: '' }) + x.event({ content: 'Grüße, ' }) + x.event({ content: '世界 😀!' }) + finish(x, true);

// --- strange, but right ------------------------------------------------------------------------------------------------

for (const size of [1, 2, 3, 7]) {
	test(`a stream that comes ${size} byte(s) at a time, characters cut in two, is read as it was meant`, async () => {
		const ended = await turn(async (x) => {
			await x.trickle(whole(x), size);
			x.end();
		});
		assertCompleted(ended, TEXT);
		assert.equal(ended.response.usage.total_tokens, 10);
	});
}

const STRANGE = {
	'everything in one write': (x) => [whole(x)],
	'CRLF line ends': (x) => [whole(x).replaceAll('\n', '\r\n')],
	'CR line ends': (x) => [whole(x).replaceAll('\n', '\r')],
	'CRLF cut between CR and LF': (x) =>
		whole(x)
			.replaceAll('\n', '\r\n')
			.split(/(?<=\r)/),
	'a byte order mark': (x) => [`\uFEFF${whole(x)}`],
	'no space behind data:': (x) => [whole(x).replaceAll('data: ', 'data:')],
	'comments between events': (x) => [`: hello\n\n${whole(x).replaceAll('\n\n', '\n\n: ping\n\n')}`],
	'event, id and retry lines': (x) => [whole(x).replaceAll('data: ', 'id: 7\nretry: 10\nevent: message\ndata: ')],
	'unknown fields': (x) => [whole(x).replaceAll('"choices"', '"x":{"y":[1,{"content":"no"}]},"choices"')],
	'escapes for every character': (x) => [
		whole(x).replace(/[^\x00-\x7f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`),
	],
	'two [DONE]': (x) => [`${whole(x)}data: [DONE]\n\n`],
	'events behind [DONE]': (x) => [whole(x) + x.event({ content: 'too late' })],
	'no [DONE], but a finish reason': (x) => [whole(x).replace('data: [DONE]\n\n', '')],
	'no finish reason, but [DONE]': (x) => [x.event({ content: TEXT }), usageEvent(x.id), 'data: [DONE]\n\n'],
	'usage in the chunk that finishes': (x) => [
		x.event({ content: TEXT }),
		x.event({}, { finish: 'stop', usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 } }),
		'data: [DONE]\n\n',
	],
	'text in the chunk that finishes': (x) => [
		x.event({ content: TEXT.slice(0, 3) }),
		x.event({ content: TEXT.slice(3) }, { finish: 'stop' }),
		usageEvent(x.id),
		'data: [DONE]\n\n',
	],
	'null in place of content': (x) => [x.event({ role: 'assistant', content: null }), whole(x)],
	'a last event without its empty line': (x) => [whole(x).replace(/\n\n$/, '\n')],
};

for (const [name, pieces] of Object.entries(STRANGE)) {
	test(`an upstream stream with ${name} is read as it was meant`, async () => {
		const ended = await turn(reply.raw(pieces));
		assertCompleted(ended, TEXT);
		assert.equal(ended.response.usage.input_tokens, 7);
		assert.equal(ended.response.usage.output_tokens, 3);
	});
}

test('without usage from the upstream the response says null, not a guess', async () => {
	const { response } = await turn(reply.says('x', { usage: null }));
	assert.equal(response.usage, null);
});

test('tokens that the upstream cached or reasoned with are shown', async () => {
	const usage = {
		prompt_tokens: 20,
		completion_tokens: 9,
		total_tokens: 29,
		prompt_tokens_details: { cached_tokens: 16 },
		completion_tokens_details: { reasoning_tokens: 4 },
	};
	const { response } = await turn(
		reply.raw((x) => [x.event({ content: 'x' }), x.event({}, { finish: 'stop', usage }), 'data: [DONE]\n\n']),
	);
	assert.deepEqual(response.usage, {
		input_tokens: 20,
		output_tokens: 9,
		total_tokens: 29,
		input_tokens_details: { cached_tokens: 16 },
		output_tokens_details: { reasoning_tokens: 4 },
	});
});

test('finish_reason length is incomplete for want of tokens, content_filter for that', async () => {
	assertIncomplete(await turn(reply.says('cut off', { finish: 'length' })), 'max_output_tokens', 'cut off');
	assertIncomplete(await turn(reply.says('cut', { finish: 'content_filter' })), 'content_filter', 'cut');
});

// --- broken in mid-stream ----------------------------------------------------------------------------------------------

test('a stream that ends without a finish reason or [DONE] is incomplete and keeps what came', async () => {
	assertIncomplete(await turn(reply.raw((x) => [x.event({ content: 'half an ' }), x.event({ content: 'answer' })])), 'upstream_cut', 'half an answer');
});

test('a stream that is cut in the middle of an event is incomplete, is not asked again, and keeps what came', async () => {
	const ended = await turn(async (x) => {
		await x.say('half an ');
		await x.write(x.event({ content: 'answer' }).slice(0, 40));
		x.cut();
	});
	assertIncomplete(ended, 'upstream_cut', 'half an ');
	const stored = await (await stage.fetch(`/v1/responses/${ended.response.id}`)).json();
	assert.deepEqual(stored, ended.response);
});

test('a stream that is reset in the middle is incomplete and keeps what came', async () => {
	const ended = await turn(async (x) => {
		await x.say('half');
		x.socket.resetAndDestroy();
	});
	assertIncomplete(ended, 'upstream_cut', 'half');
});

test('an error object in mid-stream fails the response with its message, keeps what came, and is not asked again', async () => {
	const ended = await turn(async (x) => {
		await x.say('half ');
		await x.write('data: {"error":{"message":"the GPU caught fire","type":"server_error","code":500}}\n\n');
		x.end();
	});
	assertFailed(ended, 'upstream_failed', 'upstream_reported');
	assert.match(ended.response.error.message, /the GPU caught fire/);
	assert.equal(ended.text, 'half ');
});

test('JSON that is none in mid-stream fails the response', async () => {
	const ended = await turn(reply.raw((x) => [x.event({ content: 'a' }), 'data: {"choices":[{]}\n\n', finish(x)]));
	assertFailed(ended, 'upstream_failed', 'upstream_protocol');
	assert.equal(ended.text, 'a');
});

test('an event of ten megabytes fails the response and not the server', async () => {
	const ended = await turn(async (x) => {
		await x.say('a');
		await x.write(x.event({ content: 'x'.repeat(10 << 20) }));
		x.end();
	});
	assertFailed(ended, 'upstream_failed', 'upstream_protocol');
});

test('a line that never ends fails the response and not the server', async () => {
	const ended = await turn(async (x) => {
		await x.say('a');
		while (!x.gone) {
			await x.write('y'.repeat(1 << 20));
		}
	});
	assertFailed(ended, 'upstream_failed', 'upstream_protocol');
});

test('bytes that are no UTF-8 never reach a client', async () => {
	const ended = await turn(async (x) => {
		const event = Buffer.from(x.event({ content: 'ab?cd' }));
		event[event.indexOf('?')] = 0xff;
		await x.write(event);
		await x.finish();
		await x.done();
	});
	assertFailed(ended, 'upstream_failed', 'upstream_protocol');
});

// --- no stream at all --------------------------------------------------------------------------------------------------

test('a whole completion in place of a stream is taken for what it is', async () => {
	const choice = { index: 0, message: { role: 'assistant', content: 'all at once' }, finish_reason: 'stop' };
	const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
	const ended = await turn(async (x) => x.json(200, { id: 'x', object: 'chat.completion', choices: [choice], usage }));
	assertCompleted(ended, 'all at once');
	assert.equal(ended.response.usage.total_tokens, 10);
});

test('JSON that is no completion in place of a stream is a protocol error', async () => {
	assertFailed(await turn(async (x) => x.json(200, { hello: 'world' })), 'upstream_failed', 'upstream_protocol');
});

test('an error in place of a stream, though the status is 200, fails the response with its message', async () => {
	const ended = await turn(async (x) => x.json(200, { error: { message: 'out of credit' } }));
	assert.equal(ended.response.status, 'failed');
	assert.match(ended.response.error.message, /out of credit/);
});

test('a web page in place of a stream is a protocol error', async () => {
	const ended = await turn(async (x) => {
		x.head(200, { 'content-type': 'text/html' });
		x.end('<html>Welcome to the router</html>');
	});
	assertFailed(ended, 'upstream_failed', 'upstream_protocol');
});

test('an empty answer with status 200 fails', async () => {
	const { response } = await turn(reply.raw([]));
	assert.equal(response.status, 'failed');
	assert.equal(response.error.code, 'upstream_failed');
});

test('an error object as the first event fails the response with its message', async () => {
	const ended = await turn(reply.raw(['data: {"error":{"message":"no GPU today"}}\n\n']));
	assertFailed(ended, 'upstream_failed', 'upstream_reported');
	assert.match(ended.response.error.message, /no GPU today/);
});

test('a redirect is not followed', async (t) => {
	let visits = 0;
	const elsewhere = http.createServer((_, response) => {
		visits++;
		response.end('{}');
	});
	elsewhere.listen(0, '127.0.0.1');
	await once(elsewhere, 'listening');
	t.after(() => elsewhere.close());
	const location = `http://127.0.0.1:${elsewhere.address().port}/v1/chat/completions`;
	const { response } = await turn(async (x) => {
		x.head(307, { location });
		x.end();
	});
	assert.equal(response.status, 'failed');
	assert.equal(visits, 0);
});

// --- refusals and retries ----------------------------------------------------------------------------------------------

for (const [status, kind] of [
	[400, 'upstream_rejected'],
	[404, 'upstream_rejected'],
	[422, 'upstream_rejected'],
	[401, 'upstream_unauthorized'],
	[403, 'upstream_unauthorized'],
]) {
	test(`status ${status} from the upstream fails the response and is not asked again`, async () => {
		const code = kind === 'upstream_rejected' ? kind : 'upstream_failed';
		assertFailed(await turn(reply.fails(status)), code, kind);
	});
}

for (const status of [500, 502, 503, 504]) {
	test(`status ${status} from the upstream is tried again, and a later success is the answer`, async () => {
		assertCompleted(await turn([reply.fails(status), reply.fails(status), reply.says('at last')], { tries: 3 }), 'at last');
	});

	test(`status ${status} from the upstream every time fails the response after the last try`, async () => {
		assertFailed(await turn(reply.fails(status), { tries: 3 }), 'upstream_failed', 'upstream_server');
	});
}

test('status 429 is tried again when its Retry-After has passed', async () => {
	const began = performance.now();
	const limited = reply.fails(429, { headers: { 'retry-after': '1' } });
	assertCompleted(await turn([limited, reply.says('thanks for waiting')], { tries: 2 }), 'thanks for waiting');
	assert.ok(performance.now() - began >= 990, 'not before the second has passed');
});

test('status 429 every time fails with upstream_rate_limited', async () => {
	assertFailed(await turn(reply.fails(429), { tries: 3 }), 'upstream_rate_limited', 'upstream_rate_limited');
});

test('a Retry-After that is longer than the server waits ends the tries at once, and HTTP clients are told it', async () => {
	const limited = reply.fails(429, { headers: { 'retry-after': '3600' } });
	assertFailed(await turn(limited), 'upstream_rate_limited', 'upstream_rate_limited');
	stage.upstream.on('limited over HTTP', limited);
	const answer = await stage.fetch('/v1/responses', { body: { input: 'limited over HTTP' } });
	assert.equal(answer.status, 429);
	assert.equal(answer.headers.get('retry-after'), '3600');
	checkError(await answer.json(), { code: 'upstream_rate_limited' });
});

test('a connection that is cut before the answer is tried again', async () => {
	const cut = async (x) => x.cut();
	assertCompleted(await turn([cut, reply.says('again')], { tries: 2 }), 'again');
});

test('after the first token nothing is ever tried again', async () => {
	const cut = async (x) => {
		await x.say('first');
		x.cut();
	};
	assertIncomplete(await turn([cut, reply.says('second')], { tries: 1 }), 'upstream_cut', 'first');
});

test('an HTTP client gets the failure as a status, not as an answer', async () => {
	stage.upstream.on('fails over HTTP', reply.fails(500));
	const answer = await stage.fetch('/v1/responses', { body: { input: 'fails over HTTP' } });
	assert.equal(answer.status, 502);
	checkError(await answer.json(), { code: 'upstream_failed', type: 'server_error' });
});

test("the upstream's own words do not carry its key to the client", async (t) => {
	const secret = canary();
	const upstream = await startUpstream();
	t.after(() => upstream.stop());
	const server = await startServer({ upstream });
	t.after(() => server.remove());
	const file = path.join(server.dir, 'upstream-key');
	await writeFile(file, `${secret}\n`, { mode: 0o600 });
	await server.restart({ upstream: { api_key_file: file } });
	const socket = await connect(server, { key: await server.createKey('ada') });
	const ended = await turn(reply.fails(401, { message: 'bad key' }), { on: { upstream }, socket });
	assertFailed(ended, 'upstream_failed', 'upstream_unauthorized');
	assert.equal(upstream.requests[0].headers.authorization, `Bearer ${secret}`);
	assert.ok(!JSON.stringify(socket.events).includes(secret));
	assert.deepEqual(await server.find(secret), [file], 'neither the log nor any other file has it');
	await server.stop();
});

// --- deadlines ---------------------------------------------------------------------------------------------------------

test('the deadlines for the first token and for silence hold, and the upstream connection is closed', async (t) => {
	const upstream = await startUpstream();
	t.after(() => upstream.stop());
	const server = await startServer({
		upstream,
		settings: { upstream: { retries: 0, first_token_timeout: '700ms', silence_timeout: '500ms' } },
	});
	t.after(() => server.remove());
	const socket = await connect(server, { key: await server.createKey('ada') });
	const on = { upstream };
	await t.test('no headers', async () => {
		const silent = async (x) => x.closed;
		assertFailed(await turn(silent, { on, socket }), 'upstream_timeout', 'upstream_timeout');
		await upstream.requests.at(-1).hungUp();
	});
	await t.test('headers, then silence', async () => {
		assertFailed(await turn(reply.stalls(), { on, socket }), 'upstream_timeout', 'upstream_timeout');
		await upstream.requests.at(-1).hungUp();
	});
	await t.test('tokens, then silence', async () => {
		assertIncomplete(await turn(reply.stalls(['a ', 'b']), { on, socket }), 'upstream_stalled', 'a b');
		await upstream.requests.at(-1).hungUp();
	});
	await t.test('comments are a sign of life, not a token', async () => {
		const humming = async (x) => {
			while (!x.gone) {
				await x.write(': still loading the model\n\n');
				await new Promise((resolve) => setTimeout(resolve, 20));
			}
		};
		assertFailed(await turn(humming, { on, socket }), 'upstream_timeout', 'upstream_timeout');
	});
	await t.test('a slow answer that never falls silent is no stall', async () => {
		const slow = async (x) => {
			for (const word of ['slow ', 'and ', 'steady']) {
				await x.say(word);
				await new Promise((resolve) => setTimeout(resolve, 250));
			}
			await x.finish();
			await x.done();
		};
		assertCompleted(await turn(slow, { on, socket }), 'slow and steady');
	});
	await socket.close();
	await server.stop();
});

test('an upstream that nobody listens for, or whose name nobody knows, is a typed error', async (t) => {
	const closed = net.createServer().listen(0, '127.0.0.1');
	await once(closed, 'listening');
	const { port } = closed.address();
	closed.close();
	await once(closed, 'close');
	for (const [url, kind] of [
		[`http://127.0.0.1:${port}/v1`, 'upstream_refused'],
		['http://no-such-host.invalid/v1', 'upstream_unknown_host'],
	]) {
		const server = await startServer({ upstream: { url }, settings: { upstream: { retries: 1, retry_base: '1ms' } } });
		t.after(() => server.remove());
		const socket = await connect(server, { key: await server.createKey('ada') });
		const began = performance.now();
		assertFailed(await socket.turn('anyone there?'), 'upstream_failed', kind);
		assert.ok(performance.now() - began < 10_000, 'within ten seconds');
		await socket.close();
		await server.stop();
	}
});

test('an upstream that speaks no TLS where TLS was asked for is a typed error', async (t) => {
	const upstream = await startUpstream();
	t.after(() => upstream.stop());
	const server = await startServer({ upstream: { url: upstream.url.replace('http:', 'https:') } });
	t.after(() => server.remove());
	const socket = await connect(server, { key: await server.createKey('ada') });
	assertFailed(await socket.turn('in secret'), 'upstream_failed', 'upstream_tls');
	await socket.close();
	await server.stop();
});

test('one upstream call that hangs holds up no other', async () => {
	const held = gate();
	stage.upstream.on('hangs a while', reply.pauses('a', held, 'b'));
	const other = await stage.chat();
	const hanging = other.begin({ input: 'hangs a while' });
	await other.type('response.output_text.delta');
	for (let n = 0; n < 20; n++) {
		assertCompleted(await turn(reply.says(`${n}`)), `${n}`);
	}
	held.open();
	assertCompleted(await hanging.end, 'ab');
	await other.close();
});

test('a model that the upstream does not serve is refused by name', async () => {
	chat.send({ type: 'response.create', input: 'x', model: 'fake-huge' });
	checkError(await chat.nextError(), { status: 404, code: 'model_not_found', param: 'model' });
	const models = await eventually(
		async () => (await (await stage.fetch('/v1/models')).json()).data.map(({ id }) => id),
		(ids) => ids.includes('fake'),
	);
	assert.ok(!models.includes('fake-huge'));
});
