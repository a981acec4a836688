// A WebSocket client that collects what it is sent and waits for what a test names.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { checkStream, isTerminal } from './check.js';
import { within } from './server.js';

const PATIENCE_MS = 30_000;

class Chat {
	constructor(socket) {
		this.socket = socket;
		this.events = []; // all of them, in order
		this.texts = []; // the same, as the bytes that came
		this.seen = 0; // how many a turn() has used up
		this.watchers = new Set();
		this.over = false;
		this.closed = new Promise((resolve) => {
			socket.on('close', (code, reason) => {
				this.over = true;
				this.#wake();
				resolve({ code, reason: reason.toString() });
			});
		});
		socket.on('error', (error) => (this.error = error));
		socket.on('message', (data, isBinary) => {
			assert.ok(!isBinary, 'the server sends text');
			this.texts.push(data.toString('utf8'));
			this.events.push(JSON.parse(this.texts.at(-1)));
			this.#wake();
		});
	}

	#wake() {
		for (const watcher of [...this.watchers]) {
			watcher();
		}
	}

	/** An object is sent as JSON; a text or bytes as they are (bytes as a binary message). */
	send(message) {
		const plain = typeof message === 'string' || message instanceof Uint8Array;
		this.socket.send(plain ? message : JSON.stringify(message));
	}

	/** Sends bytes as a text message, whether or not they are UTF-8. */
	sendText(bytes) {
		this.socket.send(bytes, { binary: false });
	}

	/** The first event from number `from` on that fits; rejects when the socket closes or patience ends first. */
	wait(fits, { from = this.seen, patience = PATIENCE_MS } = {}) {
		const seen = () => `saw ${JSON.stringify(this.events.slice(from).map((event) => event.type))}`;
		const found = new Promise((resolve, reject) => {
			let at = from;
			const watcher = () => {
				for (; at < this.events.length; at++) {
					if (fits(this.events[at])) {
						this.watchers.delete(watcher);
						return resolve(this.events[at]);
					}
				}
				if (this.over) {
					this.watchers.delete(watcher);
					reject(new Error(`closed before the event came; ${seen()}`));
				}
			};
			this.watchers.add(watcher);
			watcher();
		});
		return within(patience, found, () => `the event did not come within ${patience} ms; ${seen()}`);
	}

	type(type, options) {
		return this.wait((event) => event.type === type, options);
	}

	/** The next error event. */
	async nextError(options) {
		const error = await this.type('error', options);
		this.seen = this.events.indexOf(error) + 1;
		return error;
	}

	/** Sends a turn; `await turn.created`, then `await turn.end` for what checkStream() gives and the events. */
	begin(request, { patience = 60_000 } = {}) {
		const from = this.events.length;
		this.send({ type: 'response.create', ...request });
		// Not one that this connection only follows, nor one of another lane.
		const own = (event) => !event['sluice:response_id'] && event.stream_id === request.stream_id;
		const created = this.wait((event) => own(event) && event.type === 'response.created', { from }).then(
			(event) => event.response,
		);
		created.catch(() => {});
		let begun = false;
		const ends = (event) => {
			if (!own(event)) {
				return false;
			}
			begun ||= event.type === 'response.created';
			// Once it has begun it ends by an event of its own; an error then is about something else, as is one about a
			// cancel that came too late for the turn before.
			return isTerminal(event) || (!begun && event.type === 'error' && event.error.param !== 'response_id');
		};
		const end = this.wait(ends, { from, patience }).then((last) => {
			const upTo = this.events.indexOf(last) + 1;
			this.seen = Math.max(this.seen, upTo);
			assert.notEqual(last.type, 'error', `an error in place of an answer: ${JSON.stringify(last)}`);
			const events = this.events.slice(from, upTo).filter((event) => own(event) && event.type.startsWith('response.'));
			return { events, ...checkStream(events) };
		});
		end.catch(() => {});
		return { created, end, from };
	}

	/** A whole turn: sends it and checks every event up to its end. */
	turn(request) {
		return this.begin(typeof request === 'string' ? { input: request } : request).end;
	}

	async close(code = 1000) {
		this.socket.close(code);
		return this.closed;
	}

	/** Tears the connection down; no goodbye. */
	drop() {
		this.socket.terminate();
	}
}

/** An open WebSocket to the server. */
export async function connect(server, { key, headers = {}, protocols, ...options } = {}) {
	const socket = new WebSocket(server.wsUrl, protocols, {
		perMessageDeflate: false,
		maxPayload: 0,
		...options,
		headers: { ...(key ? { authorization: `Bearer ${key}` } : {}), ...headers },
	});
	const chat = new Chat(socket);
	await within(
		PATIENCE_MS,
		new Promise((resolve, reject) => {
			socket.once('open', resolve);
			socket.once('error', reject);
		}),
		'the WebSocket did not open',
	);
	return chat;
}

/** Tries to upgrade and gives the HTTP answer that refuses it: { status, headers, body }. */
export function refused(server, { key, headers = {}, ...options } = {}) {
	const attempt = new Promise((resolve, reject) => {
		const socket = new WebSocket(server.wsUrl, {
			...options,
			headers: { ...(key ? { authorization: `Bearer ${key}` } : {}), ...headers },
		});
		socket.on('open', () => {
			socket.terminate();
			reject(new Error('the upgrade was not refused'));
		});
		socket.on('unexpected-response', (request, response) => {
			const pieces = [];
			response.on('data', (piece) => pieces.push(piece));
			response.on('error', reject);
			response.on('end', () => {
				resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces).toString() });
			});
		});
		socket.on('error', reject);
	});
	return within(PATIENCE_MS, attempt, 'neither upgraded nor refused');
}
