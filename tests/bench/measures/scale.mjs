// 10,000 connections, 1,000 of them streaming at 20 tokens a second, every token checked; then as many again, which is more
// than the server takes: how the further ones are refused, and whether those inside notice.
import { load } from '../lib/programs.mjs';
import { aim, startSluiced, startUpstream } from '../lib/stage.mjs';

const RATE = 20;

async function inside(target, upstream, { streams, idle, seconds, ramp }, hooks) {
	const tokens = RATE * (seconds + 2);
	return load(
		{ ...aim(target, upstream), input: `bench rate=${RATE} tokens=${tokens}`, streams, idle, tokens, seconds, ramp, sources: 4, deadline: 90 },
		{ tolerant: true, ...hooks },
	);
}

const told = (run) => ({
	tokens: run.tokens,
	expected: run.expected,
	lost: run.expected - run.tokens,
	failed: run.failed,
	refused: run.refused,
	connections: run.opened,
	p50_us: run.age.p50,
	p99_us: run.age.p99,
	p999_us: run.age.p999,
	cpu_us: run.cpu.server.us / run.measured,
	seconds: run.seconds,
});

export async function scale(options, say) {
	const plan = options.smoke ? { all: 200, streams: 50, seconds: 1 } : { all: 10_000, streams: 1000, seconds: 20 };
	const upstream = await startUpstream();
	const sluice = await startSluiced(upstream, { loops: options.loops, settings: { server: { max_connections: plan.all } } });
	const shape = { streams: plan.streams, idle: plan.all - plan.streams, seconds: plan.seconds, ramp: plan.streams * 2 };
	try {
		const alone = told(await inside(sluice, upstream, shape));
		say(`${alone.connections} connected, ${plan.streams} streaming: ${alone.tokens} of ${alone.expected} tokens, age p50 ${alone.p50_us} p99 ${alone.p99_us} µs, ${alone.cpu_us.toFixed(2)} µs/token`);
		let more;
		const crowded = told(
			await inside(sluice, upstream, shape, {
				onMark: async (mark) => {
					if (mark === 'measure') {
						more = await load(
							{ ...aim(sluice), input: 'bench tokens=20', streams: 0, idle: plan.all, seconds: 0, cut: true, refusable: true, window: 64, sources: 4 },
							{ tolerant: true },
						);
					}
				},
			}),
		);
		say(`the same while ${plan.all} more try: ${crowded.tokens} of ${crowded.expected} tokens, age p50 ${crowded.p50_us} p99 ${crowded.p99_us} µs`);
		const refusals = { tried: plan.all, accepted: more.opened, refused: more.refused, statuses: more.statuses, after_us: more.refusal };
		say(`of the ${plan.all}: ${more.opened} accepted, ${more.refused} refused with ${JSON.stringify(more.statuses)}, after p50 ${more.refusal.p50} p99 ${more.refusal.p99} µs`);
		return { plan, alone, crowded, refusals };
	} finally {
		await sluice.end();
		await upstream.end();
	}
}
