// The bench's own C programs: built from tests/bench, started and ended.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const HERE = fileURLToPath(new URL('..', import.meta.url));
export const ROOT = path.resolve(HERE, '../..');
export const BUILD = path.resolve(process.env.BUILD ?? path.join(ROOT, 'build'));
const OUT = path.join(BUILD, 'bench');

const PROGRAMS = {
	upstream: ['upstream.c'],
	floor: ['floor.c'],
	load: ['load.c', 'client.c', 'sample.c'],
	starts: ['starts.c', 'client.c', 'sample.c'],
	'allocations.so': ['allocations.c'],
	'holds.so': ['holds.c'],
};

export const built = (name) => path.join(OUT, name);

export function buildPrograms() {
	mkdirSync(OUT, { recursive: true });
	const headers = readdirSync(HERE).filter((name) => name.endsWith('.h'));
	const age = (name) => statSync(name).mtimeMs;
	for (const [name, sources] of Object.entries(PROGRAMS)) {
		const inputs = [...sources, ...headers].map((input) => path.join(HERE, input));
		if (existsSync(built(name)) && inputs.every((input) => age(input) < age(built(name)))) {
			continue;
		}
		const shared = name.endsWith('.so') ? ['-shared', '-fPIC'] : [];
		const flags = ['-D_GNU_SOURCE', '-std=c17', '-O2', '-g', '-Wall', '-Wextra', ...shared];
		execFileSync(process.env.CC ?? 'cc', [...flags, '-o', built(name), ...sources.map((source) => path.join(HERE, source))], { stdio: 'inherit' });
	}
}

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) {
	process.once(signal, () => process.exit(1));
}

/** A child process that goes down with this one. `lines`: each line of its standard output. `idle`: it runs when nobody else
 * wants the processors, as if it had its own. */
export function start(command, args, { env = {}, idle } = {}) {
	const [program, ...rest] = idle ? ['chrt', '--idle', '0', command, ...args] : [command, ...args];
	const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
	running.add(child);
	child.complaint = '';
	child.stderr.on('data', (data) => (child.complaint = (child.complaint + data).slice(-4000)));
	child.stdin.on('error', () => {});
	child.lines = createInterface({ input: child.stdout });
	child.over = new Promise((resolve, reject) => {
		child.on('error', reject);
		child.on('close', (code, signal) => {
			running.delete(child);
			resolve({ code, signal });
		});
	});
	child.over.catch(() => {});
	child.end = async (signal = 'SIGTERM') => {
		child.kill(signal);
		await child.over;
	};
	return child;
}

/** Starts a server that prints its port first; `port` is set. */
export async function startListener(command, args, options = {}) {
	const child = start(command, args, options);
	let timer;
	const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`${command} ${args[0]}: no port in time`)), 20_000)));
	const port = new Promise((resolve) => child.lines.on('line', (line) => /^\d+$/.test(line) && resolve(Number(line))));
	const died = child.over.then(() => Promise.reject(new Error(`${command} ${args[0]}: ${child.complaint}`)));
	died.catch(() => {});
	try {
		child.port = await Promise.race([port, died, late]);
	} catch (error) {
		child.kill('SIGKILL');
		throw error;
	} finally {
		clearTimeout(timer);
	}
	return child;
}

/**
 * Runs a program that prints lines of JSON: those with `mark` go to `onMark(name, child)`, which may hold the program up;
 * the last other one is the result. `fails`: what it makes of a bad end, for runs that may fail.
 */
export async function runJson(command, args, { onMark = () => {}, tolerant = false, ...options } = {}) {
	const child = start(command, args, options);
	const marks = [];
	let result;
	child.lines.on('line', (line) => {
		if (!line.startsWith('{')) {
			return;
		}
		const parsed = JSON.parse(line);
		if (parsed.mark) {
			marks.push(Promise.resolve(onMark(parsed.mark, child)));
		} else {
			result = parsed;
		}
	});
	const { code, signal } = await child.over;
	await Promise.all(marks);
	if (!result || (code !== 0 && !tolerant)) {
		const told = result ? JSON.stringify({ ...result, cpu: undefined, whole_cpu: undefined }) : '';
		throw new Error(`${path.basename(command)} ${args.join(' ')}\nended with ${code ?? signal}: ${child.complaint}${told}`);
	}
	return { ...result, complaint: child.complaint };
}

const flags = (options) =>
	Object.entries(options).flatMap(([name, value]) => {
		if (value === undefined || value === false) {
			return [];
		}
		const flag = `--${name}`;
		return value === true ? [flag] : [value].flat().flatMap((one) => [flag, String(one)]);
	});

/** Runs build/bench/load (or starts) with options by name: { mode: 'ws', streams: 200, cut: true }. */
export const load = (options, more) => runJson(built('load'), flags(options), more);
export const starts = (options, more) => runJson(built('starts'), flags(options), more);

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
