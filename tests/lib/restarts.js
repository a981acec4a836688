// Clients that do not stop while the server is restarted under them, and what they saw of it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import WebSocket from 'ws';
import { isTerminal, outputText } from './check.js';

const PACE_MS = 2; // between two words of the model

const textOf = (events) =>
	events
		.filter(({ type }) => type === 'response.output_text.delta')
		.map(({ delta }) => delta)
		.join('');

/** What the model says to this question: long enough to be cut by a restart now and then. */
const wordsOf = (question) => Array.from({ length: 20 + (Number(/\d+/.exec(question)) % 7) * 15 }, (_, n) => `${question}/${n} `);

export async function model(x) {
	for (const word of wordsOf(x.question)) {
		await x.say(word);
		await new Promise((resolve) => setTimeout(resolve, PACE_MS));
		if (x.gone) {
			return;
		}
	}
	await x.finish('stop', { input: 7, output: 3 });
	await x.done();
}

export class Load {
	constructor(server, key, random) {
		this.server = server;
		this.key = key;
		this.random = random;
		this.attempts = 0; // connections
		this.scars = []; // of these: refused, reset, or answered with anything but what was asked for
		this.longest = 0; // that a request on a new connection took, in milliseconds
		this.answers = 0;
		this.turns = { completed: 0, incomplete: 0 };
		this.closes = new Map(); // code: how often
		this.resumed = 0;
		this.unanswered = 0; // turns that were asked for again, because a close came in place of their first event
		this.cut = []; // { id, events } of turns that a restart ended
		this.over = false;
		this.tasks = [];
		this.watchers = new Set();
	}

	begin({ chats, strangers }) {
		for (let n = 0; n < chats; n++) {
			this.tasks.push(this.#converse(n));
		}
		for (let n = 0; n < strangers; n++) {
			this.tasks.push(this.#ask());
		}
		this.failed = Promise.all(this.tasks);
		this.failed.catch(() => {});
	}

	/** Lets each client come to the end of what it is about. */
	async end() {
		this.over = true;
		await this.failed;
	}

	/** What it came to, in a line. */
	story(restarts) {
		const closes = [...this.closes].map(([code, count]) => `${code}: ${count}`).join(', ');
		return (
			`${restarts} restarts under load: ${this.attempts} connections, ${this.scars.length} refused, reset or turned away; ` +
			`${this.turns.completed} turns completed, ${this.turns.incomplete} cut off by a restart, ${this.resumed} resumed; ` +
			`longest request ${Math.round(this.longest)} ms; close codes ${closes}`
		);
	}

	/** Resolves when this load has done `more` further connections and events; rejects as soon as a client fails. */
	progress(more) {
		const goal = this.answers + more;
		const reached = new Promise((resolve) => {
			const watcher = () => {
				if (this.answers >= goal) {
					this.watchers.delete(watcher);
					resolve();
				}
			};
			this.watchers.add(watcher);
		});
		return Promise.race([reached, this.failed]);
	}

	#answered() {
		this.answers++;
		[...this.watchers].forEach((watcher) => watcher());
	}

	#scar(what, detail) {
		this.scars.push(`${what}: ${detail}`);
	}

	// One request after the other, each on a connection of its own.
	async #ask() {
		while (!this.over) {
			this.attempts++;
			const began = performance.now();
			try {
				const status = await this.#get('/v1/conversations?limit=1');
				if (status !== 200) {
					this.#scar('request', status);
				}
			} catch (error) {
				this.#scar('request', error.code ?? error.message);
			}
			this.longest = Math.max(this.longest, performance.now() - began);
			this.#answered();
		}
	}

	#get(path) {
		return new Promise((resolve, reject) => {
			const headers = { authorization: `Bearer ${this.key}`, connection: 'close' };
			const request = http.get(this.server.url + path, { headers, agent: false }, (response) => {
				response.resume();
				response.on('end', () => resolve(response.statusCode));
				response.on('error', reject);
			});
			request.on('error', reject);
		});
	}

	// One turn after the other; whenever the connection is lost, or thrown away, the turn goes on on the next one.
	async #converse(n) {
		for (let turn = 0; !this.over; turn++) {
			const question = `client ${n} turn ${turn}`;
			const story = { question, id: undefined, events: [] };
			while (!story.events.some(isTerminal)) {
				await this.#connection(story);
			}
			this.#judge(story);
		}
	}

	#judge({ question, id, events }) {
		const whole = wordsOf(question).join('');
		const { response } = events.at(-1);
		assert.equal(events.filter(isTerminal).length, 1, 'one terminal event');
		assert.equal(outputText(response), textOf(events), 'what streamed is what the response holds');
		if (response.status === 'completed') {
			assert.equal(textOf(events), whole);
		} else {
			assert.equal(response.status, 'incomplete');
			assert.equal(response.incomplete_details.reason, 'server_restart');
			assert.ok(whole.startsWith(textOf(events)));
			this.cut.push({ id, events });
		}
		this.turns[response.status]++;
	}

	async #connection(story) {
		const socket = new WebSocket(this.server.wsUrl, {
			perMessageDeflate: false,
			headers: { authorization: `Bearer ${this.key}` },
		});
		const closed = once(socket, 'close').then(([code]) => code);
		this.attempts++;
		socket.on('unexpected-response', (request, response) => {
			this.#scar('upgrade', response.statusCode);
			socket.terminate();
		});
		socket.on('error', (error) => socket.readyState === WebSocket.CONNECTING && this.#scar('upgrade', error.code ?? error.message));
		const dropAfter = this.random.integer(0, 3) === 0 ? this.random.integer(1, 30) : Infinity;
		let got = 0;
		let refused = false;
		socket.on('message', (data) => {
			const event = JSON.parse(data.toString());
			this.#answered();
			if (event.type === 'error') {
				// Not taken: the server is about to stop. Anything else is a fault.
				refused = event.error.code === 'server_draining';
				assert.ok(refused, data.toString());
			} else if (event.type.startsWith('response.')) {
				assert.equal(event.sequence_number, story.events.length, `no gap, no repeat in "${story.question}"`);
				story.events.push(event);
				story.id ??= event.response.id;
				if (isTerminal(event)) {
					socket.close(1000);
				} else if (++got >= dropAfter) {
					socket.terminate();
				}
			}
		});
		socket.on('open', () => {
			const after = story.events.at(-1)?.sequence_number;
			this.resumed += story.id ? 1 : 0;
			socket.send(
				JSON.stringify(
					story.id
						? { type: 'sluice:response.resume', response_id: story.id, starting_after: after }
						: { type: 'response.create', input: story.question },
				),
			);
		});
		const code = await closed;
		this.closes.set(code, (this.closes.get(code) ?? 0) + 1);
		if (!story.id) {
			this.unanswered++;
		}
		assert.ok([1000, 1012, 1006].includes(code), `closed with ${code}`);
		// Without a goodbye: only where the client itself hung up, or the connection has been counted as a scar.
		if (code === 1006 && got < dropAfter) {
			assert.ok(this.scars.length > 0, 'a connection was lost without a close');
		}
	}
}
