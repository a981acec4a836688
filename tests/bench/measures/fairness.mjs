// What one greedy connection does to the others: the 99th part of the age of their tokens, with it over without, for each kind
// of greed. Without and with it alternate on one server; every limit is the default one, and in a second table, --open, far away.
import { median, round } from '../lib/figures.mjs';
import { HERE, load, start } from '../lib/programs.mjs';
import { aim, startSluiced, startUpstream } from '../lib/stage.mjs';

const KINDS = ['lanes', 'turns', 'messages', 'pipelining', 'pings', 'unread', 'slowly', 'history', 'items', 'sse', 'models'];

const DEFAULTS = {
	requests_per_minute: 100,
	burst: 20,
	bytes_per_second: '256KiB',
	bytes_burst: '4MiB',
	connections_per_address: 32,
	max_unwatched: 16,
};

const RATE = 20;

/** Ordinary people: most listen to a long answer, some ask one short turn after the other. */
function ordinary(target, options, hooks) {
	const shape = options.smoke ? { streams: 10, askers: 3 } : { streams: 100, askers: 30 };
	const tokens = RATE * (options.seconds + 2);
	return load(
		{
			...aim(target),
			...shape,
			input: `bench rate=${RATE} tokens=${tokens}`,
			tokens,
			'asker-input': 'bench rate=20 tokens=20 now=1',
			'asker-tokens': 20,
			seconds: options.seconds,
			sources: 8,
			ramp: 300,
			deadline: 20,
		},
		hooks,
	);
}

const told = (run) => ({ p50_us: run.age.p50, p99_us: run.age.p99, p999_us: run.age.p999, first_p50_us: run.turn_first.p50, first_p99_us: run.turn_first.p99, lost: run.lost, cpu_us: run.cpu.server.us });

async function pair(kind, options, greedyUpstream, upstream) {
	const sluice = await startSluiced(upstream, {
		loops: options.loops,
		settings: { limits: options.open ? { connections_per_address: 20000 } : DEFAULTS, 'upstream greedy': { url: greedyUpstream.url, models: 'greedy' } },
	});
	try {
		const key = await sluice.server.createKey('greedy');
		const without = told(await ordinary(sluice, options));
		let greedy;
		let greed;
		const withIt = told(
			await ordinary(sluice, options, {
				onMark: async (mark) => {
					if (mark === 'connected') {
						greedy = start(process.execPath, [`${HERE}/greedy.mjs`, kind, String(sluice.port), key], { nice: 19 });
						greedy.lines.on('line', (line) => (greed = JSON.parse(line)));
					} else if (mark === 'measured') {
						await greedy.end();
					}
				},
			}),
		);
		return { without, with: withIt, greed };
	} finally {
		await sluice.end();
	}
}

export async function fairness(options, say) {
	const kinds = options.greed ?? (options.smoke ? ['items'] : KINDS);
	const unknown = kinds.find((kind) => !KINDS.includes(kind));
	if (unknown) {
		throw new Error(`no such greed: ${unknown}; there are ${KINDS.join(', ')}`);
	}
	const upstream = await startUpstream();
	// Niced like the greedy one: on a real machine neither takes the server's processors.
	const greedyUpstream = await startUpstream([], { nice: 19 });
	const pairs = Object.fromEntries(kinds.map((kind) => [kind, []]));
	try {
		for (let at = 0; at < Math.min(options.rounds, 3); at++) {
			for (const kind of kinds) {
				pairs[kind].push(await pair(kind, options, greedyUpstream, upstream));
				const { without, with: withIt, greed } = pairs[kind].at(-1);
				say(`${kind.padEnd(10)} p99 ${without.p99_us} → ${withIt.p99_us} µs ×${(withIt.p99_us / without.p99_us).toFixed(2)}; first token p50 ${without.first_p50_us} → ${withIt.first_p50_us}, p99 ${without.first_p99_us} → ${withIt.first_p99_us} µs; server CPU ${(without.cpu_us / 1e6).toFixed(2)} → ${(withIt.cpu_us / 1e6).toFixed(2)} s; ${greed ? `${greed.sent} requests, ${greed.refused} refused, ${(greed.received_bytes / 1e6).toFixed(1)} MB read` : ''}`);
			}
		}
	} finally {
		await Promise.all([upstream, greedyUpstream].map((one) => one.end()));
	}
	const result = { limits: options.open ? 'far away' : 'the defaults', kinds: {} };
	for (const [kind, list] of Object.entries(pairs)) {
		const of = (side, name) => median(list.map((one) => one[side][name]));
		result.kinds[kind] = {
			ratio: round(median(list.map((one) => one.with.p99_us / one.without.p99_us))),
			without_p99_us: of('without', 'p99_us'),
			with_p99_us: of('with', 'p99_us'),
			first_ratio: round(median(list.map((one) => one.with.first_p99_us / one.without.first_p99_us))),
			without_first_p99_us: of('without', 'first_p99_us'),
			with_first_p99_us: of('with', 'first_p99_us'),
			lost: list.reduce((sum, one) => sum + one.with.lost + one.without.lost, 0),
		};
	}
	const [worst] = Object.entries(result.kinds).sort(([, a], [, b]) => b.ratio - a.ratio);
	result.worst = worst[0];
	say(`what hurts most: ${worst[0]}, ×${worst[1].ratio}`);
	return result;
}
