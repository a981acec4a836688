/**
 * The protocol client of sluice: plain requests over HTTP, and one WebSocket that keeps itself connected.
 * It depends on nothing but the platform, so any page (or Node.js 22) can import it.
 *
 *     const api = new SluiceApi();
 *     await api.session();
 *     const connection = new Connection({ onState: (state) => console.log(state) });
 *     const turn = connection.create({ input: 'Hello' }, (event) => {
 *         if (event.type === 'response.output_text.delta') console.log(event.delta);
 *     });
 *     const response = await turn.done;
 *     connection.create({ input: 'And then?', previous_response_id: response.id });
 *
 * No callback runs inside the call that starts its work.
 * @module
 */

/** Anything that went wrong, with the fields of the protocol's error object. */
export class SluiceError extends Error {
	/**
	 * @param {{message?: string, type?: string, code?: string, param?: string, retry_after_ms?: number}} error
	 * @param {number} [status]  of HTTP; 0 when no answer came
	 */
	constructor(error, status = 0) {
		super(error.message || 'The request failed.');
		this.name = 'SluiceError';
		this.status = status;
		this.type = error.type ?? null;
		this.code = error.code ?? null;
		this.param = error.param ?? null;
		/** Milliseconds to wait before trying again, or null. */
		this.retryAfterMs = error.retry_after_ms ?? null;
	}
}

/** The connection ended while a turn was under way. The response itself may go on at the server. */
export class ConnectionLost extends SluiceError {
	/** @param {string|null} responseId  null when the server had not yet answered */
	constructor(responseId) {
		super({ message: 'The connection was lost.', code: 'connection_lost' });
		this.name = 'ConnectionLost';
		this.responseId = responseId;
	}
}

/** The requests a chat page needs. A browser is known by its session cookie, so there is no key in here. */
export class SluiceApi {
	/** @param {string} [base]  origin of the server; its own by default */
	constructor(base = '') {
		this.base = base;
	}

	/** Trades the one-time token of a sign-in address for a session cookie. */
	signIn(token) {
		return this.#call('POST', '/v1/session', { token });
	}

	/** Who is signed in. Rejects with status 401 when nobody is. */
	session() {
		return this.#call('GET', '/v1/session');
	}

	signOut() {
		return this.#call('DELETE', '/v1/session');
	}

	models() {
		return this.#call('GET', '/v1/models');
	}

	/** A page of the list, newest first. @param {{after?: string}} [page] */
	conversations({ after } = {}) {
		return this.#call('GET', `/v1/conversations${cursor(after)}`);
	}

	deleteConversation(id) {
		return this.#call('DELETE', `/v1/conversations/${encodeURIComponent(id)}`);
	}

	/** All items of a conversation, oldest first. */
	async items(id) {
		const items = [];
		let after;
		for (;;) {
			const page = await this.#call('GET', `/v1/conversations/${encodeURIComponent(id)}/items${cursor(after)}`);
			items.push(...page.data);
			if (!page.has_more || page.data.length === 0) {
				return items;
			}
			after = page.last_id;
		}
	}

	response(id) {
		return this.#call('GET', `/v1/responses/${encodeURIComponent(id)}`);
	}

	async #call(method, path, body) {
		let answer;
		try {
			answer = await fetch(this.base + path, {
				method,
				credentials: 'same-origin',
				cache: 'no-store',
				headers: body === undefined ? {} : { 'content-type': 'application/json' },
				body: body === undefined ? undefined : JSON.stringify(body),
			});
		} catch {
			throw new SluiceError({ message: 'The server does not answer.', code: 'unreachable' });
		}
		if (answer.status === 204) {
			return null;
		}
		const parsed = await answer.json().catch(() => ({}));
		if (!answer.ok) {
			throw new SluiceError(httpError(parsed.error, answer), answer.status);
		}
		return parsed;
	}
}

function cursor(after) {
	return after ? `?after=${encodeURIComponent(after)}` : '';
}

function httpError(error, answer) {
	const seconds = Number(answer.headers.get('retry-after'));
	const fallback = { message: `The server answered with status ${answer.status}.` };
	return { ...(seconds > 0 ? { retry_after_ms: seconds * 1000 } : {}), ...(error ?? fallback) };
}

/** Close codes after which a new attempt makes sense; every other one is meant for good. */
const TRANSIENT = new Set([1001, 1005, 1006, 1011, 1012, 1013]);
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 20_000;
const HANDSHAKE_MS = 10_000;
/** A connection that lasts this long counts as good, and the next delay starts small again. */
const SETTLED_MS = 5_000;
/** Our own close code for a stream whose numbering has a hole. */
const CLOSE_GAP = 4000;

/** What a cancel gets that crosses the end of its response: nothing is wrong. */
const CROSSED = new Set(['response_not_found', 'response_not_active']);
const TERMINAL = new Set(['response.completed', 'response.incomplete', 'response.failed']);

/**
 * @typedef {'connecting'|'open'|'waiting'|'signed-out'|'closed'} State
 *   connecting: under way. open: usable. waiting: lost, a new attempt comes at `detail.retryAt` (Date.now() scale).
 *   signed-out: the server no longer knows this browser. closed: by us, or by the server for good (`detail.code`).
 */

/**
 * One WebSocket to `/v1/responses` that reconnects by itself, with growing, jittered delays, and goes on with the answer
 * that was cut off behind the last event it saw.
 */
export class Connection {
	#options;
	#socket = null;
	#timer = 0;
	#failures = 0;
	#openedAt = 0;
	/** Turns in the order of their creation; only the first is at the server, so an error has one possible owner. */
	#turns = [];

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
	 * Starts a turn. It goes out when the connection is open and earlier turns have ended.
	 * @param {object} body  the fields of `response.create`
	 * @param {(event: object) => void} [onEvent]  every event of the response, each number once
	 * @param {() => void} [onCut]  the connection broke; the events go on once it is back
	 * @returns {Turn}
	 */
	create(body, onEvent = () => {}, onCut = () => {}) {
		const turn = new Turn(body, onEvent, (message) => this.#sendCancel(turn, message));
		turn.onCut = onCut;
		this.#turns.push(turn);
		queueMicrotask(() => this.#startNext());
		return turn;
	}

	/** Does not wait for the next attempt: for a button, a woken computer, a network that came back. */
	wake() {
		if (this.state === 'waiting' || this.state === 'closed') {
			clearTimeout(this.#timer);
			this.#connect();
		}
	}

	/** Ends the connection for good. Turns under way reject with ConnectionLost. */
	close() {
		clearTimeout(this.#timer);
		const socket = this.#socket;
		this.#socket = null;
		socket?.close(1000);
		this.#loseTurns();
		this.#move('closed', { code: 1000 });
	}

	#connect() {
		const socket = new WebSocket(this.#options.url);
		this.#socket = socket;
		this.#openedAt = 0;
		this.#timer = setTimeout(() => socket.close(), HANDSHAKE_MS);
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
		this.#move('open', {});
		this.#startNext();
	}

	async #lost(event) {
		clearTimeout(this.#timer);
		const opened = this.#openedAt;
		this.#socket = null;
		const comesBack = TRANSIENT.has(event.code) || event.code === CLOSE_GAP;
		if (comesBack && this.#turns[0]?.keep()) {
			this.#turns[0].onCut();
		} else {
			this.#loseTurns();
		}
		if (!comesBack) {
			this.#move('closed', { code: event.code, reason: event.reason });
			return;
		}
		this.#failures = opened && Date.now() - opened > SETTLED_MS ? 0 : this.#failures + 1;
		const delay = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures) * (0.5 + Math.random() / 2);
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

	#received(data) {
		const event = JSON.parse(data);
		const turn = this.#turns[0];
		if (event.type === 'error') {
			this.#refused(event, turn);
		} else if (turn?.sent && typeof event.sequence_number === 'number') {
			this.#advance(turn, event);
		}
	}

	#refused(event, turn) {
		const error = new SluiceError(event.error ?? {}, event.status);
		if (turn?.sent && (!turn.responseId || turn.resuming)) {
			this.#turns.shift();
			turn.fail(turn.resuming ? new ConnectionLost(turn.responseId) : error);
			this.#startNext();
		} else if (!CROSSED.has(error.code)) {
			this.#options.onError(error);
		}
	}

	#advance(turn, event) {
		if (event.sequence_number < turn.nextNumber) {
			return;
		}
		if (event.sequence_number > turn.nextNumber) {
			this.#socket.close(CLOSE_GAP, 'gap in sequence numbers');
			return;
		}
		turn.resuming = false;
		turn.take(event);
		if (TERMINAL.has(event.type)) {
			this.#turns.shift();
			turn.finish(event.response);
			this.#startNext();
		}
	}

	#startNext() {
		const turn = this.#turns[0];
		if (this.state !== 'open' || !turn || turn.sent) {
			return;
		}
		turn.sent = true;
		this.#socket.send(JSON.stringify(turn.request()));
		turn.repeatCancel();
	}

	#sendCancel(turn, message) {
		if (turn.sent) {
			this.#socket?.send(JSON.stringify(message));
			return;
		}
		if (turn.resuming) {
			return; // said again once it is resumed
		}
		this.#turns = this.#turns.filter((other) => other !== turn);
		turn.fail(new SluiceError({ message: 'Stopped before it began.', code: 'cancelled' }));
	}

	#loseTurns() {
		for (const turn of this.#turns.splice(0)) {
			turn.fail(new ConnectionLost(turn.responseId));
		}
	}

	#move(state, detail) {
		this.state = state;
		this.#options.onState(state, detail);
	}
}

/** One request and its answer, made by Connection.create(). */
class Turn {
	#onEvent;
	#send;
	#resolve;
	#reject;
	#stopping = false;

	constructor(body, onEvent, send) {
		this.body = body;
		this.#onEvent = onEvent;
		this.#send = send;
		this.sent = false;
		/** Cut off, and to be asked for again from `nextNumber` on. */
		this.resuming = false;
		this.nextNumber = 0;
		/** @type {string|null} known from the first event on */
		this.responseId = null;
		/**
		 * The final response object: status `completed`, `incomplete` or `failed`. Rejects with a SluiceError when
		 * the request was refused, with ConnectionLost when the end was not heard.
		 * @type {Promise<object>}
		 */
		this.done = new Promise((resolve, reject) => {
			this.#resolve = resolve;
			this.#reject = reject;
		});
		this.done.catch(() => {});
	}

	/** Asks the server to stop. The answer then ends with status `incomplete`, reason `cancelled`. */
	cancel() {
		if (this.#stopping) {
			return;
		}
		this.#stopping = true;
		if (this.responseId || !this.sent) {
			this.#send({ type: 'response.cancel', response_id: this.responseId });
		}
	}

	/** The connection broke: whether the rest of the answer can be asked for on the next one. */
	keep() {
		this.resuming = this.responseId !== null && this.body.store !== false;
		this.sent &&= !this.resuming;
		return this.resuming;
	}

	request() {
		if (!this.resuming) {
			return { type: 'response.create', ...this.body };
		}
		return { type: 'sluice:response.resume', response_id: this.responseId, starting_after: this.nextNumber - 1 };
	}

	/** A stop that the broken connection may have swallowed. */
	repeatCancel() {
		if (this.resuming && this.#stopping) {
			this.#send({ type: 'response.cancel', response_id: this.responseId });
		}
	}

	take(event) {
		this.nextNumber = event.sequence_number + 1;
		if (!this.responseId && event.response) {
			this.responseId = event.response.id;
			if (this.#stopping) {
				this.#send({ type: 'response.cancel', response_id: this.responseId });
			}
		}
		this.#onEvent(event);
	}

	finish(response) {
		this.#resolve(response);
	}

	fail(error) {
		this.#reject(error);
	}
}

function defaultUrl() {
	const url = new URL('/v1/responses', globalThis.location?.href ?? 'http://127.0.0.1:8080');
	url.protocol = url.protocol.replace('http', 'ws');
	return url.href;
}
