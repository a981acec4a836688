// What sealing and storing cost: the same load with store: true and store: false, interleaved; the main thread's share apart.
import { median, perToken } from '../lib/figures.mjs';
import { startSluiced, startUpstream, steady } from '../lib/stage.mjs';

export async function sealing(options, say) {
	const upstream = await startUpstream();
	const sluice = await startSluiced(upstream, { loops: options.loops });
	const runs = { stored: [], unstored: [] };
	try {
		for (let round = 0; round < Math.min(options.rounds, 3); round++) {
			for (const name of Object.keys(runs)) {
				const run = await steady(sluice, upstream, { streams: options.smoke ? 20 : 200, seconds: options.seconds, unstored: name === 'unstored' });
				runs[name].push(perToken(run));
			}
		}
	} finally {
		await sluice.end();
		await upstream.end();
	}
	const result = {};
	for (const [name, list] of Object.entries(runs)) {
		result[name] = Object.fromEntries(['cpu', 'loop', 'others', 'whole'].map((part) => [part, median(list.map((run) => run[part]))]));
		const { cpu, loop, others, whole } = result[name];
		say(`${name}: ${cpu.toFixed(2)} µs/token (loop ${loop.toFixed(2)}, other threads ${others.toFixed(2)}); with beginning and end of the answers ${whole.toFixed(2)}`);
	}
	return result;
}
