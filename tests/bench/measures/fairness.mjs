// What one greedy connection does to the others: the 99th part of the age of their tokens, for each kind of greed. On a machine
// of two processors a greedy client takes time from everybody, whatever a server does about it. So it is compared with the
// same client at another server beside: what is more than that is this server's doing. Every limit is the default one; with
// --open, far away.
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { median, round } from '../lib/figures.mjs';
import { Holds } from '../lib/holds.mjs';
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

/** Ages say what clients see, of which the machine has its part; waits say what the loop's own work does (holds.c). */
const told = (run, holds) => ({
	p50_us: run.age.p50,
	p99_us: run.age.p99,
	p999_us: run.age.p999,
	first_p50_us: run.turn_first.p50,
	first_p99_us: run.turn_first.p99,
	wait_p99_us: holds.wait(0.01),
	wait_p999_us: holds.wait(0.001),
	longest_us: holds.longest_us,
	held: holds.share,
	lost: run.lost,
});

const settings = (options, greedyUpstream) => ({ limits: options.open ? { connections_per_address: 20000 } : DEFAULTS, 'upstream greedy': { url: greedyUpstream.url, models: 'greedy' } });

/** The ordinary ones at one server, and someone who is greedy, at the same or at another; kind: undefined for nobody. */
async function run(kind, options, upstreams, elsewhere) {
	const holds = new Holds();
	const more = { loops: options.loops, settings: settings(options, upstreams.greedy) };
	const servers = [await startSluiced(upstreams.ordinary, { ...more, env: holds.env })];
	let greedy;
	let greed;
	let company;
	try {
		if (elsewhere) {
			servers.push(await startSluiced(upstreams.ordinary, more));
		}
		const at = servers.at(-1);
		const key = await at.server.createKey('greedy');
		// Who is alone at a server may have all of it.
		company = new WebSocket(`ws://127.0.0.1:${at.port}/v1/responses`, { headers: { Authorization: `Bearer ${at.key}` } });
		await once(company, 'open');
		const result = await ordinary(servers[0], options, {
			onMark: async (mark) => {
				holds.heard(mark);
				if (mark === 'connected' && kind) {
					greedy = start(process.execPath, [`${HERE}/greedy.mjs`, kind, String(at.port), key], { idle: true });
					greedy.lines.on('line', (line) => (greed = JSON.parse(line)));
				} else if (mark === 'measured') {
					await greedy?.end();
				}
			},
		});
		return { ...told(result, holds), greed };
	} finally {
		company?.terminate();
		holds.remove();
		await Promise.all(servers.map((server) => server.end()));
	}
}

const FIGURES = ['p50_us', 'p99_us', 'p999_us', 'first_p50_us', 'first_p99_us', 'wait_p99_us', 'wait_p999_us', 'longest_us', 'held'];
const medians = (runs) => ({
	...Object.fromEntries(FIGURES.map((name) => [name, round(median(runs.map((one) => one[name])), 4)])),
	lost: runs.reduce((sum, one) => sum + one.lost, 0),
});

function summary(alone, runs) {
	const kinds = {};
	for (const [kind, { elsewhere, here }] of Object.entries(runs)) {
		kinds[kind] = { elsewhere: medians(elsewhere), here: medians(here) };
		kinds[kind].ratio = round(kinds[kind].here.p99_us / kinds[kind].elsewhere.p99_us);
	}
	const [worst] = Object.entries(kinds).sort(([, a], [, b]) => b.ratio - a.ratio);
	return { alone: medians(alone), kinds, worst: worst[0] };
}

const line = (what, one) =>
	`${what.padEnd(22)} age p99 ${one.p99_us}, first token p99 ${one.first_p99_us}, wait for the loop p99 ${one.wait_p99_us}, p99.9 ${one.wait_p999_us}, longest hold ${one.longest_us} µs, held ${(one.held * 100).toFixed(1)} %${one.greed ? `; ${one.greed.sent} requests, ${one.greed.refused} refused, ${(one.greed.received_bytes / 1e6).toFixed(1)} MB read` : ''}`;

export async function fairness(options, say) {
	const kinds = options.greed ?? (options.smoke ? ['items'] : KINDS);
	const unknown = kinds.find((kind) => !KINDS.includes(kind));
	if (unknown) {
		throw new Error(`no such greed: ${unknown}; there are ${KINDS.join(', ')}`);
	}
	// The greedy one's is like itself: on a real machine neither takes the server's processors.
	const upstreams = { ordinary: await startUpstream(), greedy: await startUpstream([], { idle: true }) };
	const alone = [];
	const runs = Object.fromEntries(kinds.map((kind) => [kind, { elsewhere: [], here: [] }]));
	const take = async (list, what, ...how) => {
		list.push(await run(...how));
		say(line(what, list.at(-1)));
	};
	try {
		for (let at = 0; at < options.rounds; at++) {
			await take(alone, 'nobody', undefined, options, upstreams, false);
			for (const kind of kinds) {
				await take(runs[kind].elsewhere, `${kind}, elsewhere`, kind, options, upstreams, true);
				await take(runs[kind].here, `${kind}, here`, kind, options, upstreams, false);
			}
		}
	} finally {
		await Promise.all(Object.values(upstreams).map((one) => one.end()));
	}
	const result = { limits: options.open ? 'far away' : 'the defaults', ...summary(alone, runs) };
	say(`what hurts most: ${result.worst}, ×${result.kinds[result.worst].ratio}`);
	return result;
}
