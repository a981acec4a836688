// One connection that keeps the loop busy is not read for a while; nothing of it is lost, and others are served.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { dial, frame, upgrade } from '../lib/raw.js';
import { startServer } from '../lib/server.js';
import { eventually, setup } from '../lib/setup.js';
import { test } from '../lib/test.js';

const stage = setup();

const metric = async (name) => Number(new RegExp(`^sluice_${name} (\\d+)`, 'm').exec(await (await stage.server.fetch('/metrics')).text())[1]);
const rests = () => metric('rests_total');

/** Takes the loop milliseconds to read, and fits one read of the socket. */
const costly = (name) => ({
	type: 'response.create',
	store: false,
	stream_id: 'busy',
	input: [...Array(300).fill({ role: 'user', content: 'a' }), { role: 'user', content: name }],
});

/** All in one write, so that the server has read the later ones when the first makes it rest. */
function sendTogether(chat, messages) {
	chat.socket._socket.cork();
	messages.forEach((message) => chat.send(message));
	chat.socket._socket.uncork();
}

test('a connection that holds the loop rests; what it sent is answered in order afterwards', async () => {
	const [busy, other] = [await stage.chat(), await stage.chat()];
	const before = await rests();
	const pings = Array.from({ length: 8 }, (_, i) => ({ type: 'sluice:ping', stream_id: `p${i}` }));
	sendTogether(busy, [costly('one'), costly('two'), ...pings]);
	await busy.wait((event) => event.type === 'sluice:pong' && event.stream_id === 'p7', { from: 0 });
	const pongs = busy.events.filter((event) => event.type === 'sluice:pong').map((event) => event.stream_id);
	assert.deepEqual(pongs, pings.map((ping) => ping.stream_id));
	assert.ok((await rests()) > before, 'it rested');
	assert.equal((await other.turn('and me')).text, 'You said: and me');
	await Promise.all([busy.close(), other.close()]);
});

test('what is refused is answered in order too', async () => {
	// Who has a loop for himself does not rest.
	const others = [await stage.chat(), await stage.chat(), await stage.chat(), await stage.chat()];
	const busy = await stage.chat();
	const before = await rests();
	const ping = (stream_id) => ({ type: 'sluice:ping', stream_id });
	const long = { ...costly('one'), input: Array(1900).fill({ role: 'user', content: 'a' }) };
	sendTogether(busy, [long, ping('before'), Buffer.from('binary'), ping('behind')]);
	await busy.wait((event) => event.stream_id === 'behind', { from: 0 });
	const answers = busy.events.filter((event) => event.type === 'sluice:pong' || event.type === 'error');
	assert.deepEqual(answers.map((event) => event.stream_id ?? event.error.code), ['before', 'binary_not_supported', 'behind']);
	assert.ok((await rests()) > before, 'it rested');
	await Promise.all([busy, ...others].map((chat) => chat.close()));
});

test('who rests from a request over HTTP and becomes a WebSocket is not read either, were it alone', async (t) => {
	const server = await startServer({ upstream: stage.upstream, env: { SLUICE_SERVER_LOOPS: '1' } });
	t.after(() => server.remove());
	const key = await server.createKey('ada');
	const other = await dial(server);
	const line = await dial(server);
	const body = JSON.stringify({ model: 'nobody knows this model', input: Array(1900).fill({ role: 'user', content: 'a'.repeat(400) }) });
	const head = `POST /v1/responses HTTP/1.1\r\nHost: ${server.address}\r\nAuthorization: Bearer ${key}\r\n`;
	line.write(`${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
	await line.read(/^HTTP\/1.1 4\d\d[^]*\}/);
	other.socket.end();
	await other.closed();
	line.text = '';
	line.write(upgrade(server, key));
	await line.read(/^HTTP\/1.1 101 [^]*\r\n\r\n/);
	line.write(frame('{"type":"sluice:ping"}'));
	const flood = frame(Buffer.alloc(50_000, 'x'));
	for (let n = 0; n < 1000; n++) {
		line.write(flood);
	}
	await line.read(/sluice:pong/);
	assert.ok(line.socket.writableLength > 500 * flood.length, `${line.socket.writableLength} bytes wait`);
	line.drop();
	await server.stop();
});

test('turns that wait while the connection rests are started afterwards, in order', async () => {
	const [busy, other] = [await stage.chat(), await stage.chat()];
	sendTogether(busy, ['first', 'second', 'third'].map(costly));
	const done = (event) => event.type === 'response.completed';
	await eventually(() => busy.events.filter(done).length, (count) => count === 3);
	const said = busy.events.filter((event) => event.type === 'response.output_text.done').map((event) => event.text);
	assert.deepEqual(said, ['first', 'second', 'third'].map((name) => `You said: ${name}`));
	await Promise.all([busy.close(), other.close()]);
});

test('one that goes away while it rests is forgotten', async () => {
	const [busy, other] = [await stage.chat(), await stage.chat()];
	const before = await rests();
	sendTogether(busy, ['first', 'second', 'third'].map(costly));
	await eventually(rests, (count) => count > before);
	const closed = once(busy.socket, 'close');
	busy.socket.terminate();
	await closed;
	assert.equal((await other.turn('still here')).text, 'You said: still here');
	await other.close();
});

test('requests over HTTP on a connection that rests are answered afterwards, in order, pipelined ones too', async () => {
	const other = await stage.chat();
	const before = await rests();
	const line = await dial(stage.server);
	const body = JSON.stringify({ model: 'nobody knows this model', input: costly('').input });
	const head = (what) => `${what} HTTP/1.1\r\nHost: ${stage.server.address}\r\nAuthorization: Bearer ${stage.key}\r\n`;
	const post = `${head('POST /v1/responses')}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
	for (let count = 0; count < 3; count++) {
		line.write(post);
		await line.read(new RegExp(`(HTTP/1.1 4\\d\\d[^]*){${count + 1}}`));
	}
	line.write(`${head('GET /v1/models')}\r\n`.repeat(3));
	await line.read(/(HTTP\/1.1 200[^]*){3}/);
	assert.ok((await rests()) > before, 'it rested');
	line.drop();
	await other.close();
});

test('who sends on and on behind a refusal is not read for nothing', async () => {
	// Who has a loop for himself may have all of it.
	const others = [await stage.chat(), await stage.chat(), await stage.chat(), await stage.chat()];
	const busy = await stage.chat();
	const before = await metric('received_bytes_total');
	const sent = 50_000_000;
	const closed = once(busy.socket, 'close');
	busy.socket.send('x'.repeat(sent));
	await busy.wait((event) => event.type === 'error', { from: 0 });
	assert.equal((await others[0].turn('and me')).text, 'You said: and me');
	await closed;
	const read = (await metric('received_bytes_total')) - before;
	assert.ok(read < sent / 2, `${read} bytes read`);
	await Promise.all(others.map((other) => other.close()));
});

test('a request that waits for the end of a rest keeps its headers until then', async () => {
	const other = await stage.chat();
	const before = await rests();
	const line = await dial(stage.server);
	const etag = (await stage.server.fetch('/')).headers.get('etag');
	const body = JSON.stringify({ model: 'nobody knows this model', input: costly('').input });
	const head = (what) => `${what} HTTP/1.1\r\nHost: ${stage.server.address}\r\nAuthorization: Bearer ${stage.key}\r\n`;
	for (let count = 0; count < 3; count++) {
		line.write(`${head('POST /v1/responses')}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
		await line.read(new RegExp(`(HTTP/1.1 4\\d\\d[^]*){${count + 1}}`));
	}
	line.write(`${head('GET /')}If-None-Match: ${etag}\r\n\r\n`);
	await line.read(/HTTP\/1.1 304/);
	assert.ok((await rests()) > before, 'it rested');
	line.drop();
	await other.close();
});
