// The plots of docs/performance.md.
import { NAMES } from './budget.mjs';
import { bars, lines } from './svg.mjs';

const OURS = ['ws', 'sse'];

const relayBars = (title, relays, of, { digits = 1, unit, mark }) =>
	bars(title, Object.entries(relays).map(([name, relay]) => ({ label: NAMES[name], value: of(relay), text: `${of(relay).toFixed(digits)} ${unit}`, ours: OURS.includes(name) })), { mark });

/** Those whose measure ran: { name: svg }. */
export function plots({ tokens, bursts, memory, starts, fairness }) {
	const all = {};
	if (tokens?.relays) {
		all.cpu = relayBars('CPU per token, 200 streams × 50 tokens/s, one token per read', tokens.relays, (relay) => relay.cpu_us, { unit: 'µs', mark: tokens.relays.floor.cpu_us * 1.5 });
		all.delay = relayBars('Age of a token on arrival, p99, the same load', tokens.relays, (relay) => relay.p99_us / 1000, { unit: 'ms', digits: 2 });
	}
	if (bursts?.relays) {
		all.bursts = relayBars('CPU per token, four tokens per read', bursts.relays, (relay) => relay.cpu_us, { unit: 'µs' });
	}
	if (memory?.relays) {
		all.memory = relayBars('Memory of a live response, user space', memory.relays, (relay) => relay.live.begun.private / 1024, { unit: 'KiB', mark: 16 });
	}
	if (starts?.relays) {
		all.starts = lines(
			'CPU of a stream start, by how many answers are under way',
			Object.entries(starts.relays).map(([name, { live }]) => ({ label: NAMES[name], points: live.map(({ level, first }) => [level, first.cpu_us]) })),
			{ unit: 'µs' },
		);
	}
	if (fairness?.kinds) {
		const rows = Object.entries(fairness.kinds).sort(([, a], [, b]) => b.ratio - a.ratio);
		all.fairness = bars('Others\' p99 beside one greedy connection, in multiples of p99 without', rows.map(([kind, { ratio }]) => ({ label: kind, value: ratio, text: `× ${ratio.toFixed(2)}`, ours: true })), { mark: 1.2 });
	}
	return all;
}
