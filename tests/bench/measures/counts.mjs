// Syscalls and allocations per token, each in a run of its own: counting slows what is counted.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { round } from '../lib/figures.mjs';
import { built } from '../lib/programs.mjs';
import { startFloor, startSluiced, startUpstream, steady } from '../lib/stage.mjs';

const CALLS = ['epoll_wait', 'epoll_pwait', 'epoll_ctl', 'recvfrom', 'recvmsg', 'read', 'readv', 'sendto', 'sendmsg', 'write', 'writev', 'pwrite64', 'pread64', 'poll', 'ioctl', 'futex', 'fdatasync', 'getsockopt', 'setsockopt', 'clock_gettime', 'timerfd_settime', 'madvise', 'munmap', 'mmap', 'brk', 'getpid', 'io_uring_enter'];

const plan = (options) => ({ streams: options.smoke ? 20 : 200, rate: 50, seconds: options.seconds });

/** Starts a tracer of `pid`; `end` gives what it wrote. */
function trace(command, args) {
	const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
	let text = '';
	child.stderr.on('data', (data) => (text += data));
	const over = new Promise((resolve) => {
		child.on('error', (error) => resolve(`${error}`));
		child.on('close', () => resolve(text));
	});
	return {
		end: () => {
			child.kill('SIGINT');
			return over;
		},
	};
}

/** perf counts in the kernel; strace, where perf may not, stops the process at each call. */
const TRACERS = [
	{
		name: 'perf stat',
		start: (pid) => trace('perf', ['stat', '-x', ',', '-e', ['raw_syscalls:sys_enter', ...CALLS.map((call) => `syscalls:sys_enter_${call}`)].join(','), '-p', String(pid)]),
		read: (text) => {
			const counts = {};
			for (const line of text.split('\n')) {
				const [count, , event] = line.split(',');
				if (Number(count) > 0) {
					counts[event === 'raw_syscalls:sys_enter' ? 'all' : event.replace('syscalls:sys_enter_', '')] = Number(count);
				}
			}
			return counts.all ? counts : undefined;
		},
	},
	{
		name: 'strace',
		start: (pid) => trace('strace', ['-c', '-f', '-p', String(pid)]),
		read: (text) => {
			const rows = [...text.matchAll(/^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$/gm)];
			const counts = Object.fromEntries(rows.filter(([, , name]) => name !== 'total').map(([, count, name]) => [name, Number(count)]));
			const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
			return all ? { all, ...counts } : undefined;
		},
	},
];

async function count(target, upstream, options, tracer) {
	let counts;
	let running;
	const run = await steady(target, upstream, { ...plan(options), slow: true }, {
		onMark: async (mark) => {
			if (mark === 'measure') {
				running = tracer.start(target.pid);
			} else if (mark === 'measured') {
				counts = tracer.read(await running.end());
			}
		},
	});
	return counts && Object.fromEntries(Object.entries(counts).map(([name, number]) => [name, round(number / run.measured, 3)]).filter(([, number]) => number > 0.005));
}

export async function syscalls(options, say) {
	const upstream = await startUpstream();
	const floor = await startFloor(upstream);
	const sluice = await startSluiced(upstream, { loops: options.loops });
	const results = { relays: {} };
	try {
		const ws = { ...sluice, name: 'ws' };
		for (const relay of options.smoke ? [ws] : [floor, ws, { ...ws, name: 'sse', mode: 'sse' }]) {
			for (const tracer of TRACERS) {
				results.relays[relay.name] = await count(relay, upstream, options, tracer);
				results.tracer = tracer.name;
				if (results.relays[relay.name]) {
					break;
				}
			}
			const found = results.relays[relay.name];
			if (!found) {
				throw new Error('neither perf nor strace may count the calls of a process here');
			}
			say(`${relay.name}: ${Object.entries(found).map(([name, number]) => `${name} ${number}`).join(', ')} per token`);
		}
	} finally {
		await Promise.all([sluice, floor, upstream].map((one) => one.end()));
	}
	return results;
}

const NAMES = ['allocations', 'reallocations', 'frees', 'bytes'];

export async function allocations(options, say) {
	const folder = mkdtempSync(path.join(os.tmpdir(), 'sluice-bench-'));
	const file = path.join(folder, 'counts');
	const upstream = await startUpstream();
	const sluice = await startSluiced(upstream, { loops: options.loops, env: { LD_PRELOAD: built('allocations.so'), BENCH_ALLOCATIONS: file } });
	const read = () => {
		const bytes = readFileSync(file);
		return NAMES.map((_, at) => Number(bytes.readBigUInt64LE(at * 8)));
	};
	const results = { relays: {} };
	try {
		for (const mode of ['ws', 'sse']) {
			let before;
			let after;
			const run = await steady({ ...sluice, mode }, upstream, { ...plan(options), slow: true }, {
				onMark: (mark) => {
					before = mark === 'measure' ? read() : before;
					after = mark === 'measured' ? read() : after;
				},
			});
			results.relays[mode] = Object.fromEntries(NAMES.map((name, at) => [name, round((after[at] - before[at]) / run.measured, 3)]));
			say(`${mode}: ${NAMES.map((name) => `${name} ${results.relays[mode][name]}`).join(', ')} per token`);
		}
	} finally {
		await sluice.end();
		await upstream.end();
		rmSync(folder, { recursive: true, force: true });
	}
	return results;
}
