// Starts the real server in a folder of its own and says when it is ready; no fixed ports, no sleeps.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { unwatch, watch } from './observe.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const BUILD = path.resolve(process.env.BUILD ?? path.join(ROOT, 'build'));
export const program = (name) => path.join(BUILD, name);

const READY_MS = 30_000;
const STOP_MS = 45_000;

/** { section: { key: value } } as an INI text. */
const ini = (settings) =>
	Object.entries(settings)
		.map(([section, keys]) => {
			const lines = Object.entries(keys).map(([key, value]) => `${key} = ${value}\n`);
			return `[${section}]\n${lines.join('')}`;
		})
		.join('\n');

const merge = (base, more) => {
	const merged = structuredClone(base);
	for (const [section, keys] of Object.entries(more)) {
		merged[section] = { ...merged[section], ...keys };
	}
	return merged;
};

/** Rejects when `promise` takes longer than a generous deadline. */
export function within(ms, promise, what) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(typeof what === 'function' ? what() : `${what}: not within ${ms} ms`)), ms);
	});
	return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Every regular file below `dir`, with its bytes. */
export async function filesBelow(dir) {
	const files = [];
	for (const entry of await readdir(dir, { withFileTypes: true })) {
		const name = path.join(dir, entry.name);
		if (entry.isDirectory()) {
			files.push(...(await filesBelow(name)));
		} else if (entry.isFile()) {
			files.push({ name, bytes: await readFile(name) });
		}
	}
	return files;
}

// A test process that goes down takes its servers with it.
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
process.once('SIGTERM', () => process.exit(143));

class Server {
	constructor(dir, { settings = {}, env = {}, wrapper = [], sockets }) {
		this.dir = dir;
		this.data = path.join(dir, 'data');
		this.file = path.join(dir, 'sluice.conf');
		this.settings = settings;
		this.wrapper = sockets ? sockets.wrapper : wrapper;
		this.descriptors = sockets ? sockets.descriptors : [];
		this.env = { ...process.env, ...env };
		this.lines = []; // every line on standard error, as text
		this.log = []; // those that are JSON, parsed
		this.watchers = new Set();
	}

	async start() {
		await writeFile(this.file, ini(this.settings), { mode: 0o600 });
		const from = this.log.length;
		const [command, ...args] = [...this.wrapper, program('sluiced'), '-c', this.file];
		this.child = spawn(command, args, { env: this.env, stdio: ['ignore', 'inherit', 'pipe', ...this.descriptors] });
		const child = this.child;
		running.add(child);
		// 'close' and not 'exit': by then the last line of the log has been read too.
		this.exited = once(child, 'close').then(([code, signal]) => ({ code, signal }));
		this.exited.then(() => {
			child.over = true;
			running.delete(child);
			unwatch(this.address);
		});
		createInterface({ input: child.stderr }).on('line', (line) => this.#line(line));
		const failed = once(child, 'error').then(([error]) => Promise.reject(error));
		failed.catch(() => {});
		const died = this.exited.then((how) => Promise.reject(new Error(this.#story(`ended: ${JSON.stringify(how)}`))));
		died.catch(() => {});
		const ready = Promise.race([this.logged((line) => line.event === 'listening', { from }), failed, died]);
		try {
			const { address } = await within(READY_MS, ready, () => this.#story('not ready in time'));
			this.address = address;
			this.host = address.replace(/:\d+$/, '');
			this.port = Number(address.split(':').at(-1));
			this.url = `http://${address}`;
			this.wsUrl = `ws://${address}/v1/responses`;
			watch(address);
		} catch (error) {
			child.kill('SIGKILL');
			throw error;
		}
		return this;
	}

	#story(what) {
		return `sluiced ${what}\n${this.lines.slice(-30).join('\n')}`;
	}

	#line(line) {
		this.lines.push(line);
		let parsed;
		try {
			parsed = JSON.parse(line);
		} catch {
			return;
		}
		this.log.push(parsed);
		for (const watcher of [...this.watchers]) {
			watcher(parsed);
		}
	}

	/** Resolves with the first log line, past or to come, that fits. */
	logged(fits, { from = 0 } = {}) {
		const found = this.log.slice(from).find(fits);
		if (found) {
			return Promise.resolve(found);
		}
		return new Promise((resolve) => {
			const watcher = (line) => {
				if (fits(line)) {
					this.watchers.delete(watcher);
					resolve(line);
				}
			};
			this.watchers.add(watcher);
		});
	}

	/** SIGTERM, then what came of it. A server that does not end with 0, or that a sanitizer stopped, is an error. */
	async stop({ clean = true } = {}) {
		if (!this.child.over) {
			this.child.kill('SIGTERM');
		}
		let how;
		try {
			how = await within(STOP_MS, this.exited, () => this.#story('does not stop'));
		} catch (error) {
			this.child.kill('SIGKILL');
			throw error;
		}
		const complaint = this.lines.find((line) => /AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:/.test(line));
		assert.equal(complaint, undefined, this.#story('was stopped by a sanitizer'));
		if (clean) {
			assert.deepEqual(how, { code: 0, signal: null }, this.#story('did not end cleanly'));
		}
		return how;
	}

	/** SIGKILL: nothing is said goodbye to. */
	async kill() {
		this.child.kill('SIGKILL');
		return this.exited;
	}

	signal(name) {
		this.child.kill(name);
	}

	/** Stops (unless it has ended) and starts again on the same folder. */
	async restart(settings = {}) {
		if (!this.child.over) {
			await this.stop();
		}
		this.settings = merge(this.settings, settings);
		return this.start();
	}

	/** Runs sluicectl; gives what it wrote on standard output. */
	async ctl(...args) {
		const { stdout } = await run(program('sluicectl'), ['-c', this.file, ...args], { env: this.env, timeout: READY_MS });
		return stdout;
	}

	async createKey(user) {
		const out = await this.ctl('key', 'create', '--user', user);
		assert.match(out, /^\S+\n$/, 'key create prints the key and nothing else');
		return out.trim();
	}

	/** The address that signs a browser in. */
	async signin(user) {
		return (await this.ctl('signin', '--user', user)).trim();
	}

	/** HTTP with a key; `body` is sent as JSON unless it is a text or bytes. */
	fetch(target, { key, body, headers = {}, ...options } = {}) {
		const json = body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array);
		return fetch(this.url + target, {
			method: body === undefined ? 'GET' : 'POST',
			...options,
			body: json ? JSON.stringify(body) : body,
			headers: {
				...(key ? { authorization: `Bearer ${key}` } : {}),
				...(body === undefined ? {} : { 'content-type': 'application/json' }),
				...headers,
			},
		});
	}

	/** Every file that the server may have written, its log included. */
	async everyByte() {
		return [...(await filesBelow(this.dir)), { name: 'log', bytes: Buffer.from(this.lines.join('\n')) }];
	}

	/** The names of the files that hold `text`, as UTF-8 or UTF-16, plain, hex or base64. */
	async find(text) {
		const plain = Buffer.from(text);
		const needles = [
			plain,
			Buffer.from(text, 'utf16le'),
			Buffer.from(plain.toString('hex')),
			// Whatever stands before it, one of three alignments of base64 shows the middle of it.
			...[0, 1, 2].map((skip) => Buffer.from(plain.subarray(skip).toString('base64').slice(0, -4))),
		];
		const files = await this.everyByte();
		return files.filter(({ bytes }) => needles.some((needle) => bytes.includes(needle))).map(({ name }) => name);
	}

	/** Ends the server however it is and removes its folder. */
	async remove() {
		if (this.child && !this.child.over) {
			await this.kill();
		}
		await rm(this.dir, { recursive: true, force: true });
	}
}

/**
 * A running server. `upstream`: an object with a `url`; `settings`: { section: { key: value } } over the defaults
 * below; `env`: more environment variables; `wrapper`: a command to start it through; `sockets`: listening ones to hand down;
 * `prepare`: called with its data folder, empty, before the first start. The limits are far away unless a test draws them near.
 */
export async function startServer({ upstream, settings = {}, prepare = async () => {}, ...options } = {}) {
	const dir = await mkdtemp(path.join(tmpdir(), 'sluice-test-'));
	const server = new Server(dir, options);
	await mkdir(server.data, { mode: 0o700 });
	server.settings = merge(
		{
			server: { listen: '127.0.0.1:0', www: path.join(ROOT, 'www') },
			store: { dir: server.data },
			seal: { key_file: path.join(dir, 'kek') },
			upstream: { url: upstream?.url ?? 'http://127.0.0.1:1/v1', model: 'fake' },
			limits: {
				requests_per_minute: 1000000,
				burst: 100000,
				bytes_per_second: '512MiB',
				bytes_burst: '512MiB',
				connections_per_address: 10000,
			},
			log: { format: 'json', level: 'debug' },
		},
		settings,
	);
	try {
		await prepare(server.data);
		return await server.start();
	} catch (error) {
		await server.remove();
		throw error;
	}
}
