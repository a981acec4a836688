// The same over https://, HTTP/1.1 and HTTP/2, where libcurl carries the request.
import assert from 'node:assert/strict';
import os from 'node:os';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from '../lib/chat.js';
import { startServer } from '../lib/server.js';
import { after, before, test } from '../lib/test.js';
import { reply, startUpstream } from '../lib/upstream.js';

let folder;
let tls;
const certificate = () => path.join(folder, 'cert.pem');

before(async () => {
	folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-secure-'));
	const key = path.join(folder, 'key.pem');
	execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
		'-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate()], { stdio: 'ignore' });
	tls = { key: await readFile(key), cert: await readFile(certificate()) };
});

after(() => rm(folder, { recursive: true, force: true }));

async function stand(t, options, own = { ca_file: certificate() }) {
	const upstream = await startUpstream({ tls, ...options });
	t.after(() => upstream.stop());
	const server = await startServer({ upstream, settings: { upstream: { retries: 0, ...own } } });
	t.after(() => server.remove());
	return { upstream, server, chat: await connect(server, { key: await server.createKey('ada') }) };
}

for (const [name, version, options] of [
	['HTTP/1.1', '1.1', {}],
	['HTTP/2', '2.0', { http2: true }],
]) {
	test(`over TLS and ${name} answers stream, errors are told, and a cancel reaches the model`, async (t) => {
		const { upstream, server, chat } = await stand(t, options);
		upstream.on('whole', reply.says(['a', 'b', 'c']));
		for (let n = 0; n < 3; n++) {
			const { response, text } = await chat.turn({ input: `whole ${n}` });
			assert.equal(response.status, 'completed', JSON.stringify(response));
			assert.equal(text, 'abc');
		}
		assert.equal((await upstream.request('whole')).response.req.httpVersion, version);

		const large = 'x'.repeat(300_000);
		assert.equal((await chat.turn({ input: `whole ${large}` })).text, 'abc');

		upstream.on('busy', reply.fails(400));
		const { response: failed } = await chat.turn({ input: 'busy' });
		assert.equal(failed.status, 'failed');
		assert.match(failed.error.message, /upstream_rejected/);

		upstream.on('endless', async (x) => {
			await x.say('word ');
			await x.closed;
		});
		const turn = chat.begin({ input: 'endless' });
		const { id } = await turn.created;
		await chat.type('response.output_text.delta', { from: turn.from });
		chat.send({ type: 'sluice:response.cancel', response_id: id });
		assert.equal((await turn.end).response.status, 'incomplete');
		await (await upstream.request('endless')).hungUp();
		await chat.close();
		await server.stop();
	});
}

test('a stream over TLS that is cut is incomplete and keeps what came', async (t) => {
	const { upstream, server, chat } = await stand(t, {});
	upstream.fallback = async (x) => {
		await x.say('a');
		x.cut();
	};
	const { response, text } = await chat.turn({ input: 'cut' });
	assert.equal(response.status, 'incomplete');
	assert.equal(text, 'a');
	await chat.close();
	await server.stop();
});

test('a certificate that nobody vouches for is refused', async (t) => {
	const { upstream, server, chat } = await stand(t, {}, {});
	const { response } = await chat.turn({ input: 'hello?' });
	assert.equal(response.status, 'failed');
	assert.match(response.error.message, /upstream_tls/);
	assert.equal(upstream.requests.length, 0);
	await chat.close();
	await server.stop();
});
