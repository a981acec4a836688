// What the measures run on: an upstream, the floor, sluiced and peers, all on free ports of the loopback address.
import { startServer } from '../../lib/server.js';
import { load, built, startListener } from './programs.mjs';

/** `args`: of the program upstream, such as ['--tick', '1000']. */
export async function startUpstream(args = [], options = {}) {
	const upstream = await startListener(built('upstream'), args, options);
	upstream.url = `http://127.0.0.1:${upstream.port}/v1`;
	return upstream;
}

export async function startFloor(upstream) {
	const floor = await startListener(built('floor'), [String(upstream.port)]);
	return { name: 'floor', mode: 'raw', port: floor.port, pid: floor.pid, end: () => floor.end() };
}

const merge = (a, b) => {
	const merged = { ...a };
	for (const [section, keys] of Object.entries(b)) {
		merged[section] = { ...merged[section], ...keys };
	}
	return merged;
};

/** sluiced with its default limits but those per address and for requests, which one load generator would reach. */
export async function startSluiced(upstream, { settings = {}, loops, ...options } = {}) {
	const base = {
		upstream: { url: upstream.url, model: 'bench' },
		limits: { connections_per_address: 20000, max_unwatched: 100000 },
		log: { level: 'info' },
	};
	const server = await startServer({
		upstream,
		settings: merge(merge(base, loops ? { server: { loops } } : {}), settings),
		...options,
	});
	const key = await server.createKey('bench');
	return { name: 'sluice', mode: 'ws', port: server.port, pid: server.child.pid, key, server, end: () => server.remove() };
}

/** The options of load that say where to and whom to watch. */
export const aim = (target, upstream) => ({
	mode: target.mode,
	port: target.port,
	key: target.key,
	watch: [`server=${target.pid}`, ...(upstream ? [`upstream=${upstream.pid}`] : [])],
});

/** A steady load: `streams` × `rate` tokens a second, measured for `seconds`. */
export function steady(target, upstream, { streams = 200, rate = 50, burst = 1, seconds, ramp = 200, slow = false, ...more }, hooks) {
	const tokens = Math.ceil((rate * (seconds + 1 + ramp / 1000)) / burst) * burst;
	return load(
		{
			...aim(target, upstream),
			input: `bench rate=${rate} tokens=${tokens} burst=${burst}`,
			streams,
			tokens,
			seconds,
			ramp,
			// One that can't carry the load would take minutes to end.
			cut: slow,
			deadline: slow ? 8 : 60,
			...more,
		},
		{ tolerant: slow, ...hooks },
	);
}
