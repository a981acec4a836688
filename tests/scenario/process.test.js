// The process: how it starts, refuses to start, drains and ends.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect, refused } from '../lib/chat.js';
import { checkError, checkResponse } from '../lib/check.js';
import { program, startServer, within } from '../lib/server.js';
import { test } from '../lib/test.js';
import { gate, reply, startUpstream } from '../lib/upstream.js';

async function own(t, settings = {}) {
	const upstream = await startUpstream();
	const server = await startServer({ upstream, settings });
	t.after(async () => {
		await server.remove();
		await upstream.stop();
	});
	const key = await server.createKey('ada');
	return { upstream, server, key, chat: () => connect(server, { key }) };
}

/** Runs sluiced to its end: { code, stdout, stderr }. */
const sluiced = (args, env = {}) =>
	new Promise((resolve) => {
		execFile(program('sluiced'), args, { env: { ...process.env, ...env }, timeout: 30_000 }, (error, stdout, stderr) =>
			resolve({ code: error ? error.code : 0, signal: error?.signal ?? null, stdout, stderr }),
		);
	});

async function folder(t) {
	const dir = await mkdtemp(path.join(tmpdir(), 'sluice-test-'));
	t.after(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

test('SIGTERM lets a running response finish, tells every client, and ends with 0', async (t) => {
	const { upstream, server, key, chat } = await own(t);
	const held = gate();
	upstream.on('last words', reply.pauses('last ', held, 'words'));
	const [busy, idle] = [await chat(), await chat()];
	const turn = busy.begin({ input: 'last words' });
	await busy.type('response.output_text.delta');
	const stopped = server.stop();
	await busy.type('sluice:draining', { from: 0 });
	await idle.type('sluice:draining', { from: 0 });
	assert.equal((await within(20_000, idle.closed, 'the idle one is closed')).code, 1012);
	busy.send({ type: 'response.create', input: 'one more' });
	const error = await busy.type('error', { from: 0 });
	checkError(error, { status: 503, code: 'server_draining' });
	await assert.rejects(
		refused(server, { key }).then(({ status }) => {
			assert.equal(status, 503);
			throw new Error('refused with 503');
		}),
	);
	held.open();
	await busy.type('response.completed', { from: 0 });
	assert.equal((await within(20_000, busy.closed, 'the busy one is closed when it is done')).code, 1012);
	assert.deepEqual(await stopped, { code: 0, signal: null });
	assert.equal(upstream.asked('one more').length, 0);
	turn.end.catch(() => {});
	await server.restart();
	const list = await (await server.fetch('/v1/conversations', { key })).json();
	assert.equal(list.data.length, 1);
	await server.stop();
});

test('a response that outlasts the drain is ended as incomplete, told and stored; the exit is still 0', async (t) => {
	const { upstream, server, key, chat } = await own(t, { server: { drain_timeout: '500ms' } });
	upstream.on('never done', reply.stalls('partly'));
	const client = await chat();
	const turn = client.begin({ input: 'never done' });
	const { id } = await turn.created;
	await client.type('response.output_text.delta');
	await server.stop();
	const { response, text } = await turn.end;
	assert.equal(response.status, 'incomplete');
	assert.equal(text, 'partly');
	await upstream.requests[0].hungUp();
	await server.restart();
	const stored = await (await server.fetch(`/v1/responses/${id}`, { key })).json();
	checkResponse(stored);
	assert.deepEqual([stored.status, stored.output[0].content[0].text], ['incomplete', 'partly']);
	await server.stop();
});

test('SIGTERM with nothing to do ends at once; SIGINT does too', async (t) => {
	const { server, chat } = await own(t);
	const idle = await chat();
	const began = performance.now();
	await server.stop();
	assert.ok(performance.now() - began < 8000, 'the drain deadline is not waited out');
	await idle.closed;
	await server.restart();
	server.signal('SIGINT');
	assert.deepEqual(await within(20_000, server.exited, 'SIGINT'), { code: 0, signal: null });
});

test('a second SIGTERM during the drain does not crash it', async (t) => {
	const { upstream, server, chat } = await own(t);
	const held = gate();
	upstream.on('twice', reply.pauses('a', held, 'b'));
	const client = await chat();
	client.begin({ input: 'twice' });
	await client.type('response.output_text.delta');
	server.signal('SIGTERM');
	await client.type('sluice:draining', { from: 0 });
	server.signal('SIGTERM');
	held.open();
	const { code, signal } = await within(30_000, server.exited, 'the end');
	assert.deepEqual([code, signal], [0, null]);
});

test('the start is quick: ready within a second', async (t) => {
	const { server } = await own(t);
	await server.stop();
	const began = performance.now();
	await server.start();
	const took = performance.now() - began;
	assert.ok(took < 1000, `${took} ms`);
	await server.stop();
});

test('--version and --help answer and end with 0', async () => {
	const version = await sluiced(['--version']);
	assert.equal(version.code, 0);
	assert.match(version.stdout, /\d+\.\d+\.\d+/);
	const help = await sluiced(['--help']);
	assert.equal(help.code, 0);
	assert.match(help.stdout, /--check-config/);
	assert.notEqual((await sluiced(['--nonsense'])).code, 0);
});

// The file, and what the complaint must name.
const BAD_FILES = {
	'an unknown key': ['[server]\nlisten = 127.0.0.1:0\nlisen = x\n', [/:3:/, /lisen/, /listen/]],
	'an unknown section': ['[sever]\nlisten = 127.0.0.1:0\n', [/sever/]],
	'a key outside any section': ['listen = 127.0.0.1:0\n', [/:1:/]],
	'a number that is none': ['[limits]\nburst = many\n', [/:2:/, /burst/, /many/]],
	'a number out of bounds': ['[limits]\nburst = 0\n', [/:2:/, /burst/]],
	'a time without a unit': ['[limits]\nheader_timeout = 10\n', [/:2:/, /header_timeout/]],
	'an address that is none': ['[server]\nlisten = here\n', [/:2:/, /listen/]],
	'a port past 65535': ['[server]\nlisten = 127.0.0.1:70000\n', [/:2:/, /listen/]],
	'a URL that is none': ['[upstream]\nurl = ftp://example.org\n', [/:2:/, /url/]],
	'a level that is none': ['[log]\nlevel = loud\n', [/:2:/, /level/, /debug/]],
	'a line that is no setting': ['[server]\nwhat is this\n', [/:2:/]],
};

for (const [name, [text, patterns]] of Object.entries(BAD_FILES)) {
	test(`--check-config, and a start, refuse ${name} and say where and what`, async (t) => {
		const file = path.join(await folder(t), 'sluice.conf');
		await writeFile(file, text);
		for (const args of [['--check-config', '-c', file], ['-c', file]]) {
			const { code, stderr } = await sluiced(args);
			assert.ok(code > 0, `exit ${code} of ${args[0]}`);
			for (const pattern of [/sluice\.conf/, ...patterns]) {
				assert.match(stderr, pattern);
			}
		}
	});
}

test('--check-config names every fault of a file, not only the first', async (t) => {
	const file = path.join(await folder(t), 'sluice.conf');
	await writeFile(file, '[limits]\nburst = x\n[server]\nlisen = y\n[log]\nlevel = z\n');
	const { code, stderr } = await sluiced(['--check-config', '-c', file]);
	assert.ok(code > 0);
	for (const pattern of [/:2:/, /:4:/, /:6:/]) {
		assert.match(stderr, pattern);
	}
});

test('--check-config takes a good file, starts nothing and writes nothing', async (t) => {
	const dir = await folder(t);
	const file = path.join(dir, 'sluice.conf');
	await writeFile(file, `[server]\nlisten = 127.0.0.1:0\n[store]\ndir = ${dir}/data\n[seal]\nkey_file = ${dir}/kek\n`);
	const { code, stderr } = await sluiced(['--check-config', '-c', file]);
	assert.equal(code, 0, stderr);
	await assert.rejects(stat(path.join(dir, 'data')));
	await assert.rejects(stat(path.join(dir, 'kek')));
});

test('a file that is not there, or cannot be read, stops the start', async (t) => {
	const dir = await folder(t);
	const missing = await sluiced(['-c', path.join(dir, 'none.conf')]);
	assert.ok(missing.code > 0);
	assert.match(missing.stderr, /none\.conf/);
	const directory = await sluiced(['-c', dir]);
	assert.ok(directory.code > 0);
});

test('an environment variable wins over the file, and a bad one is named', async (t) => {
	const { server } = await own(t);
	await server.stop();
	server.env.SLUICE_LIMITS_MAX_MESSAGE = '2KiB';
	await server.start();
	const key = await server.createKey('ada');
	const answer = await server.fetch('/v1/responses', { key, body: { input: 'x'.repeat(3000) } });
	assert.equal(answer.status, 413);
	await server.stop();
	const { code, stderr } = await sluiced(['--check-config', '-c', server.file], { SLUICE_LIMITS_BURST: 'many' });
	assert.ok(code > 0);
	assert.match(stderr, /SLUICE_LIMITS_BURST/);
});

test('a second server on the same data refuses to start, and the first goes on', async (t) => {
	const { server, chat } = await own(t);
	const { code, stderr } = await sluiced(['-c', server.file]);
	assert.ok(code > 0, stderr);
	assert.match(stderr, /\S/);
	const client = await chat();
	assert.equal((await client.turn('undisturbed')).text, 'You said: undisturbed');
	await client.close();
	await server.stop();
});

test('an address that is taken stops the start and says which', async (t) => {
	const { server } = await own(t);
	const dir = await folder(t);
	const file = path.join(dir, 'sluice.conf');
	await writeFile(file, `[server]\nlisten = ${server.address}\n[store]\ndir = ${dir}\n[seal]\nkey_file = ${dir}/kek\n`);
	const { code, stderr } = await sluiced(['-c', file]);
	assert.ok(code > 0);
	assert.match(stderr, new RegExp(`${server.port}`));
	await server.stop();
});

test('the key is made on the first start, readable by nobody else', async (t) => {
	const { server } = await own(t);
	const file = path.join(server.dir, 'kek');
	const { mode } = await stat(file);
	assert.equal(mode & 0o777, 0o600);
	const before = await readFile(file);
	await server.restart();
	assert.deepEqual(await readFile(file), before, 'and never again');
	for (const entry of ['sluice.db', 'keys.db']) {
		assert.equal((await stat(path.join(server.data, entry))).mode & 0o077, 0, entry);
	}
	await server.stop();
});

test('with a store but without its key, or with another one, the server refuses to start', async (t) => {
	const { server, chat } = await own(t);
	const client = await chat();
	await client.turn('sealed');
	await client.close();
	await server.stop();
	const file = path.join(server.dir, 'kek');
	const good = await readFile(file);
	await rm(file);
	const missing = await sluiced(['-c', server.file]);
	assert.ok(missing.code > 0, 'without the key');
	await assert.rejects(stat(file), 'no new key is made over old data');
	const other = await own(t);
	await other.server.stop();
	await writeFile(file, await readFile(path.join(other.server.dir, 'kek')), { mode: 0o600 });
	const wrong = await sluiced(['-c', server.file]);
	assert.ok(wrong.code > 0, 'with the wrong key');
	await writeFile(file, good, { mode: 0o600 });
	await chmod(file, 0o644);
	const open = await sluiced(['-c', server.file]);
	assert.ok(open.code > 0, 'with a key that everyone may read');
	await chmod(file, 0o600);
	await server.start();
	await server.stop();
});

test('the log in JSON is one object a line, with time, level and event, and holds no content and no key', async (t) => {
	const { server, key, chat } = await own(t);
	const client = await chat();
	await client.turn('unlogged words');
	await client.close();
	await server.stop();
	assert.ok(server.lines.length > 0);
	for (const line of server.lines) {
		const entry = JSON.parse(line);
		assert.match(entry.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/);
		assert.match(entry.level, /^(error|warn|info|debug)$/);
		assert.equal(typeof entry.event, 'string');
	}
	const log = server.lines.join('\n');
	assert.ok(!log.includes('unlogged') && !log.includes(key));
	assert.deepEqual(server.log.filter(({ level }) => level === 'error'), []);
});

test('systemd is told when the server is ready and when it stops', async (t) => {
	const { server } = await own(t);
	await server.stop();
	const dir = await folder(t);
	const socket = path.join(dir, 'notify');
	// systemd listens on a datagram socket, which Node does not have; Debian's base has a Perl that does.
	const script = `use Socket; $| = 1; socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die;
bind($s, pack_sockaddr_un($ARGV[0])) or die; print "bound\n";
while (defined recv($s, my $text, 4096, 0)) { $text =~ tr/\n/ /; print "$text\n"; }`;
	const listener = spawn('perl', ['-e', script, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
	t.after(() => listener.kill());
	let told = '';
	listener.stdout.on('data', (bytes) => (told += bytes));
	await within(20_000, once(listener.stdout, 'data'), 'the listener');
	const heard = async (pattern) => {
		while (!pattern.test(told)) {
			await within(20_000, once(listener.stdout, 'data'), () => `${pattern} in ${told}`);
		}
	};
	server.env.NOTIFY_SOCKET = socket;
	await server.start();
	await heard(/READY=1/);
	await server.stop();
	await heard(/STOPPING=1/);
});
