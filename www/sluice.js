/**
 * The protocol client of sluice: plain requests over HTTP, and one WebSocket that keeps itself connected.
 * It and the modules that it imports depend on nothing but the platform, so any page (or Node.js 22) can use them.
 *
 *     const api = new SluiceApi();
 *     await api.session();
 *     const connection = new Connection({ onState: (state) => console.log(state) });
 *     const turn = connection.create({ input: 'Hello' }, (event) => {
 *         if (event.type === 'response.output_text.delta') console.log(event.delta);
 *     });
 *     const response = await turn.done;
 *     connection.create({ input: 'And then?', previous_response_id: response.id });
 *     connection.subscribe(response.conversation.id, {
 *         onTurn: (turn) => (turn.onEvent = (event) => console.log('elsewhere:', event.type)),
 *     });
 *
 * No callback runs inside the call that starts its work.
 * @module
 */

import { ConnectionLost, SluiceApi, SluiceError } from './api.js';
import { ANSWER_MS, Pulse, SILENCE_MS } from './pulse.js';
import { Subscription, Turn } from './turn.js';

export { ConnectionLost, SluiceApi, SluiceError };

/** Close codes after which a new attempt makes sense; every other one is meant for good. */
const TRANSIENT = new Set([1001, 1005, 1006, 1011, 1012, 1013]);
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 20_000;
const HANDSHAKE_MS = 10_000;
/** A connection that lasts this long counts as good, and the next delay starts small again. */
const SETTLED_MS = 5_000;
/** How long a refused resume waits when the server does not say. */
const REFUSED_MS = 1_000;
/** Our own close codes: the numbering of a stream has a hole; nobody answers. */
const CLOSE_GAP = 4000;
const CLOSE_SILENT = 4001;

/** What a cancel gets that crosses the end of its response: nothing is wrong. */
const CROSSED = new Set(['response_not_found', 'response_not_active']);
const TERMINAL = new Set(['response.completed', 'response.incomplete', 'response.failed']);
/** This connection takes no new turns; the next one does. */
const CLOSING = new Set(['server_draining', 'websocket_connection_limit_reached']);
/** Refusals that say nothing about the request itself. */
const LATER = new Set([429, 503]);
/** The names on messages that belong to no turn, so that an error finds its way back. */
const WATCH = 'watch';
const PROBE = 'probe';

/**
 * @typedef {'connecting'|'open'|'waiting'|'signed-out'|'closed'} State
 *   connecting: under way. open: usable. waiting: lost, a new attempt comes at `detail.retryAt` (Date.now() scale).
 *   signed-out: the server no longer knows this browser. closed: by us, or by the server for good (`detail.code`).
 */

/**
 * One WebSocket to `/v1/responses` that reconnects by itself, with growing, jittered delays. Turns that were cut off go on
 * behind the last event they saw, and watched conversations are watched again. A connection that died without a word is
 * found by asking.
 */
export class Connection {
	#options;
	#socket = null;
	#timer = 0;
	#failures = 0;
	#openedAt = 0;
	#closing = false;
	/** Whether the attempt that is under way is to be followed by another one at once. */
	#hurry = false;
	/** Those that have not ended, in the order of their creation. @type {Set<Turn>} */
	#turns = new Set();
	/** @type {Map<string, Subscription>} by conversation */
	#subscriptions = new Map();
	/** The subscription that waits for its answer: one at a time, because an error does not name the conversation. */
	#asking = null;
	#pulse = new Pulse({
		patience: () => this.#patience(),
		ask: () => this.#say({ type: 'sluice:ping', stream_id: PROBE }),
		giveUp: () => this.#giveUp(CLOSE_SILENT, 'no answer'),
	});

	/**
	 * @param {object} [options]
	 * @param {string} [options.url]        default: `/v1/responses` on the page's own host
	 * @param {SluiceApi} [options.api]     asked whether the session still stands when a handshake is refused
	 * @param {(state: State, detail: object) => void} [options.onState]
	 * @param {(error: SluiceError) => void} [options.onError]  errors that end no turn
	 */
	constructor({ url = defaultUrl(), api = new SluiceApi(), onState = () => {}, onError = () => {} } = {}) {
		this.#options = { url, api, onState, onError };
		/** @type {State} */
		this.state = 'connecting';
		this.#timer = setTimeout(() => this.#connect(), 0);
	}

	/**
	 * Starts a turn, beside those that run. It goes out when the connection is open. If that breaks before the server has
	 * answered, a stored turn is sent again under the same key, which starts it once.
	 * @param {object} body  the fields of `response.create`
	 * @param {(event: object) => void} [onEvent]  every event of the response, each number once
	 * @param {() => void} [onCut]  the connection broke; `onBack` of the turn tells when it is back and the events go on
	 * @returns {Turn}
	 */
	create(body, onEvent = () => {}, onCut = () => {}) {
		const key = body.store === false ? {} : { idempotency_key: randomKey() };
		const turn = new Turn({ body: { ...key, ...body }, send: (message) => this.#say(message), withdraw: () => this.#end(turn) });
		turn.onEvent = onEvent;
		turn.onCut = onCut;
		this.#turns.add(turn);
		queueMicrotask(() => this.#sendTurns());
		return turn;
	}

	/**
	 * Watches a conversation until close() of what comes back, over reconnects too. At most one subscription for each
	 * conversation.
	 * @param {string} conversation
	 * @param {object} handlers
	 * @param {() => void} [handlers.onReady]  it is watched, for the first time or again: whatever is not announced from
	 *                                         now on can be read over HTTP
	 * @param {(turn: Turn, asked: {input: object[], previousResponseId: string|null}) => void} [handlers.onTurn]
	 *         a turn of another connection runs; set its onEvent, onCut and onBack before this returns
	 * @param {(error: SluiceError) => void} [handlers.onError]  it cannot be watched
	 * @returns {Subscription}
	 */
	subscribe(conversation, { onReady = () => {}, onTurn = () => {}, onError = () => {} }) {
		const subscription = new Subscription(conversation, { onReady, onTurn, onError }, () => this.#unsubscribe(subscription));
		this.#subscriptions.set(conversation, subscription);
		queueMicrotask(() => this.#askNext());
		return subscription;
	}

	/**
	 * For a button, a woken computer, a network that came back: does not wait for the next attempt, and does not trust a
	 * connection that seems to be open.
	 */
	wake() {
		if (this.state === 'waiting' || this.state === 'closed') {
			clearTimeout(this.#timer);
			this.#connect();
		} else if (this.state === 'open') {
			this.#pulse.check();
		} else {
			this.#hurry = true;
		}
	}

	/** Ends the connection for good. Turns under way reject with ConnectionLost. */
	close() {
		clearTimeout(this.#timer);
		this.#pulse.stop();
		const socket = this.#socket;
		this.#socket = null;
		socket?.close(1000);
		this.#loseTurns(() => true);
		this.#move('closed', { code: 1000 });
	}

	/* The socket. */

	#connect() {
		const socket = new WebSocket(this.#options.url);
		this.#socket = socket;
		this.#openedAt = 0;
		this.#closing = false;
		this.#timer = setTimeout(() => this.#giveUp(CLOSE_SILENT, 'no answer'), HANDSHAKE_MS);
		// A socket that has been replaced must not speak for its successor.
		const ours = (handler) => (event) => this.#socket === socket && handler(event);
		socket.onopen = ours(() => this.#opened());
		socket.onmessage = ours((event) => this.#received(event.data));
		socket.onclose = ours((event) => this.#lost(event));
		this.#move('connecting', {});
	}

	#opened() {
		clearTimeout(this.#timer);
		this.#openedAt = Date.now();
		this.#hurry = false;
		this.#move('open', {});
		// Turns before subscriptions: what runs in a lane is not announced as well.
		this.#sendTurns();
		this.#askNext();
	}

	/** Does not wait for a goodbye that may never come. */
	#giveUp(code, reason) {
		const socket = this.#socket;
		this.#socket = null;
		socket.close(code, reason);
		this.#lost({ code, reason });
	}

	async #lost(event) {
		clearTimeout(this.#timer);
		this.#pulse.stop();
		const opened = this.#openedAt;
		this.#socket = null;
		this.#asking = null;
		this.#subscriptions.forEach((subscription) => subscription.lose());
		const comesBack = TRANSIENT.has(event.code) || event.code === CLOSE_GAP || event.code === CLOSE_SILENT;
		this.#loseTurns((turn) => !comesBack || !turn.keep());
		if (!comesBack) {
			this.#move('closed', { code: event.code, reason: event.reason });
			return;
		}
		this.#failures = opened && Date.now() - opened > SETTLED_MS ? 0 : this.#failures + 1;
		const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures);
		const delay = this.#hurry ? 0 : longest * (0.5 + Math.random() / 2);
		this.#hurry = false;
		this.#timer = setTimeout(() => this.#connect(), delay);
		this.#move('waiting', { retryAt: Date.now() + delay, code: event.code });
		if (!opened) {
			await this.#checkSession();
		}
	}

	/** A browser does not say why a handshake was refused, so ask over HTTP. */
	async #checkSession() {
		const error = await this.#options.api.session().then(() => null, (failure) => failure);
		if (error?.status === 401 && this.state === 'waiting') {
			clearTimeout(this.#timer);
			this.#move('signed-out', {});
		}
	}

	#say(message) {
		if (this.#socket?.readyState === WebSocket.OPEN) {
			this.#socket.send(JSON.stringify(message));
			this.#pulse.said();
		}
	}

	/** How long the server may be silent, as things are. */
	#patience() {
		const turns = [...this.#turns];
		if (this.#asking || turns.some((turn) => turn.lane && !turn.heard)) {
			return ANSWER_MS;
		}
		return turns.length > 0 ? SILENCE_MS : Infinity;
	}

	#received(data) {
		this.#pulse.heard();
		const event = JSON.parse(data);
		if (event.stream_id === PROBE) {
			this.#pulse.answered(); // by a pong, or by a refusal: either is a sign of life
		} else if (event.type === 'error') {
			this.#refused(event, new SluiceError(event.error ?? {}, event.status));
		} else if (event.type === 'sluice:conversation.subscribed') {
			this.#answered(event.conversation);
		} else if (event.type === 'sluice:conversation.unsubscribed') {
			this.#unsubscribed(event.conversation);
		} else if (event.type === 'sluice:conversation.turn') {
			this.#announced(event);
		} else if (event.type === 'sluice:draining') {
			this.#closing = true;
		} else if (typeof event.sequence_number === 'number') {
			this.#advance(event);
		}
	}

	#refused(event, error) {
		this.#closing ||= CLOSING.has(error.code);
		const turn = event.stream_id && this.#find((other) => other.lane === event.stream_id);
		if (turn && !turn.heard) {
			this.#refusedTurn(turn, error);
		} else if (this.#asking && (event.stream_id === WATCH || error.param === 'conversation')) {
			this.#refusedSubscription(error);
		} else if (!CROSSED.has(error.code) && !CLOSING.has(error.code)) {
			this.#options.onError(error);
		}
	}

	/* Turns. */

	#find(fits) {
		for (const turn of this.#turns) {
			if (fits(turn)) {
				return turn;
			}
		}
		return null;
	}

	/** Each turn has a lane of its own, so that an error has one possible owner. */
	#sendTurns() {
		if (this.state !== 'open' || this.#closing) {
			return;
		}
		const taken = new Set([...this.#turns].map((turn) => turn.lane));
		let number = 1;
		for (const turn of this.#turns) {
			if (turn.lane || turn.followed) {
				continue;
			}
			while (taken.has(`turn-${number}`)) {
				number++;
			}
			turn.lane = `turn-${number++}`;
			this.#say(turn.request());
			turn.repeatCancel();
		}
	}

	#refusedTurn(turn, error) {
		if (CLOSING.has(error.code)) {
			turn.lane = null; // it goes out on the next connection
		} else if (turn.responseId && LATER.has(error.status)) {
			turn.lane = null;
			setTimeout(() => this.#sendTurns(), error.retryAfterMs ?? REFUSED_MS);
		} else {
			this.#end(turn);
			turn.fail(turn.responseId ? new ConnectionLost(turn.responseId) : error);
		}
	}

	#advance(event) {
		const lane = event.stream_id;
		const id = event['sluice:response_id'];
		const turn = this.#find((other) => (lane ? other.lane === lane : other.responseId === id));
		if (!turn) {
			return;
		}
		turn.heard = true;
		const last = TERMINAL.has(event.type);
		if (event.sequence_number > turn.nextNumber) {
			this.#giveUp(CLOSE_GAP, 'gap in sequence numbers');
			return;
		}
		// A killed server may have kept less than was seen; then the end has an earlier number.
		if (event.sequence_number < turn.nextNumber && !last) {
			return;
		}
		if (!turn.responseId && event.response) {
			this.#supersede(event.response.id);
		}
		turn.take(event);
		if (last) {
			this.#end(turn);
			turn.finish(event.response);
			this.#sendTurns();
		}
	}

	/** A turn that was sent again may have been announced meanwhile: its own lane speaks for it now. */
	#supersede(id) {
		const twin = this.#find((turn) => turn.responseId === id);
		if (twin) {
			this.#end(twin);
		}
	}

	#end(turn) {
		this.#turns.delete(turn);
	}

	#loseTurns(isLost) {
		for (const turn of [...this.#turns].filter(isLost)) {
			this.#end(turn);
			turn.fail(new ConnectionLost(turn.responseId));
		}
	}

	/* Subscriptions. */

	#askNext() {
		if (this.state !== 'open' || this.#asking) {
			return;
		}
		for (const subscription of this.#subscriptions.values()) {
			if (!subscription.asked) {
				subscription.asked = true;
				this.#asking = subscription;
				this.#say({ type: 'sluice:conversation.subscribe', stream_id: WATCH, conversation: subscription.conversation });
				return;
			}
		}
	}

	#answered(conversation) {
		const subscription = this.#asking;
		if (subscription?.conversation !== conversation) {
			return;
		}
		this.#asking = null;
		this.#askNext();
		if (!subscription.closed) {
			subscription.ready = true;
			subscription.handlers.onReady();
		}
	}

	#refusedSubscription(error) {
		const subscription = this.#asking;
		this.#asking = null;
		if (LATER.has(error.status) && error.code !== 'subscription_limit_reached') {
			setTimeout(() => {
				subscription.asked = false;
				this.#askNext();
			}, error.retryAfterMs ?? REFUSED_MS);
			return;
		}
		this.#forget(subscription);
		this.#askNext();
		if (!subscription.closed) {
			subscription.handlers.onError(error);
		}
	}

	#unsubscribe(subscription) {
		if (this.#subscriptions.get(subscription.conversation) !== subscription) {
			return;
		}
		this.#forget(subscription);
		if (subscription.asked) {
			this.#say({ type: 'sluice:conversation.unsubscribe', stream_id: WATCH, conversation: subscription.conversation });
		}
	}

	#forget(subscription) {
		if (this.#subscriptions.get(subscription.conversation) === subscription) {
			this.#subscriptions.delete(subscription.conversation);
		}
		for (const turn of [...this.#turns].filter((other) => other.followed === subscription)) {
			this.#end(turn);
			turn.fail(new ConnectionLost(turn.responseId));
		}
	}

	/** It may have been closed before its own answer came, which then comes never. */
	#unsubscribed(conversation) {
		if (this.#asking?.closed && this.#asking.conversation === conversation) {
			this.#asking = null;
			this.#askNext();
		}
	}

	#announced(event) {
		const id = event['sluice:response_id'];
		const subscription = this.#subscriptions.get(event.conversation);
		if (!subscription || this.#find((turn) => turn.responseId === id)) {
			return;
		}
		const turn = new Turn({ responseId: id, send: (message) => this.#say(message) });
		turn.followed = subscription;
		turn.heard = true;
		this.#turns.add(turn);
		subscription.handlers.onTurn(turn, { input: event.input, previousResponseId: event.previous_response_id });
	}

	#move(state, detail) {
		this.state = state;
		this.#options.onState(state, detail);
	}
}

/** A browser gives randomUUID() to secure pages only; a chat in the home network may be none. */
function randomKey() {
	return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function defaultUrl() {
	const url = new URL('/v1/responses', globalThis.location?.href ?? 'http://127.0.0.1:8080');
	url.protocol = url.protocol.replace('http', 'ws');
	return url.href;
}
