/**
 * Plain requests over HTTP, and how errors look.
 * @module
 */

/** A connection may be dead and not know it. */
const REQUEST_MS = 30_000;

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

/** The end of a turn could not be heard. The response itself may go on at the server. */
export class ConnectionLost extends SluiceError {
	/** @param {string|null} responseId  null when the server had not answered */
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

	/** The newest item of a conversation, or null. @param {AbortSignal} [signal] */
	async newestItem(id, signal) {
		const path = `/v1/conversations/${encodeURIComponent(id)}/items?order=desc&limit=1`;
		const page = await this.#call('GET', path, undefined, signal);
		return page.data[0] ?? null;
	}

	/** All items of a conversation, oldest first; each names its response as `sluice:response_id`. @param {AbortSignal} [signal] */
	async items(id, signal) {
		const items = [];
		let after;
		for (;;) {
			const path = `/v1/conversations/${encodeURIComponent(id)}/items${cursor(after)}`;
			const page = await this.#call('GET', path, undefined, signal);
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

	async #call(method, path, body, signal) {
		const limit = new AbortController();
		const giveUp = () => limit.abort();
		signal?.addEventListener('abort', giveUp);
		const timer = setTimeout(giveUp, REQUEST_MS);
		try {
			return await this.#fetch(method, path, body, limit.signal);
		} finally {
			clearTimeout(timer);
			signal?.removeEventListener('abort', giveUp);
		}
	}

	async #fetch(method, path, body, signal) {
		let answer;
		try {
			answer = await fetch(this.base + path, {
				method,
				credentials: 'same-origin',
				cache: 'no-store',
				signal,
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
