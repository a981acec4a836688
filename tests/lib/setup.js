// What most scenarios start from: an upstream, a server that uses it, a user with a key.
import { connect } from './chat.js';
import { startServer } from './server.js';
import { after, before } from './test.js';
import { startUpstream } from './upstream.js';

/**
 * Starts all three before the tests of a file and stops them after; `stage` is filled by then. `begin` runs, with the
 * stage, when they stand.
 */
export function setup(options = {}, begin = async () => {}) {
	const stage = {
		/** An open WebSocket of the user. */
		chat: (more) => connect(stage.server, { key: stage.key, ...more }),
		fetch: (target, more) => stage.server.fetch(target, { key: stage.key, ...more }),
	};
	before(async () => {
		stage.upstream = await startUpstream();
		stage.server = await startServer({ upstream: stage.upstream, ...options });
		stage.key = await stage.server.createKey('ada');
		await begin(stage);
	});
	after(async () => {
		try {
			await stage.server?.stop();
		} finally {
			await stage.server?.remove();
			await stage.upstream?.stop();
		}
	});
	return stage;
}

/** The answer of `ask` as soon as it fits; asks again and again, each time when the last answer is there. */
export async function eventually(ask, fits, patience = 20_000) {
	const end = performance.now() + patience;
	for (;;) {
		const answer = await ask();
		if (fits(answer)) {
			return answer;
		}
		if (performance.now() > end) {
			throw new Error(`still ${JSON.stringify(answer)} after ${patience} ms`);
		}
		await new Promise(setImmediate);
	}
}
