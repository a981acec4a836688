// What schedules are carried out on: a real server and the fake upstream, for many of them one after another.
import { Play } from './play.js';
import { startServer } from './server.js';
import { startUpstream } from './upstream.js';

const ANSWERS_KEPT = 40;

export class World {
	constructor() {
		this.answers = new Map(); // by question
		this.kept = new Map(); // response id -> how many events of it a checkpoint has made durable
		this.epoch = 0; // how often the server was started again
		this.falling = false; // it is being killed
		Object.assign(this, { plays: 0, kills: 0, drains: 0 });
	}

	async open(settings = {}) {
		this.upstream = await startUpstream();
		this.upstream.fallback = (x) => this.answers.get(x.question).play(x);
		const server = { drain_timeout: '100ms' };
		this.server = await startServer({ upstream: this.upstream, settings: { server, ...settings } });
		this.server.watchers.add(({ event, response, events }) => event === 'checkpoint kept' && this.kept.set(response, events));
	}

	/** Resolves when event `number` of a response was made durable by a checkpoint. */
	async keeps(response, number) {
		while (!(this.kept.get(response) > number)) {
			await new Promise((resolve) => {
				const watcher = () => {
					this.server.watchers.delete(watcher);
					resolve();
				};
				this.server.watchers.add(watcher);
			});
		}
	}

	/** Carries a schedule out; gives what is to be judged. */
	async play(plan) {
		this.plays++;
		const key = await this.server.createKey(`user${this.plays}`);
		const play = new Play(this, plan, key);
		try {
			await play.run();
		} catch (error) {
			error.message = `at step ${play.at}: ${error.message}`;
			throw error;
		} finally {
			play.readings.forEach(({ device }) => device.cut('drop'));
			this.#forget();
			this.upstream.requests.length = 0;
			this.server.log.length = 0;
		}
		return play;
	}

	/** The answers of some schedules back are kept: the request of a client that cut its connection at once may come late. */
	#forget() {
		for (const question of this.answers.keys()) {
			if (this.answers.size <= ANSWERS_KEPT) {
				return;
			}
			this.answers.delete(question);
		}
	}

	/** Ends the server as it should end. */
	async close() {
		await this.server.stop();
	}

	/** Leaves nothing, however it went. */
	async destroy() {
		await this.server?.remove();
		await this.upstream?.stop();
	}
}
