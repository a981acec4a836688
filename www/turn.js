/**
 * What a connection hands out: turns and watched conversations.
 * @module
 */

import { SluiceError } from './api.js';

/** A watched conversation, made by Connection.subscribe(). */
export class Subscription {
	#close;

	constructor(conversation, handlers, close) {
		this.conversation = conversation;
		this.handlers = handlers;
		this.#close = close;
		/** Whether the server was asked, on this connection. */
		this.asked = false;
		/** Whether it is watched now. */
		this.ready = false;
		this.closed = false;
	}

	/** The connection broke. */
	lose() {
		this.asked = false;
		this.ready = false;
	}

	/** Ends it. Turns of other connections that came through it reject with ConnectionLost. */
	close() {
		this.closed = true;
		this.#close();
	}
}

/** One request and its answer: made by Connection.create(), or of another connection and handed to `onTurn`. */
export class Turn {
	#body;
	#send;
	#withdraw;
	#resolve;
	#reject;

	constructor({ body = null, responseId = null, send, withdraw }) {
		this.#body = body;
		this.#send = send;
		this.#withdraw = withdraw;
		this.onEvent = () => {};
		this.onCut = () => {};
		this.onBack = () => {};
		/** The name under which it runs on this connection; null while it does not. */
		this.lane = null;
		/** The subscription that brings it, if that does. */
		this.followed = null;
		/** Whether anything of it came on this connection. */
		this.heard = false;
		this.nextNumber = 0;
		/** Whether it was sent, on this connection or before. */
		this.wasSent = false;
		/** Whether the connection broke under it and is not back. */
		this.wasCut = false;
		/** Whether cancel() was called. */
		this.stopping = false;
		/** @type {string|null} known from the first event on */
		this.responseId = responseId;
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
		if (this.stopping) {
			return;
		}
		this.stopping = true;
		if (this.responseId) {
			this.#sendCancel();
		} else if (!this.lane && !this.wasSent) {
			this.#withdraw();
			this.fail(new SluiceError({ message: 'Stopped before it began.', code: 'cancelled' }));
		}
	}

	/** The connection broke: whether the turn can go on with the next one. */
	keep() {
		const underWay = this.lane !== null || this.followed !== null;
		const known = this.responseId !== null;
		const kept = !underWay || (known ? this.#body?.store !== false : Boolean(this.#body.idempotency_key));
		this.lane = null;
		this.followed = null;
		this.heard = false;
		if (kept && underWay) {
			this.wasCut = true;
			this.onCut();
		}
		return kept;
	}

	request() {
		if (this.wasCut) {
			this.wasCut = false;
			this.onBack();
		}
		this.wasSent = true;
		if (!this.responseId) {
			return { type: 'response.create', stream_id: this.lane, ...this.#body };
		}
		const position = this.nextNumber > 0 ? { starting_after: this.nextNumber - 1 } : {};
		return { type: 'sluice:response.resume', stream_id: this.lane, response_id: this.responseId, ...position };
	}

	/** A stop that the broken connection may have swallowed. */
	repeatCancel() {
		if (this.responseId && this.stopping) {
			this.#sendCancel();
		}
	}

	take(event) {
		this.nextNumber = event.sequence_number + 1;
		if (!this.responseId && event.response) {
			this.responseId = event.response.id;
			if (this.stopping) {
				this.#sendCancel();
			}
		}
		this.onEvent(event);
	}

	finish(response) {
		this.#resolve(response);
	}

	fail(error) {
		this.#reject(error);
	}

	#sendCancel() {
		this.#send({ type: 'response.cancel', response_id: this.responseId });
	}
}
