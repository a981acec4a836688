// The page's files, and what operators look at: health, readiness, metrics.
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkError } from '../lib/check.js';
import { startServer } from '../lib/server.js';
import { eventually, setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { reply, startUpstream } from '../lib/upstream.js';

const stage = setup();
const WWW = fileURLToPath(new URL('../../www', import.meta.url));
const CSP =
	"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";
const TYPES = {
	'.html': 'text/html; charset=utf-8',
	'.css': 'text/css; charset=utf-8',
	'.js': 'text/javascript; charset=utf-8',
	'.svg': 'image/svg+xml',
	'.png': 'image/png',
	'.ico': 'image/x-icon',
	'.json': 'application/json',
	'.webmanifest': 'application/manifest+json',
	'.txt': 'text/plain; charset=utf-8',
	'.woff2': 'font/woff2',
};

/** A request whose path is sent as it is: fetch would tidy it up. */
const rawGet = (target, { method = 'GET', headers = {} } = {}) =>
	new Promise((resolve, reject) => {
		const { host, port } = stage.server;
		const asked = httpRequest({ host, port, path: target, method, headers, agent: false }, (response) => {
			const pieces = [];
			response.on('data', (piece) => pieces.push(piece));
			response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces) }));
			response.on('error', reject);
		});
		asked.on('error', (error) => resolve({ status: 0, headers: {}, body: Buffer.alloc(0), error }));
		asked.end();
	});

test('every file of the page is served with its type, its bytes, an ETag and the security headers', async () => {
	const names = (await readdir(WWW, { recursive: true, withFileTypes: true }))
		.filter((entry) => entry.isFile())
		.map((entry) => path.relative(WWW, path.join(entry.parentPath ?? entry.path, entry.name)));
	assert.ok(names.length >= 3, `${names}`);
	for (const name of names) {
		const answer = await stage.server.fetch(`/${name}`);
		assert.equal(answer.status, 200, name);
		const type = TYPES[path.extname(name)];
		if (type) {
			assert.equal(answer.headers.get('content-type'), type, name);
		}
		assert.ok(Buffer.from(await answer.arrayBuffer()).equals(await readFile(path.join(WWW, name))), `${name}: its bytes`);
		assert.equal(answer.headers.get('content-security-policy'), CSP, name);
		assert.equal(answer.headers.get('x-content-type-options'), 'nosniff', name);
		assert.match(answer.headers.get('referrer-policy') ?? '', /no-referrer|same-origin/, name);
		assert.match(answer.headers.get('etag') ?? '', /^(W\/)?"[^"]+"$/, name);
	}
});

test('/ is the page', async () => {
	const answer = await stage.server.fetch('/');
	assert.equal(answer.status, 200);
	assert.equal(answer.headers.get('content-type'), TYPES['.html']);
	assert.equal(answer.headers.get('content-security-policy'), CSP);
	assert.equal(await answer.text(), await readFile(path.join(WWW, 'index.html'), 'utf8'));
	assert.equal((await stage.server.fetch('/?a=b')).status, 200, 'a query changes nothing');
});

test('a file that the browser has is 304 without a body; a changed one is sent', async () => {
	const etag = (await stage.server.fetch('/')).headers.get('etag');
	for (const condition of [etag, `"other", ${etag}`, '*', `W/${etag.replace(/^W\//, '')}`]) {
		const answer = await rawGet('/', { headers: { 'if-none-match': condition } });
		assert.equal(answer.status, 304, condition);
		assert.equal(answer.body.length, 0);
		assert.equal(answer.headers.etag, etag);
		assert.equal(answer.headers['content-security-policy'], CSP);
	}
	for (const condition of ['"other"', etag.slice(0, -2) + '"', '']) {
		assert.equal((await rawGet('/', { headers: { 'if-none-match': condition } })).status, 200, condition);
	}
});

test('HEAD gives the head of GET and no body', async () => {
	const [head, get] = [await rawGet('/', { method: 'HEAD' }), await rawGet('/')];
	assert.equal(head.status, 200);
	assert.equal(head.body.length, 0);
	for (const name of ['content-type', 'content-length', 'etag', 'content-security-policy']) {
		assert.equal(head.headers[name], get.headers[name], name);
	}
});

test('no path leads out of the folder of the page', async () => {
	for (const target of [
		'/../Makefile',
		'/../../../../../../etc/passwd',
		'/%2e%2e/Makefile',
		'/%2e%2e%2fMakefile',
		'/..%2fMakefile',
		'/..%5cMakefile',
		'/..\\Makefile',
		'/....//Makefile',
		'/.//..//Makefile',
		'//etc/passwd',
		'/%2fetc/passwd',
		'/index.html/../../Makefile',
		'/index.html%00.css',
		'/%00',
		'/%',
		'/%zz',
		'/%c0%ae%c0%ae/Makefile',
		'/.git/config',
		'/sluice.conf',
		'/.',
		'/..',
	]) {
		const answer = await rawGet(target);
		const text = answer.body.toString();
		assert.ok(answer.status === 0 || answer.status >= 400 || text === (await readFile(path.join(WWW, 'index.html'), 'utf8')), `${target}: ${answer.status}`);
		assert.doesNotMatch(text, /^PREFIX|root:|\[server\]/m, target);
	}
});

test('a file that is not there is 404 with the usual envelope', async () => {
	const answer = await stage.server.fetch('/no-such-file.js');
	assert.equal(answer.status, 404);
	checkError(await answer.json(), { code: 'not_found' });
});

test('/healthz and /readyz answer without a key', async () => {
	for (const target of ['/healthz', '/readyz']) {
		const answer = await stage.server.fetch(target);
		assert.equal(answer.status, 200, target);
		assert.match(answer.headers.get('cache-control') ?? '', /no-store/);
	}
});

/** The Prometheus text format, read strictly: a map from name and labels to the value. */
function parseMetrics(text) {
	const types = new Map();
	const values = new Map();
	assert.ok(text.endsWith('\n'), 'ends in a line end');
	for (const line of text.split('\n').filter(Boolean)) {
		const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram|summary|untyped)$/.exec(line);
		if (type) {
			assert.ok(!types.has(type[1]), `one TYPE for ${type[1]}`);
			types.set(type[1], type[2]);
			continue;
		}
		if (/^# HELP [a-zA-Z_:][\w:]* \S/.test(line)) {
			continue;
		}
		const sample = /^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (NaN|[+-]Inf|[-+]?[\d.]+(?:e[+-]?\d+)?)$/.exec(line);
		assert.ok(sample, `not a line of the format: ${line}`);
		const [, name, labels = '', value] = sample;
		const family = [name, name.replace(/_(bucket|sum|count)$/, '')].find((one) => types.has(one));
		assert.ok(family, `TYPE before ${name}`);
		assert.ok(!values.has(name + labels), `${name}${labels} once`);
		if (types.get(family) === 'counter') {
			assert.match(name, /_total$/, 'counters end in _total');
		}
		values.set(name + labels, Number(value));
	}
	for (const [name] of [...types].filter(([, kind]) => kind === 'histogram')) {
		const buckets = [...values].filter(([key]) => key.startsWith(`${name}_bucket`));
		assert.ok(buckets.some(([key]) => key.includes('le="+Inf"')), `${name} has a +Inf bucket`);
		for (const [key, count] of [...values].filter(([key]) => key.startsWith(`${name}_count`))) {
			const labels = key.slice(`${name}_count`.length).replace(/[{}]/g, '');
			const series = buckets.filter(([bucket]) => labels.split(',').every((label) => bucket.includes(label)));
			const counts = series.map(([, value]) => value);
			assert.deepEqual(counts, [...counts].sort((a, b) => a - b), `${name}: buckets are cumulative`);
			assert.equal(counts.at(-1), count, `${name}: the last bucket is the count`);
		}
	}
	return values;
}

const metrics = async () => {
	const answer = await stage.server.fetch('/metrics');
	assert.equal(answer.status, 200);
	assert.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
	return parseMetrics(await answer.text());
};

test('/metrics is in the Prometheus text format and counts what happens', async () => {
	const before = await metrics();
	const chat = await stage.chat();
	stage.upstream.on('counted failure', reply.fails(400));
	await chat.turn('counted');
	await chat.turn('counted failure');
	const during = await metrics();
	await chat.close();
	const grown = [...during].filter(([name, value]) => value > (before.get(name) ?? 0)).map(([name]) => name);
	for (const what of [/response.*completed/, /response.*failed/, /upstream/, /connection|websocket/]) {
		assert.ok(grown.some((name) => what.test(name)), `something like ${what} has grown: ${grown}`);
	}
	assert.ok([...during.keys()].every((name) => name.startsWith('sluice_') || name.startsWith('process_')), 'our own prefix');
});

test('metrics hold no content, no user and no id', async () => {
	const chat = await stage.chat();
	const { response } = await chat.turn('unmeasured words');
	const text = await (await stage.server.fetch('/metrics')).text();
	for (const secret of ['unmeasured', 'ada', response.id, stage.key]) {
		assert.ok(!new RegExp(`\\b${secret}\\b`).test(text), secret);
	}
	await chat.close();
});

test('/readyz tells whether the upstream was ever seen; without it transcripts can still be read', async (t) => {
	const upstream = await startUpstream();
	const { port } = upstream.server.address();
	await upstream.stop();
	const server = await startServer({ upstream: { url: `http://127.0.0.1:${port}/v1` } });
	t.after(() => server.remove());
	const answer = await server.fetch('/readyz');
	assert.equal(answer.status, 200);
	const upstreams = [{ name: 'default', state: 'unknown', models: 0 }];
	assert.deepEqual(await answer.json(), { status: 'degraded', upstream: 'unknown', upstreams });
	await server.stop();
	const seen = await eventually(async () => (await stage.server.fetch('/readyz')).json(), ({ upstream: is }) => is === 'ok');
	assert.equal(seen.status, 'ok');
});

test('without a folder of the page the rest is served all the same', async (t) => {
	const server = await startServer({ upstream: stage.upstream, settings: { server: { www: '' } } });
	t.after(() => server.remove());
	assert.equal((await server.fetch('/')).status, 404);
	assert.equal((await server.fetch('/healthz')).status, 200);
	await server.stop();
});
