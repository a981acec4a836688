// What sealing and storing cost: a record by itself; and with store: true beside store: false, in turns, a token and a turn.
import { median, perToken, spread } from '../lib/figures.mjs';
import { built, load, runJson } from '../lib/programs.mjs';
import { aim, startSluiced, startUpstream, steady } from '../lib/stage.mjs';

const WAYS = { stored: false, unstored: true };
const PARTS = ['cpu', 'loop', 'others', 'whole'];

/** Short turns, one after the other on each of many connections: CPU of the server for each, in µs. */
async function perTurn(sluice, options, unstored) {
	const tokens = 5;
	const run = await load({
		...aim(sluice),
		unstored,
		streams: 0,
		askers: options.smoke ? 8 : 64,
		'asker-tokens': tokens,
		'asker-input': `bench now=1 rate=5000 burst=${tokens} tokens=${tokens}`,
		seconds: options.seconds,
	});
	const { us, threads } = run.cpu.server;
	return { cpu: us / run.turns, loop: threads[0] / run.turns, others: (us - threads[0]) / run.turns, rate: run.turns / run.seconds };
}

async function perTokenOf(sluice, upstream, options, unstored) {
	return perToken(await steady(sluice, upstream, { streams: options.smoke ? 20 : 200, seconds: options.seconds, unstored }));
}

/** Medians of each way's rounds, and how much more storing takes: of ratios within a round. */
function compare(rounds, parts) {
	const of = (way) => Object.fromEntries(parts.map((part) => [part, median(rounds.map((round) => round[way][part]))]));
	return { stored: of('stored'), unstored: of('unstored'), ratio: spread(rounds.map(({ stored, unstored }) => stored.cpu / unstored.cpu)), share: median(rounds.map(({ stored }) => stored.others / stored.cpu)) };
}

const tell = (what, { stored, unstored, ratio, share }) =>
	`${what}: stored ${stored.cpu.toFixed(2)} µs (loop ${stored.loop.toFixed(2)}, other threads ${stored.others.toFixed(2)}: ${(share * 100).toFixed(0)} %), unstored ${unstored.cpu.toFixed(2)} µs; × ${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)})`;

export async function sealing(options, say) {
	const { records } = await runJson(built('seal'), [options.smoke ? '50' : '1000']);
	for (const { bytes, seal_us, open_us, chain_us, seal_mib_s, open_mib_s } of records) {
		say(`a record of ${bytes} bytes: sealed in ${seal_us} µs (${seal_mib_s} MiB/s), on the chain in ${chain_us}, opened in ${open_us} µs (${open_mib_s} MiB/s)`);
	}
	const upstream = await startUpstream();
	const sluice = await startSluiced(upstream, { loops: options.loops });
	const rounds = { token: [], turn: [] };
	try {
		for (let round = 0; round < options.rounds; round++) {
			const found = { token: {}, turn: {} };
			// Who goes first has the machine as the other left it: by turns.
			const ways = Object.entries(WAYS);
			for (const [way, unstored] of round % 2 ? ways.reverse() : ways) {
				found.token[way] = await perTokenOf(sluice, upstream, options, unstored);
				found.turn[way] = await perTurn(sluice, options, unstored);
			}
			rounds.token.push(found.token);
			rounds.turn.push(found.turn);
		}
	} finally {
		await sluice.end();
		await upstream.end();
	}
	const result = { records, token: compare(rounds.token, PARTS), turn: compare(rounds.turn, ['cpu', 'loop', 'others', 'rate']) };
	say(tell('a token', result.token));
	say(tell('a turn of five tokens', result.turn));
	return result;
}
