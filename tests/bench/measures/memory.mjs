// What an idle WebSocket and a live response weigh in user space.
import { peerNames, startPeers } from '../lib/peers.mjs';
import { memoryOf, socketSlabs } from '../lib/proc.mjs';
import { load, pause } from '../lib/programs.mjs';
import { aim, startSluiced, startUpstream } from '../lib/stage.mjs';

const still = {
	limits: { heartbeat_interval: '1h', connections_per_address: 20000, max_unwatched: 0 },
	upstream: { silence_timeout: '1h' },
	server: { max_connections: 12000 },
};

const difference = (before, after) => Object.fromEntries(Object.keys(after).map((name) => [name, after[name] - before[name]]));

/** A moment in which the server comes to rest; memory that it returns is returned by then. */
async function weigh(pid, rest) {
	await pause(rest);
	return { ...memoryOf(pid), slabs: socketSlabs() };
}

async function hold(target, { rest = 700, ...options }) {
	const before = await weigh(target.pid, rest);
	let connected;
	let streaming;
	const run = await load(
		{ ...aim(target), streams: 0, seconds: 0, window: 32, hold: true, cut: true, ...options },
		{
			onMark: async (mark, child) => {
				if (mark === 'connected') {
					connected = await weigh(target.pid, rest);
					child.stdin.write('\n');
				} else if (mark === 'streaming') {
					// Four checkpoints.
					await pause(options.streams ? 1000 : 0);
					streaming = await weigh(target.pid, rest);
					child.stdin.write('\n');
				}
			},
		},
	);
	return { run, connected: difference(before, connected), streaming: difference(connected, streaming) };
}

const each = (grown, count) => Object.fromEntries(Object.entries(grown).map(([name, kib]) => [name, (kib * 1024) / count]));

async function weighRelay(begin, { counts, live, rest }) {
	const result = { idle: {} };
	for (const count of counts) {
		const upstream = await startUpstream();
		const target = await begin(upstream);
		try {
			await hold(target, { idle: 50, rest }); // what is made once, at the first connections
			await pause(rest);
			const { connected } = await hold(target, { idle: count, rest });
			result.idle[count] = each(connected, count);
		} finally {
			await target.end();
			await upstream.end();
		}
	}
	const upstream = await startUpstream();
	const target = await begin(upstream);
	try {
		await hold(target, { rest, streams: 50, tokens: 5, input: 'bench tokens=5 now=1' });
		await pause(rest);
		const begun = await hold(target, { rest, streams: live, tokens: 2, input: 'bench tokens=2 now=1 gap=3600000', ramp: live * 2 });
		result.live = { count: live, begun: each(begun.streaming, live), connected: each(begun.connected, live) };
	} finally {
		await target.end();
		await upstream.end();
	}
	return result;
}

export async function memory(options, say) {
	const plan = options.smoke ? { counts: [100], live: 50, rest: 100 } : { counts: [1000, 10000], live: 1000, rest: 700 };
	const results = { relays: {}, missing: {} };
	const measure = async (name, begin) => {
		const result = (results.relays[name] = await weighRelay(begin, plan));
		for (const [count, { rss, pss, private: own, slabs }] of Object.entries(result.idle)) {
			say(`${name}: idle connection at ${count}: ${own.toFixed(0)} bytes private dirty (RSS ${rss.toFixed(0)}, PSS ${pss.toFixed(0)}); kernel, both ends ${slabs?.toFixed(0)}`);
		}
		const { private: own, rss } = result.live.begun;
		say(`${name}: live response, beside its connection: ${own.toFixed(0)} bytes private dirty (RSS ${rss.toFixed(0)})`);
	};
	await measure('ws', (upstream) => startSluiced(upstream, { settings: still, loops: options.loops }));
	for (const name of peerNames(options)) {
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
