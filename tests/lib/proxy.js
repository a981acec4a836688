// nginx and Caddy in front of a server, with the configurations of docs/deployment.md.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { watch } from './observe.js';
import { within } from './server.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const READY_MS = 20_000;
const PORT_ATTEMPTS = 5;

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** The system's, or the one that tools/install-dependencies has unpacked. */
function find(name) {
	const unpacked = path.join(ROOT, 'tests/.proxies/usr');
	const folders = [...process.env.PATH.split(':'), '/usr/sbin', path.join(unpacked, 'sbin'), path.join(unpacked, 'bin')];
	const found = folders.map((folder) => path.join(folder, name)).find((file) => {
		try {
			accessSync(file, constants.X_OK);
			return true;
		} catch {
			return false;
		}
	});
	assert.ok(found, `${name} is missing: tools/install-dependencies test`);
	return found;
}

/** The block of this language in docs/deployment.md. */
async function documented(language) {
	const text = await readFile(path.join(ROOT, 'docs/deployment.md'), 'utf8');
	const [, block] = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's').exec(text);
	return block;
}

/** The text with each change made, all of which must fit. */
function changed(text, changes) {
	return changes.reduce((so_far, [from, to]) => {
		assert.match(so_far, from);
		return so_far.replace(from, to);
	}, text);
}

async function freePort() {
	const probe = net.createServer().listen(0, '127.0.0.1');
	await once(probe, 'listening');
	const { port } = probe.address();
	probe.close();
	await once(probe, 'close');
	return port;
}

const KINDS = {
	async nginx(dir, port, { server, changes }) {
		const site = changed(await documented('nginx'), [
			[/listen 443 ssl;/, `listen 127.0.0.1:${port};`],
			[/^\s*ssl_certificate .*\n/m, ''],
			[/^\s*ssl_certificate_key .*\n/m, ''],
			[/127\.0\.0\.1:8080/, server.address],
			...changes,
		]);
		// Where Debian's build keeps its files belongs to the system's own nginx.
		const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};\n`);
		const config = `daemon off;\nmaster_process off;\npid ${dir}/pid;\nlock_file ${dir}/lock;\nevents {}\n
			http {\naccess_log off;\n${temporary.join('')}${site}\n}\n`;
		await writeFile(path.join(dir, 'nginx.conf'), config);
		return ['-p', dir, '-e', 'stderr', '-c', path.join(dir, 'nginx.conf')];
	},
	async caddy(dir, port, { server, changes }) {
		const site = changed(await documented('caddyfile'), [
			[/^chat\.example/, `http://127.0.0.1:${port}`],
			[/127\.0\.0\.1:8080/, server.address],
			...changes,
		]);
		await writeFile(path.join(dir, 'Caddyfile'), `{\n\tadmin off\n}\n${site}`);
		return ['run', '--adapter', 'caddyfile', '--config', path.join(dir, 'Caddyfile')];
	},
};
export const PROXIES = Object.keys(KINDS);

class Proxy {
	constructor(kind, dir, server, changes) {
		Object.assign(this, { kind, dir, server, changes });
		this.lines = '';
	}

	async start() {
		for (let attempt = 1; ; attempt++) {
			this.port ??= await freePort();
			if (await this.#try()) {
				break;
			}
			assert.ok(attempt < PORT_ATTEMPTS, `${this.kind} does not start\n${this.lines}`);
			this.port = undefined;
		}
		// What connect() and the SDK need of a server.
		this.host = '127.0.0.1';
		this.address = `127.0.0.1:${this.port}`;
		this.url = `http://${this.address}`;
		this.wsUrl = `ws://${this.address}/v1/responses`;
		watch(this.address, { proxied: true });
		return this;
	}

	/** Whether it answers; false when it has ended, as it does when somebody else has taken the port. */
	async #try() {
		const args = await KINDS[this.kind](this.dir, this.port, this);
		const env = { ...process.env, HOME: this.dir, XDG_DATA_HOME: this.dir, XDG_CONFIG_HOME: this.dir };
		const child = spawn(find(this.kind), args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
		this.child = child;
		running.add(child);
		child.stderr.on('data', (bytes) => (this.lines += bytes));
		this.exited = once(child, 'close').then(() => {
			child.over = true;
			running.delete(child);
		});
		const answers = async () => {
			while (!child.over) {
				const answer = await fetch(`http://127.0.0.1:${this.port}/healthz`).catch(() => null);
				if (answer?.ok) {
					return !child.over;
				}
			}
			return false;
		};
		return within(READY_MS, answers(), () => `${this.kind} is not ready\n${this.lines}`);
	}

	/** SIGKILL: its connections break in the middle. start() brings it back on the same port. */
	async kill() {
		this.child.kill('SIGKILL');
		await this.exited;
	}

	async remove() {
		await this.kill();
		await rm(this.dir, { recursive: true, force: true });
	}
}

/** A running proxy of this kind before the server; `changes`: [pattern, replacement] of its documented configuration. */
export async function startProxy(kind, server, changes = []) {
	const dir = await mkdtemp(path.join(tmpdir(), `sluice-${kind}-`));
	const proxy = new Proxy(kind, dir, server, changes);
	try {
		return await proxy.start();
	} catch (error) {
		await proxy.remove();
		throw error;
	}
}
