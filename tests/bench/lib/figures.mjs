// Medians and ratios of rounds.

export function median(list) {
	const sorted = list.filter((value) => Number.isFinite(value)).sort((a, b) => a - b);
	if (sorted.length === 0) {
		return undefined;
	}
	const middle = sorted.length >> 1;
	return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export const spread = (list) => ({ median: median(list), least: Math.min(...list), most: Math.max(...list), rounds: list.length });

export const round = (value, digits = 2) => (Number.isFinite(value) ? Number(value.toFixed(digits)) : undefined);

/** What one run of load says of a relay: times in µs, CPU in µs per token, the main thread's apart. */
export function perToken(run) {
	const { us, threads } = run.cpu.server;
	return {
		cpu: us / run.measured,
		loop: threads[0] / run.measured,
		others: (us - threads[0]) / run.measured,
		whole: run.whole_cpu.server.us / run.tokens,
		tokens_per_second: run.measured / run.seconds,
		load: run.cpu.load.us / run.measured,
		upstream: run.cpu.upstream ? run.cpu.upstream.us / run.measured : undefined,
		p50: run.age.p50,
		p99: run.age.p99,
		p999: run.age.p999,
		first_p50: run.first.p50,
		lost: run.lost,
		failed: run.failed + run.refused,
	};
}
