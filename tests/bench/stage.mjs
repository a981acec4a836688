// What benchmarks of the store stand on: the programs, built; an upstream that answers at once; a server with a user.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BUILD, startServer } from '../lib/server.js';

export const run = promisify(execFile);
export const here = path.dirname(fileURLToPath(import.meta.url));
export const programs = path.join(BUILD, 'bench');
export const option = (name, value) => {
	const at = process.argv.indexOf(`--${name}`);
	return at < 0 ? value : Number(process.argv[at + 1]);
};

/** One of the C programs here that stand alone. */
export async function compile(name) {
	mkdirSync(programs, { recursive: true });
	await run('cc', ['-D_GNU_SOURCE', '-std=c17', '-O2', '-Wall', '-o', path.join(programs, name), path.join(here, `${name}.c`)]);
	return path.join(programs, name);
}

/** A model that says `tokens` tokens in one write, and that was all. */
export async function startModel(tokens) {
	const child = spawn(await compile('upstream'), ['100000', String(tokens), String(tokens)], { stdio: ['ignore', 'pipe', 'inherit'] });
	process.on('exit', () => child.kill());
	const [port] = await once(createInterface({ input: child.stdout }), 'line');
	return { url: `http://127.0.0.1:${port}/v1`, stop: () => child.kill() };
}

/** A server that limits nobody, and the key of a user called bench. */
export async function startBench(model, more = {}) {
	const settings = {
		upstream: { url: model.url, model: 'bench' },
		limits: { connections_per_address: 10_000, ...more },
		log: { level: 'info', format: 'json' },
	};
	const server = await startServer({ upstream: model, settings });
	return { server, key: await server.createKey('bench') };
}

/** CPU time of a process so far, in microseconds: all threads, to the nanosecond that the scheduler keeps. */
export async function cpuOf(pid) {
	const { stdout } = await run('sh', ['-c', `cat /proc/${pid}/task/*/schedstat`]);
	return stdout.trim().split('\n').reduce((sum, line) => sum + Number(line.split(' ')[0]) / 1000, 0);
}
