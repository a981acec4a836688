// What a connect and a stream start cost when 100, 1,000 and 9,000 are there already, and the time to the first token.
import { median } from '../lib/figures.mjs';
import { peerNames, startPeers } from '../lib/peers.mjs';
import { starts as run } from '../lib/programs.mjs';
import { startFloor, startSluiced, startUpstream, steady } from '../lib/stage.mjs';

// An answer whose reader left is stopped at once, so that probes that are over leave nothing behind; nothing else moves
// while the server waits.
const still = {
	limits: { max_unwatched: 0, heartbeat_interval: '1h', ping_interval: '1h', connections_per_address: 20000 },
	upstream: { silence_timeout: '1h', first_token_timeout: '1h' },
	server: { max_connections: 12000 },
};

const LEVELS = [100, 1000, 9000];

const probe = (target, options) => run({ mode: target.mode, port: target.port, key: target.key, pid: target.pid, ...options });

async function costs(begin, { live, levels, probes }) {
	const upstream = await startUpstream();
	const target = await begin(upstream);
	try {
		return (await probe(target, { live, levels: levels.join(','), probes })).levels;
	} finally {
		await target.end();
		await upstream.end();
	}
}

const tell = (say, name, levels) => {
	for (const { level, connect, first } of levels) {
		const at = connect ? `connect ${connect.cpu_us.toFixed(0)} µs CPU, ${connect.latency.p50} µs; ` : '';
		say(`${name} at ${level}: ${at}stream start ${first.cpu_us.toFixed(0)} µs CPU, first token after ${first.latency.p50} µs (p99 ${first.latency.p99})`);
	}
};

/** For each relay: with so many connections that do nothing, and with so many answers under way. */
export async function starts(options, say) {
	const levels = options.smoke ? [10, 100] : LEVELS;
	const probes = options.smoke ? 20 : 300;
	const sluiced = (upstream) => startSluiced(upstream, { settings: still, loops: options.loops });
	const results = { levels, probes, relays: {}, missing: {} };
	const measure = async (name, begin) => {
		results.relays[name] = {
			idle: await costs(begin, { live: false, levels, probes }),
			live: await costs(begin, { live: true, levels, probes }),
		};
		tell(say, `${name}, idle ones`, results.relays[name].idle);
		tell(say, `${name}, live ones`, results.relays[name].live);
	};
	await measure('ws', sluiced);
	for (const name of peerNames(options).filter((peer) => peer !== 'fastapi')) {
		try {
			await measure(name, async (upstream) => {
				const { peers, missing } = await startPeers(upstream, [name]);
				if (missing[name]) {
					throw new Error(missing[name]);
				}
				return peers[0];
			});
		} catch (error) {
			results.missing[name] = error.message.split('\n')[0];
			say(`${name}: ${results.missing[name]}`);
		}
	}
	return results;
}

/** The time from the question to the first token, which the upstream says at once: less the floor's is what is added. */
export async function first(options, say) {
	const upstream = await startUpstream();
	const floor = await startFloor(upstream);
	const sluice = await startSluiced(upstream, { settings: still, loops: options.loops });
	const { peers, missing } = await startPeers(upstream, peerNames(options));
	const probes = options.smoke ? 20 : 300;
	const relays = [floor, { ...sluice, name: 'ws' }, { ...sluice, name: 'sse', mode: 'sse' }, ...peers];
	const runs = Object.fromEntries(relays.map(({ name }) => [name, []]));
	const loaded = { ws: [], floor: [] };
	const latency = async (relay, more) => (await probe(relay, { levels: '1', probes, ...more })).levels[0].first;
	try {
		for (let round = 0; round < Math.min(options.rounds, 3); round++) {
			for (const relay of relays) {
				runs[relay.name].push(await latency(relay));
			}
		}
		// The same while 200 streams of 50 tokens a second go through the relay.
		for (const relay of options.smoke ? [] : [floor, { ...sluice, name: 'ws' }]) {
			let result;
			await steady(relay, upstream, { streams: 200, seconds: 4, slow: true }, {
				onMark: async (mark) => {
					result = mark === 'measure' ? await latency(relay, { busy: true }) : result;
				},
			});
			loaded[relay.name].push(result);
		}
	} finally {
		await Promise.all([...peers, sluice, floor, upstream].map((one) => one.end()));
	}
	const of = (list, name) => median(list.map(({ latency: { [name]: value } }) => value));
	const summary = Object.fromEntries(
		Object.entries(runs).map(([name, list]) => [name, { p50: of(list, 'p50'), p99: of(list, 'p99'), cpu_us: median(list.map((run) => run.cpu_us)) }]),
	);
	Object.entries(summary).forEach(([name, { p50, p99 }]) => say(`${name}: first token after ${p50} µs, p99 ${p99}`));
	if (options.smoke) {
		return { relays: summary, missing };
	}
	const under = { ws: { p50: of(loaded.ws, 'p50'), p99: of(loaded.ws, 'p99') }, floor: { p50: of(loaded.floor, 'p50'), p99: of(loaded.floor, 'p99') } };
	say(`under load: floor ${under.floor.p50} µs, p99 ${under.floor.p99}; sluice ${under.ws.p50} µs, p99 ${under.ws.p99}`);
	return { relays: summary, loaded: under, missing };
}
