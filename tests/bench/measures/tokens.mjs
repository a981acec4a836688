// CPU per relayed token, and how much later a token arrives than over the floor: sluiced and today's peers, interleaved.
import { median, perToken, spread } from '../lib/figures.mjs';
import { peerNames, startPeers } from '../lib/peers.mjs';
import { startFloor, startSluiced, startUpstream, steady } from '../lib/stage.mjs';

/** One figure of all rounds, as a ratio to the floor's of the same round, or as a difference. */
const ratios = (rounds, floor, of) => spread(rounds.map((run, at) => of(run) / of(floor[at])));
const differences = (rounds, floor, of) => median(rounds.map((run, at) => of(run) - of(floor[at])));

function summary(rounds, floor) {
	const middle = (of) => median(rounds.map(of));
	return {
		cpu_us: middle((run) => run.cpu),
		loop_us: middle((run) => run.loop),
		others_us: middle((run) => run.others),
		whole_us: middle((run) => run.whole),
		ratio: ratios(rounds, floor, (run) => run.cpu),
		tokens_per_second: middle((run) => run.tokens_per_second),
		p50_us: middle((run) => run.p50),
		p99_us: middle((run) => run.p99),
		p999_us: middle((run) => run.p999),
		added_us: {
			p50: differences(rounds, floor, (run) => run.p50),
			p99: differences(rounds, floor, (run) => run.p99),
			p999: differences(rounds, floor, (run) => run.p999),
		},
		load_us: middle((run) => run.load),
		upstream_us: middle((run) => run.upstream),
		lost: rounds.reduce((sum, run) => sum + run.lost, 0),
		failed: rounds.reduce((sum, run) => sum + run.failed, 0),
	};
}

/** `plan`: streams, rate, burst; `ticks`: the upstream's arguments. */
export async function compare(options, say, { plan, ticks = [], peers: wanted = peerNames(options), rounds = options.rounds }) {
	const upstream = await startUpstream(ticks);
	const floor = await startFloor(upstream);
	const sluice = await startSluiced(upstream, { loops: options.loops });
	const { peers, missing } = await startPeers(upstream, wanted);
	const relays = [floor, { ...sluice, name: 'ws' }, { ...sluice, name: 'sse', mode: 'sse' }, ...peers];
	const runs = Object.fromEntries(relays.map(({ name }) => [name, []]));
	try {
		for (let round = 1; round <= rounds; round++) {
			for (const relay of relays) {
				const slow = peers.includes(relay);
				const run = perToken(await steady(relay, upstream, { ...plan, seconds: options.seconds, slow }));
				runs[relay.name].push(run);
				const ratio = run.cpu / runs.floor.at(-1).cpu;
				say(`round ${round} ${relay.name.padEnd(7)} ${run.cpu.toFixed(2).padStart(7)} µs/token ×${ratio.toFixed(2)}, age p50 ${run.p50} p99 ${run.p99} p99.9 ${run.p999} µs, ${Math.round(run.tokens_per_second)} tokens/s`);
			}
		}
	} finally {
		await Promise.all([...peers, sluice, floor, upstream].map((one) => one.end()));
	}
	return {
		plan,
		seconds: options.seconds,
		rounds,
		relays: Object.fromEntries(Object.entries(runs).map(([name, list]) => [name, summary(list, runs.floor)])),
		versions: Object.fromEntries(peers.map(({ name, version }) => [name, version])),
		missing,
	};
}

const plan = (options, burst) => (options.smoke ? { streams: 20, rate: 50, burst } : { streams: 200, rate: 50, burst });

/** One token per read. */
export const tokens = (options, say) => compare(options, say, { plan: plan(options, 1), peers: peerNames(options, { smoke: ['node'] }) });

/** Four tokens per read, the same number of tokens. */
export const bursts = (options, say) => compare(options, say, { plan: plan(options, 4), rounds: Math.min(options.rounds, 2) });

/** One token per read, but those of all streams fall on whole milliseconds, as a server that works in steps writes them. */
export const ticks = (options, say) => compare(options, say, { plan: plan(options, 1), ticks: ['--tick', '1000'], peers: [], rounds: Math.min(options.rounds, 2) });
