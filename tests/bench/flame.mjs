#!/usr/bin/env node
// A flame graph of sluiced under the load: perf samples its call chains, this folds and draws them.
//   tests/bench/flame.mjs [OUT.svg] [--seconds 5] [--streams 200] [--rate 50] [--mode ws|sse]
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { flameGraph, fold } from './lib/flame.mjs';
import { BUILD, buildPrograms } from './lib/programs.mjs';
import { startSluiced, startUpstream, steady } from './lib/stage.mjs';

const option = (name, value) => {
	const at = process.argv.indexOf(`--${name}`);
	return at < 0 ? value : process.argv[at + 1];
};
const out = process.argv[2]?.endsWith('.svg') ? process.argv[2] : path.join(BUILD, 'bench', 'flame.svg');
const plan = { streams: Number(option('streams', 200)), rate: Number(option('rate', 50)), seconds: Number(option('seconds', 5)) };

buildPrograms();
const folder = mkdtempSync(path.join(os.tmpdir(), 'sluice-flame-'));
const data = path.join(folder, 'perf.data');
const upstream = await startUpstream();
const sluice = await startSluiced(upstream);
try {
	let recording;
	await steady({ ...sluice, mode: option('mode', 'ws') }, upstream, plan, {
		onMark: async (mark) => {
			if (mark === 'measure') {
				// Debian's libraries have no frame pointers: the stack is copied and unwound afterwards.
				recording = spawn('perf', ['record', '-q', '-e', 'cpu-clock', '-F', '1499', '--call-graph', 'dwarf,16384', '-o', data, '-p', String(sluice.pid)], { stdio: ['ignore', 'ignore', 'inherit'] });
				recording.over = new Promise((resolve) => recording.on('close', resolve));
			} else if (mark === 'measured') {
				recording.kill('SIGINT');
				await recording.over;
			}
		},
	});
	const script = execFileSync('perf', ['script', '--no-inline', '-F', 'comm,tid,ip,sym', '-i', data], { maxBuffer: 2 ** 30, stdio: ['ignore', 'pipe', 'ignore'] }).toString();
	const root = fold(script, sluice.pid);
	const title = `sluiced, ${plan.streams} streams × ${plan.rate} tokens/s over ${option('mode', 'ws')}: where its time goes`;
	const svg = flameGraph(root, title);
	writeFileSync(out, svg);
	console.log(`${root.value} samples, ${(svg.length / 1024).toFixed(0)} KiB: ${out}`);
} finally {
	await sluice.end();
	await upstream.end();
	rmSync(folder, { recursive: true, force: true });
}
process.exit();
