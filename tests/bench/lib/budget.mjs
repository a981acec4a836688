// The rows of the budget, each with what was measured; and the tables behind them.

const NAMES = { floor: 'floor', ws: 'sluice, WebSocket', sse: 'sluice, SSE', node: 'Node.js', bun: 'Bun', fastapi: 'FastAPI' };
const PEERS = ['bun', 'node', 'fastapi'];

const n = (value, digits = 2) => (Number.isFinite(value) ? value.toFixed(digits) : '?');
const ms = (us) => `${n(us / 1000)} ms`;
const WEIGHED = { ws: 'WebSocket', sse: 'SSE' };
const kib = (bytes) => `${n(bytes / 1024, 1)} KiB`;
const yes = (fits) => (fits ? 'yes' : '**no**');
const unmeasured = (what, bound) => [what, bound, 'not measured', '', ''];

/** A row, if its measure ran. */
function row(measure, what, bound, make) {
	if (!measure || measure.error) {
		return measure?.error ? [what, bound, 'could not run', '', ''] : unmeasured(what, bound);
	}
	return [what, bound, ...make(measure)];
}

const peersOf = (relays, tell) => PEERS.filter((name) => relays[name]).map((name) => `${NAMES[name]} ${tell(relays[name])}`).join(', ');

const perTokenRow = ({ relays }) => {
	const { ws, sse, floor } = relays;
	return [
		`× ${n(ws.ratio.median)} (SSE × ${n(sse.ratio.median)}): ${n(ws.cpu_us, 1)} µs, floor ${n(floor.cpu_us, 1)}`,
		yes(ws.ratio.median <= 1.5),
		peersOf(relays, (peer) => `× ${n(peer.ratio.median)} of the floor, × ${n(peer.cpu_us / ws.cpu_us, 1)} of ours`),
	];
};

const burstRow = (tokens) => ({ relays }) => {
	const floor = tokens?.relays?.floor.cpu_us ?? NaN;
	return [
		`× ${n(relays.ws.cpu_us / floor)} (SSE × ${n(relays.sse.cpu_us / floor)}): ${n(relays.ws.cpu_us, 1)} µs`,
		yes(relays.ws.cpu_us <= 0.5 * floor),
		peersOf(relays, (peer) => `× ${n(peer.cpu_us / floor)}`),
	];
};

const delayRow = ({ relays }) => {
	const of = ({ added_us: { p50, p99, p999 } }) => `${ms(p50)} / ${ms(p99)} / ${ms(p999)}`;
	return [of(relays.ws), yes(relays.ws.added_us.p50 <= 500 && relays.ws.added_us.p99 <= 5000), peersOf(relays, of)];
};

const scaleRow = ({ alone }) => [
	`${alone.tokens} of ${alone.expected}, age p99 ${ms(alone.p99_us)}`,
	yes(alone.tokens === alone.expected && alone.failed === 0 && alone.refused === 0),
	'',
];

const overloadRow = ({ crowded, refusals }) => [
	`${refusals.accepted} taken, ${refusals.refused} refused (${Object.entries(refusals.statuses).map(([status, count]) => `${status === '0' ? 'closed' : status}: ${count}`).join(', ')}) after p99 ${ms(refusals.after_us.p99)}; inside ${crowded.tokens} of ${crowded.expected} tokens, p99 ${ms(crowded.p99_us)}`,
	yes(crowded.tokens === crowded.expected && crowded.failed === 0),
	'',
];

const last = (object) => Object.values(object).at(-1);

const idleRow = ({ relays }) => [
	Object.entries(relays.ws.idle).map(([count, { private: own }]) => `${n(own / 1024, 1)} KiB at ${Number(count).toLocaleString('en')}`).join(', '),
	yes(last(relays.ws.idle).private <= 3 * 1024),
	peersOf(relays, (peer) => `${n(last(peer.idle).private / 1024, 1)} KiB`),
];

/** Of those that have streamed for long, what most weigh, connection and all. */
const liveRow = ({ relays, responses = [] }) => [
	[`${n(relays.ws.live.begun.private / 1024, 1)} KiB at its first token`, ...responses.filter(({ unstored, tokens }) => !unstored && tokens > 1).map(({ mode, tokens, without_text: own }) => `${kib(own)} with its connection (${WEIGHED[mode]}) after ${tokens.toLocaleString('en')}`)].join(', '),
	yes(Math.max(relays.ws.live.begun.private, ...responses.map(({ without_text: own }) => own)) <= 16 * 1024),
	peersOf(relays, (peer) => `${n(peer.live.begun.private / 1024, 1)} KiB`),
];

const ratioOf = (levels, what) => levels.at(-1)[what].cpu_us / levels[0][what].cpu_us;

const startsRow = ({ relays }) => {
	const of = ({ idle, live }) => `connect × ${n(ratioOf(idle, 'connect'))}, start × ${n(ratioOf(live, 'first'))}`;
	const { idle, live } = relays.ws;
	return [
		`${of(relays.ws)} (${n(idle[0].connect.cpu_us, 0)} → ${n(idle.at(-1).connect.cpu_us, 0)} µs, ${n(live[0].first.cpu_us, 0)} → ${n(live.at(-1).first.cpu_us, 0)} µs)`,
		yes(Math.max(ratioOf(idle, 'connect'), ratioOf(live, 'first')) <= 1.2),
		peersOf(relays, of),
	];
};

const fairnessRow = ({ kinds, worst }) => [
	`worst: ${worst}, × ${n(kinds[worst].ratio)} (p99 ${ms(kinds[worst].elsewhere.p99_us)} → ${ms(kinds[worst].here.p99_us)})`,
	yes(kinds[worst].ratio <= 1.2),
	'',
];

const firstRow = ({ relays }) => {
	const of = (relay) => `${ms(relay.p50 - relays.floor.p50)} / ${ms(relay.p99 - relays.floor.p99)}`;
	return [of(relays.ws), '', peersOf(relays, of)];
};

export function budget(measures) {
	const { tokens, bursts, syscalls, scale, memory, starts, turns, start, first, fairness, loops } = measures;
	return [
		row(tokens, 'CPU per token, 200 streams × 50/s, one token per read', '≤ 1.5 × floor; aim 1.25', perTokenRow),
		row(bursts, 'the same with 4 tokens per read', '≤ 0.5 × floor at 1:1', burstRow(tokens)),
		row(syscalls, 'syscalls per token, the same load', '≤ 3', ({ relays }) => [`${n(relays.ws.all)} (SSE ${n(relays.sse.all)}; floor ${n(relays.floor.all)})`, yes(relays.ws.all <= 3), '']),
		row(tokens, 'added delay per token, p50 / p99 / p99.9', '≤ 0.5 / 5 ms over the floor\'s', delayRow),
		row(first, 'added time to the first token, p50 / p99', '–', firstRow),
		row(scale, '10,000 connected, 1,000 of them streaming at 20/s', 'every token, once, in order', scaleRow),
		row(scale, 'twice as many', 'refused early, nobody hurt', overloadRow),
		row(memory, 'memory per idle connection, user space', '≤ 3 KB', idleRow),
		row(memory, 'memory per live response, user space', '≤ 16 KB + text', liveRow),
		row(starts, 'cost of a connect and of a stream start at 9,000 against 100', 'ratio ≤ 1.2', startsRow),
		row(turns, 'durable turns (commit before `completed`)', '≥ 1,000/s, p99 ≤ 25 ms', turnsRow),
		row(start, 'start to first accepted connection, 1 GB database', '≤ 50 ms', startRow),
		row(fairness, 'others\' p99 beside one greedy connection', '× 1.2', fairnessRow),
		row(loops, 'two loops on two processors: tokens per CPU second', '–', ({ efficiency, capacity }) => [`${n(efficiency * 100, 0)} % of one loop's; ${capacity[1].tokens_per_second} → ${capacity[2].tokens_per_second} tokens/s`, '', '']),
	];
}

function turnsRow({ turns_per_second: rate, commit_p99_us: p99, connections }) {
	return [`${n(rate, 0)}/s on ${connections} connections, p99 ${ms(p99)}`, yes(rate >= 1000 && p99 <= 25_000), ''];
}

function startRow({ gigabytes, stopped, killed }) {
	return [`${n(stopped.accepted_ms, 0)} ms with ${n(gigabytes, 1)} GB; after a kill ${n(killed.accepted_ms, 0)} ms`, yes(Math.max(stopped.accepted_ms, killed.accepted_ms) <= 50), ''];
}

/* --- the tables behind the budget --- */

const table = (title, head, rows) => [`**${title}**`, '', `| ${head.join(' | ')} |`, `|${'---|'.repeat(head.length)}`, ...rows.map((cells) => `| ${cells.join(' | ')} |`), ''];

function tokenTable(title, measure) {
	if (!measure?.relays) {
		return [];
	}
	return table(
		title,
		['relay', 'CPU µs/token', 'of the floor (least to most)', 'tokens/s', 'age p50 / p99 / p99.9', 'lost'],
		Object.entries(measure.relays).map(([name, relay]) => [
			NAMES[name],
			`${n(relay.cpu_us, 1)} (with start and end ${n(relay.whole_us, 1)})`,
			`× ${n(relay.ratio.median)} (${n(relay.ratio.least)} to ${n(relay.ratio.most)})`,
			n(relay.tokens_per_second, 0),
			`${ms(relay.p50_us)} / ${ms(relay.p99_us)} / ${ms(relay.p999_us)}`,
			PEERS.includes(name) && relay.lost === 0 && relay.failed === 0 ? '0' : String(relay.lost + relay.failed),
		]),
	);
}

function countTable({ syscalls, allocations }) {
	const lines = [];
	if (syscalls?.relays) {
		const tell = (counts) => Object.entries(counts).filter(([name]) => name !== 'all').sort(([, a], [, b]) => b - a).slice(0, 8).map(([name, count]) => `\`${name}\` ${n(count)}`).join(', ');
		lines.push(...table(`Syscalls per token (${syscalls.tracer})`, ['relay', 'all', 'which'], Object.entries(syscalls.relays).map(([name, counts]) => [NAMES[name], n(counts.all), tell(counts)])));
	}
	if (allocations?.relays) {
		lines.push(...table('Allocations per token', ['relay', 'malloc, calloc', 'realloc', 'free', 'bytes asked for'], Object.entries(allocations.relays).map(([name, counts]) => [NAMES[name], n(counts.allocations), n(counts.reallocations), n(counts.frees), n(counts.bytes, 0)])));
	}
	return lines;
}

function startTable({ starts }) {
	if (!starts?.relays) {
		return [];
	}
	const rows = Object.entries(starts.relays).flatMap(([name, { idle, live }]) =>
		idle.map((at, i) => [NAMES[name], at.level.toLocaleString('en'), `${n(at.connect.cpu_us, 0)} µs, ${ms(at.connect.latency.p50)}`, `${n(at.first.cpu_us, 0)} µs, ${ms(at.first.latency.p50)}`, `${n(live[i].connect.cpu_us, 0)} µs, ${ms(live[i].connect.latency.p50)}`, `${n(live[i].first.cpu_us, 0)} µs, ${ms(live[i].first.latency.p50)}`]),
	);
	return table('A connect, and a stream start to its first token: CPU of the server, and the time it takes', ['relay', 'there already', 'connect, beside idle ones', 'start, beside idle ones', 'connect, beside live ones', 'start, beside live ones'], rows);
}

function sealingTable({ sealing }) {
	if (!sealing?.records) {
		return [];
	}
	const records = sealing.records.map((one) => [`${one.bytes.toLocaleString('en')} B`, String(one.sealed_bytes), `${n(one.seal_us, 1)} µs, ${n(one.seal_mib_s, 0)} MiB/s`, `${n(one.chain_us, 1)} µs`, `${n(one.open_us, 1)} µs, ${n(one.open_mib_s, 0)} MiB/s`]);
	const costs = [
		['a token, 200 streams × 50/s', sealing.token],
		['a turn of five tokens, 64 connections', sealing.turn],
	].map(([what, { stored, unstored, ratio, share }]) => [what, `${n(stored.cpu, 1)} µs`, `${n(stored.loop, 1)} µs`, `${n(stored.others, 1)} µs, ${n(share * 100, 0)} %`, `${n(unstored.cpu, 1)} µs`, `× ${n(ratio.median)} (${n(ratio.least)} to ${n(ratio.most)})`]);
	return [
		...table('A sealed record', ['text', 'bytes sealed', 'sealed', 'put on the chain', 'opened'], records),
		...table('Storing: CPU of the server', ['', '`store: true`', 'its loop', 'its store threads', '`store: false`', 'ratio (least to most)'], costs),
	];
}

function memoryTable({ memory }) {
	if (!memory?.responses) {
		return [];
	}
	const rows = memory.responses.map(({ mode, unstored, tokens, text, without_text: own }) => [WEIGHED[mode], unstored ? '`store: false`' : '`store: true`', tokens.toLocaleString('en'), kib(own), kib(text)]);
	return table('A live response with its connection, user space', ['over', 'stored', 'tokens so far', 'without its text', 'text'], rows);
}

function fairnessTable({ fairness }) {
	if (!fairness?.kinds) {
		return [];
	}
	const { alone, kinds } = fairness;
	const pair = (one, name) => `${ms(one.elsewhere[name])} → ${ms(one.here[name])}`;
	const rows = Object.entries(kinds)
		.sort(([, a], [, b]) => b.ratio - a.ratio)
		.map(([kind, one]) => [`\`${kind}\``, `× ${n(one.ratio)}`, ...['p99_us', 'first_p99_us', 'wait_p99_us', 'wait_p999_us', 'longest_us'].map((name) => pair(one, name)), `${n(one.elsewhere.held * 100, 1)} → ${n(one.here.held * 100, 1)} %`, String(one.elsewhere.lost + one.here.lost)]);
	return table(
		`One greedy connection (limits: ${fairness.limits}), 100 streams × 20/s and 30 who ask short turns beside it: at another server → at this one`,
		['greed', 'p99 of the others', 'age of a token, p99', 'first token of a turn, p99', 'wait for the loop, p99', 'p99.9', 'longest hold', 'loop held', 'lost'],
		[['nobody', '', ms(alone.p99_us), ms(alone.first_p99_us), ms(alone.wait_p99_us), ms(alone.wait_p999_us), ms(alone.longest_us), `${n(alone.held * 100, 1)} %`, String(alone.lost)], ...rows],
	);
}

function growthTable({ growth }) {
	if (!growth?.rows) {
		return [];
	}
	const cell = (one) => (one?.cpu_ms === undefined ? ms((one?.ms ?? 0) * 1000) : `${ms(one.ms * 1000)}, ${ms(one.cpu_ms * 1000)}`);
	const names = Object.keys(growth.rows[0]).filter((name) => name !== 'turns');
	return table(
		'What a conversation costs by its length: time, and the server\'s CPU',
		['turns', ...growth.rows.map(({ turns }) => turns.toLocaleString('en-US'))],
		names.map((name) => [name, ...growth.rows.map((row) => cell(row[name]))]),
	);
}

export function details(measures) {
	return [
		...tokenTable('One token per read', measures.tokens),
		...tokenTable('Four tokens per read', measures.bursts),
		...tokenTable('One token per read, all on whole milliseconds', measures.ticks),
		...countTable(measures),
		...sealingTable(measures),
		...startTable(measures),
		...memoryTable(measures),
		...fairnessTable(measures),
		...growthTable(measures),
	];
}

export { NAMES };
