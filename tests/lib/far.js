// Clients on the far end of a cable that can be cut: no packet gets through any more, and neither end is told. A cable is a
// pair of virtual network interfaces between the test's own network namespace and one for the client.
import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { within } from './server.js';

const run = promisify(execFile);
const PATIENCE_MS = 30_000;
const MARK = 'SLUICE_TEST_NAMESPACE';
const ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

const namespace = ['unshare', ...(process.getuid() === 0 ? [] : ['--user', '--map-root-user']), '--net'];

/** Whether this process runs in a network namespace of its own. */
export const isApart = process.env[MARK] !== undefined;

/** Why there can be no such namespace; null if there can. */
export function whyNotApart() {
	const [command, ...args] = [...namespace, 'sh', '-c', 'ip link set lo up && ip link add near0 type veth peer name far0'];
	const { status, stderr, error } = spawnSync(command, args, { env: ENV, encoding: 'utf8' });
	return status === 0 ? null : `no network namespaces here: ${(error?.message ?? stderr).trim()}`;
}

/** Runs a test file again, in a network namespace of its own; rejects with what it said when it fails. */
export async function runApart(url) {
	const env = { ...ENV, [MARK]: '1' };
	delete env.NODE_TEST_CONTEXT;
	const script = ['sh', '-c', 'ip link set lo up && exec "$@"', 'sh', process.execPath, fileURLToPath(url)];
	const [command, ...args] = [...namespace, ...script];
	const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
	const kill = () => child.kill('SIGTERM');
	process.once('exit', kill);
	let said = '';
	child.stdout.on('data', (bytes) => (said += bytes));
	child.stderr.on('data', (bytes) => (said += bytes));
	const [code] = await once(child, 'close');
	process.removeListener('exit', kill);
	assert.equal(code, 0, said);
	assert.match(said, /^\D*pass [1-9]/m, said);
}

let cables = 0;

class Far {
	constructor(child) {
		this.child = child;
		this.events = [];
		this.lines = [];
		this.watchers = new Set();
		createInterface({ input: child.stdout }).on('line', (text) => {
			const line = JSON.parse(text);
			this.lines.push(line);
			if (line.event) {
				this.events.push(line.event);
			}
			[...this.watchers].forEach((watcher) => watcher());
		});
	}

	tell(line) {
		this.child.stdin.write(`${JSON.stringify(line)}\n`);
	}

	/** Resolves with what `ask` gives, asked after each line, as soon as that is something. */
	until(ask) {
		const found = new Promise((resolve) => {
			const watcher = () => {
				const answer = ask();
				if (answer) {
					this.watchers.delete(watcher);
					resolve(answer);
				}
			};
			this.watchers.add(watcher);
			watcher();
		});
		return within(PATIENCE_MS, found, () => `the far end said ${JSON.stringify(this.lines.slice(-5))}`);
	}

	/** Resolves when it has said a line that fits. */
	said(fits) {
		return this.until(() => this.lines.find(fits));
	}

	type(type) {
		return this.said(({ event }) => event?.type === type).then(({ event }) => event);
	}

	/** Cuts the cable, at the far end: here the interface stays, and what is sent is lost. */
	cut() {
		return this.inside('ip', 'link', 'set', this.there, 'down');
	}

	inside(...command) {
		return run('nsenter', ['--target', String(this.child.pid), '--net', ...command], { env: ENV });
	}

	async remove() {
		this.child.kill('SIGKILL');
		await this.exited;
	}
}

/** A client at the far end of a cable of its own, where the test is `far.near`. */
export async function layCable() {
	const number = ++cables;
	const [near, there] = [`near${number}`, `far${number}`];
	const script = fileURLToPath(new URL('far-chat.js', import.meta.url));
	const child = spawn('unshare', ['--net', process.execPath, script], { env: ENV, stdio: ['pipe', 'pipe', 'inherit'] });
	const kill = () => child.kill('SIGKILL');
	process.once('exit', kill);
	const far = new Far(child);
	far.there = there;
	far.exited = once(child, 'close').then(() => process.removeListener('exit', kill));
	try {
		// Once it speaks it is in its namespace.
		await far.said(({ ready }) => ready);
		await run('ip', ['link', 'add', near, 'type', 'veth', 'peer', 'name', there, 'netns', String(child.pid)], { env: ENV });
		await run('ip', ['addr', 'add', `10.77.${number}.1/24`, 'dev', near], { env: ENV });
		await run('ip', ['link', 'set', near, 'up'], { env: ENV });
		await far.inside('ip', 'addr', 'add', `10.77.${number}.2/24`, 'dev', there);
		await far.inside('ip', 'link', 'set', there, 'up');
		far.near = `10.77.${number}.1`;
	} catch (error) {
		await far.remove();
		throw error;
	}
	return far;
}

/** One with an open WebSocket. The server must listen on every address. */
export async function connectFar(server, key) {
	const far = await layCable();
	far.tell({ connect: { url: `ws://${far.near}:${server.port}/v1/responses`, key } });
	await far.said(({ opened }) => opened);
	return far;
}
