// One loop and two: CPU per token on one load, and how many tokens a second go through before they come late. The load
// generator and the upstream run on the same processors; their share is told.
import os from 'node:os';
import { perToken, round } from '../lib/figures.mjs';
import { startSluiced, startUpstream, steady } from '../lib/stage.mjs';

const LATE_MS = 50;

/** More and more streams until the 99th part of the tokens is late, or not all come. */
async function capacity(target, upstream, options, say) {
	const steps = [];
	for (let streams = options.smoke ? 20 : 400; streams <= (options.smoke ? 20 : 4000); streams = Math.ceil(streams * 1.25)) {
		const run = perToken(await steady(target, upstream, { streams, rate: 50, seconds: options.smoke ? 1 : 3, ramp: 500, slow: true }));
		const step = { streams, tokens_per_second: Math.round(run.tokens_per_second), p99_us: run.p99, cpu_us: round(run.cpu), load_us: round(run.load), upstream_us: round(run.upstream) };
		steps.push(step);
		say(`   ${streams} streams: ${step.tokens_per_second} tokens/s, p99 ${(run.p99 / 1000).toFixed(1)} ms, ${run.cpu.toFixed(2)} µs/token of the server, ${run.load.toFixed(2)} load, ${run.upstream.toFixed(2)} upstream`);
		if (run.p99 > LATE_MS * 1000 || run.tokens_per_second < streams * 50 * 0.98) {
			break;
		}
	}
	const good = steps.filter((step) => step.p99_us <= LATE_MS * 1000 && step.tokens_per_second >= step.streams * 50 * 0.98);
	return { steps, tokens_per_second: good.at(-1)?.tokens_per_second ?? 0, most: Math.max(...steps.map((step) => step.tokens_per_second)) };
}

export async function loops(options, say) {
	const upstream = await startUpstream();
	const targets = {};
	const result = { processors: os.cpus().length, same: {}, capacity: {} };
	try {
		for (const number of [1, 2]) {
			targets[number] = await startSluiced(upstream, { loops: number });
		}
		const runs = { 1: [], 2: [] };
		for (let at = 0; at < Math.min(options.rounds, 3); at++) {
			for (const number of [1, 2]) {
				runs[number].push(perToken(await steady(targets[number], upstream, { streams: options.smoke ? 20 : 400, seconds: options.seconds, slow: true })));
			}
		}
		for (const number of [1, 2]) {
			const [run] = runs[number].sort((a, b) => a.cpu - b.cpu).slice((runs[number].length - 1) >> 1);
			result.same[number] = run;
			say(`${number} loop(s), 400 × 50/s: ${run.cpu.toFixed(2)} µs/token, age p50 ${run.p50} p99 ${run.p99} µs`);
		}
		result.efficiency = round(result.same[1].cpu / result.same[2].cpu, 3);
		for (const number of [1, 2]) {
			say(`${number} loop(s), more and more streams:`);
			result.capacity[number] = await capacity(targets[number], upstream, options, say);
		}
		say(`tokens per CPU second, 2 loops to 1: ${result.efficiency}; most tokens/s: ${result.capacity[1].tokens_per_second} and ${result.capacity[2].tokens_per_second}`);
	} finally {
		await Promise.all([...Object.values(targets), upstream].map((one) => one.end()));
	}
	return result;
}
