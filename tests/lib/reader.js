// Readers of a response: what each was sent, over a WebSocket or over SSE, and how its reading ended.
import http from 'node:http';
import WebSocket from 'ws';
import { isTerminal } from './check.js';

/** One reading of one response, from event `from` on. */
export class Reading {
	constructor({ answer, from = 0, how, epoch }) {
		Object.assign(this, { answer, from, how, epoch });
		this.events = [];
		this.offset = from === 0 ? 0 : answer.offsets.get(from - 1); // characters of the text that it has
		this.ended = false; // it got the terminal event
		this.over = false; // nothing more can come
		this.error = undefined; // the error that it got in place of events
		this.complaints = []; // what no reader may see
		this.watchers = new Set();
	}

	take(event) {
		if (this.over) {
			return;
		}
		if (this.events.length === 0 && isTerminal(event) && event.sequence_number < this.from) {
			this.ahead = true; // a killed server left less than was asked for
		} else if (event.sequence_number !== this.from + this.events.length) {
			this.complaints.push(`event ${event.sequence_number} came where ${this.from + this.events.length} was due`);
		}
		if (this.ended) {
			this.complaints.push(`${event.type} came behind the terminal event`);
		}
		this.events.push(event);
		this.#learn(event);
		if (isTerminal(event)) {
			this.ended = true;
			this.answer.ended = true;
			this.finish();
		}
		this.#wake();
	}

	/** What a client knows of a response, it knows from events. */
	#learn(event) {
		const { answer } = this;
		if (event.response) {
			answer.id ??= event.response.id;
			answer.conversation ??= event.response.conversation?.id;
		}
		if (event.delta !== undefined && this.offset !== undefined) {
			this.offset += event.delta.length;
		}
		if (this.offset !== undefined && !answer.offsets.has(event.sequence_number)) {
			answer.offsets.set(event.sequence_number, this.offset);
		}
		answer.last = Math.max(answer.last, event.sequence_number);
		answer.seen = Math.max(answer.seen, this.offset ?? 0);
	}

	fail(error) {
		this.error = error;
		this.finish();
	}

	finish() {
		this.over = true;
		this.#wake();
	}

	#wake() {
		for (const watcher of [...this.watchers]) {
			watcher();
		}
	}

	/** Resolves as soon as `holds` does, which is asked again whenever something came. */
	until(holds) {
		return new Promise((resolve) => {
			const watcher = () => {
				if (holds()) {
					this.watchers.delete(watcher);
					resolve();
				}
			};
			this.watchers.add(watcher);
			watcher();
		});
	}

	toString() {
		const last = this.events.at(-1);
		const state = this.ended ? 'ended' : this.error ? `refused (${this.error.code})` : this.over ? 'cut' : 'waiting';
		return `${this.how} of answer ${this.answer.number} from ${this.from}: ${this.events.length} events, last ${last?.type ?? 'none'}, ${state}`;
	}
}

/** Errors about a cancel, not about what is being read. */
const LATE_CANCEL = ['response_not_active', 'missing_required_parameter'];

/**
 * A device with a WebSocket. In each of its lanes one reading follows the other; beside them it follows the turns of the
 * conversations that it subscribed to. `announced(device, message)` gives the reading of such a turn.
 */
export class Device {
	constructor(server, key, announced) {
		this.lanes = new Map(); // name -> the readings that are not over, in order
		this.follows = new Map(); // response id -> reading
		this.subscriptions = new Map(); // conversation -> whether it was confirmed
		this.announced = announced;
		this.notes = []; // what is not about a reading
		this.watchers = new Set();
		this.paused = false;
		this.over = false;
		this.socket = new WebSocket(server.wsUrl, {
			perMessageDeflate: false,
			maxPayload: 0,
			headers: { authorization: `Bearer ${key}` },
		});
		this.open = new Promise((resolve) => {
			this.socket.once('open', () => resolve(true));
			this.socket.once('close', () => resolve(false));
		});
		this.socket.on('error', () => {});
		this.socket.on('message', (data) => this.#take(JSON.parse(data.toString('utf8'))));
		this.socket.once('close', (code) => this.#close(code));
	}

	/** Every reading that is not over. */
	get readings() {
		return [...this.lanes.values(), ...this.follows.values()].flat().filter((reading) => !reading.over);
	}

	#take({ stream_id: name = '', 'sluice:response_id': followed, ...message }) {
		if (this.over) {
			return; // what was on its way when the client cut the connection
		}
		if (followed) {
			this.#follow(followed, message);
		} else {
			this.#takeInLane(this.lanes.get(name) ?? [], message);
		}
		this.watchers.forEach((watcher) => watcher());
	}

	#takeInLane(lane, message) {
		const [reading] = lane;
		if (message.sequence_number !== undefined && reading) {
			reading.take(message);
		} else if (message.type === 'error' && !LATE_CANCEL.includes(message.error.code) && reading) {
			reading.fail(message.error);
		} else {
			this.#note(message);
		}
		if (reading?.over) {
			lane.shift();
		}
	}

	#note(message) {
		if (message.type === 'sluice:conversation.subscribed') {
			this.subscriptions.set(message.conversation, true);
		}
		this.notes.push(message);
	}

	#follow(id, message) {
		const reading = this.follows.get(id);
		if (message.type !== 'sluice:conversation.turn') {
			reading.take(message);
		} else if (reading) {
			reading.complaints.push('its turn was announced twice');
		} else {
			const fresh = this.announced(message);
			fresh.device = this;
			this.follows.set(id, fresh);
		}
	}

	#close(code) {
		this.over = true;
		this.code = code;
		this.readings.forEach((reading) => reading.finish());
		this.watchers.forEach((watcher) => watcher());
	}

	read(reading, message, lane = '') {
		reading.device = this;
		reading.lane = lane;
		this.lanes.set(lane, [...(this.lanes.get(lane) ?? []), reading]);
		this.send(message, lane);
	}

	send(message, lane = '') {
		this.socket.send(JSON.stringify(lane === '' ? message : { ...message, stream_id: lane }));
	}

	/** Watches a conversation; resolves when that is confirmed, or can't be any more. */
	subscribe(conversation) {
		if (!this.subscriptions.has(conversation)) {
			this.subscriptions.set(conversation, false);
			this.send({ type: 'sluice:conversation.subscribe', conversation });
		}
		return this.until(() => this.over || this.paused || this.subscriptions.get(conversation));
	}

	/** Resolves as soon as `holds` does, which is asked again whenever something came. */
	until(holds) {
		return new Promise((resolve) => {
			const watcher = () => {
				if (holds()) {
					this.watchers.delete(watcher);
					resolve();
				}
			};
			this.watchers.add(watcher);
			watcher();
		});
	}

	/** A reading behind another one in its lane waits for it. */
	waits(reading) {
		return (this.lanes.get(reading.lane) ?? []).indexOf(reading) > 0;
	}

	pause() {
		this.paused = true;
		this.socket.pause();
	}

	resume() {
		this.paused = false;
		this.socket.resume();
	}

	cut(how) {
		this.readings.forEach((reading) => reading.finish());
		this.over = true;
		this.watchers.forEach((watcher) => watcher());
		if (how === 'close') {
			this.resume();
			this.socket.close(1000);
		} else {
			this.socket.terminate();
		}
	}
}

/** The events of a text/event-stream: { event, data }. Lines end with \n alone: U+2028 and its like stand in the text. */
export function parseStream(text) {
	const blocks = text.split('\n\n').filter((block) => block !== '');
	const field = (line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)];
	return blocks.map((block) => Object.fromEntries(block.split('\n').map(field)));
}

/** One reading over SSE, with a connection of its own. */
export class Stream {
	constructor(server, key, reading, { method = 'GET', path, body }) {
		this.reading = reading;
		this.paused = false;
		reading.device = this;
		const headers = { authorization: `Bearer ${key}`, ...(body ? { 'content-type': 'application/json' } : {}) };
		const { host, port } = server;
		this.request = http.request({ host, port, method, path, headers, agent: false }, (response) => {
			this.response = response;
			let rest = '';
			response.setEncoding('utf8');
			response.on('data', (piece) => {
				rest += piece;
				const end = rest.lastIndexOf('\n\n');
				if (response.statusCode === 200 && end >= 0) {
					parseStream(rest.slice(0, end)).forEach((event) => this.#take(event));
					rest = rest.slice(end + 2);
				}
			});
			response.on('end', () => response.complete && !this.over && this.#end(response.statusCode, rest));
			response.on('error', () => reading.finish());
			response.on('close', () => reading.finish());
			if (this.paused) {
				response.pause();
			}
		});
		this.request.on('error', () => reading.finish());
		this.request.end(body ? JSON.stringify(body) : undefined);
	}

	#take({ event: name, data }) {
		const { reading } = this;
		if (data === '[DONE]') {
			this.done = true;
			return;
		}
		const event = JSON.parse(data);
		if (event.type !== name) {
			reading.complaints.push(`the event is named ${name} and is a ${event.type}`);
		}
		reading.take(event);
	}

	#end(status, rest) {
		const { reading } = this;
		if (status !== 200) {
			reading.fail(JSON.parse(rest).error);
		} else if (!this.done) {
			reading.complaints.push('the stream ended in order, but without [DONE]');
		}
		reading.finish();
	}

	waits() {
		return false;
	}

	pause() {
		this.paused = true;
		this.response?.pause();
	}

	resume() {
		this.paused = false;
		this.response?.resume();
	}

	cut() {
		this.over = true;
		this.reading.finish();
		this.request.destroy();
	}
}
