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
	let grown;
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
				} else if (mark === 'grown') {
					await pause(1000);
					grown = await weigh(target.pid, rest);
					child.stdin.write('\n');
				}
			},
		},
	);
	return { run, connected: difference(before, connected), streaming: difference(connected, streaming), grown: grown && difference(before, grown) };
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

/** One live response with its connection when it has had so many tokens, each of them a delta: bytes, and those of its text. */
async function weighResponse(settings, { mode, unstored, tokens, streams, rest, warm }) {
	const upstream = await startUpstream();
	const target = await startSluiced(upstream, settings);
	const ask = (count, until) => ({
		rest, mode, unstored, streams: count, tokens: until + 1, until, ramp: count * 2,
		input: `bench now=1 rate=${Math.ceil(20_000 / count)} tokens=${until + 1} halt=${until}`,
	});
	try {
		// The store's caches fill, which are as large beside any number of responses.
		await load({ ...aim(target), streams: 0, askers: 8, 'asker-tokens': 5, 'asker-input': 'bench now=1 rate=5000 tokens=5', seconds: warm, cut: true });
		await hold(target, ask(5, 5));
		await pause(rest);
		const { run, grown } = await hold(target, ask(streams, tokens));
		return { bytes: (grown.private * 1024) / streams, text: run.text / streams };
	} finally {
		await target.end();
		await upstream.end();
	}
}

/** Over each transport, stored and not, at the first token and later. Once: it varies by a few hundredths. */
async function weighResponses(settings, { grown, rest, warm }, say) {
	const rows = ['ws', 'sse'].flatMap((mode) => [false, true].flatMap((unstored) => grown.map(({ tokens, streams }) => ({ mode, unstored, tokens, streams }))));
	for (const row of rows) {
		const { bytes, text } = await weighResponse(settings, { ...row, rest, warm });
		Object.assign(row, { text, without_text: bytes - text });
		say(`${row.mode}, store: ${!row.unstored}, ${row.tokens} tokens: ${row.without_text.toFixed(0)} bytes with its connection, without its text of ${text.toFixed(0)}`);
	}
	return rows;
}

export async function memory(options, say) {
	const plan = options.smoke
		? { counts: [100], live: 50, rest: 100, warm: 1, grown: [{ tokens: 20, streams: 20 }] }
		: { counts: [1000, 10000], live: 1000, rest: 700, warm: 3, grown: [{ tokens: 1, streams: 1000 }, { tokens: 1000, streams: 200 }] };
	const results = { relays: {}, missing: {} };
	const measure = async (name, begin) => {
		const result = (results.relays[name] = await weighRelay(begin, plan));
		for (const [count, { rss, pss, private: own, slabs }] of Object.entries(result.idle)) {
			say(`${name}: idle connection at ${count}: ${own.toFixed(0)} bytes private dirty (RSS ${rss.toFixed(0)}, PSS ${pss.toFixed(0)}); kernel, both ends ${slabs?.toFixed(0)}`);
		}
		const { private: own, rss } = result.live.begun;
		say(`${name}: live response, beside its connection: ${own.toFixed(0)} bytes private dirty (RSS ${rss.toFixed(0)})`);
	};
	results.responses = await weighResponses({ settings: still, loops: options.loops }, plan, say);
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
