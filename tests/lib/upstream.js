// A fake Chat Completions server that does what the test tells it to, byte by byte.
//
// A reply is an async function of one Exchange. Which reply a request gets: the first queued one, else the first
// rule whose matcher fits the text of the last user message, else the fallback (an echo, told plainly).
import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { once } from 'node:events';
import { within } from './server.js';

/** A promise that the test settles by hand: `await gate.passed` on one side, `gate.open()` on the other. */
export function gate() {
	const g = {};
	g.passed = new Promise((resolve) => (g.open = resolve));
	return g;
}

export const messageText = (message) =>
	typeof message?.content === 'string'
		? message.content
		: (message?.content ?? []).map((part) => part.text ?? '').join('');

let completions = 0;

/** One request to the upstream and the means to answer it. */
class Exchange {
	constructor(request, response, body) {
		this.method = request.method;
		this.path = request.url;
		this.headers = request.headers;
		this.text = body.toString('utf8');
		try {
			this.body = JSON.parse(this.text);
		} catch {
			this.body = undefined;
		}
		this.messages = this.body?.messages ?? [];
		this.question = messageText(this.messages.filter((message) => message.role === 'user').at(-1));
		this.id = `chatcmpl-${++completions}`;
		this.ended = false;
		/** Resolves when the connection's answer is over: `early` is true when the client hung up first. */
		this.closed = new Promise((resolve) => {
			response.once('close', () => {
				this.gone = true;
				resolve({ early: !this.ended, at: performance.now() });
			});
		});
		this.gone = false;
		this.response = response;
		this.socket = request.socket;
	}

	/** Resolves when the client has hung up before the answer was over, as it must soon: its own deadlines come later. */
	async hungUp() {
		const { early } = await within(5_000, this.closed, `the upstream connection of "${this.question}" is closed`);
		assert.equal(early, true, 'the client hung up');
	}

	/** Sends the head of an event stream (or of anything else) and lets it leave at once. */
	head(status = 200, headers = { 'content-type': 'text/event-stream' }) {
		this.response.writeHead(status, headers);
		this.response.flushHeaders();
	}

	/** Sends bytes as they are; resolves when the kernel has taken them or the client is gone. */
	write(bytes) {
		if (!this.response.headersSent) {
			this.head();
		}
		return new Promise((resolve) => (this.gone ? resolve() : this.response.write(bytes, () => resolve())));
	}

	/** The bytes of `text`, `size` at a time, each leaving in its own segment. */
	async trickle(text, size = 1) {
		this.socket.setNoDelay(true);
		const bytes = Buffer.from(text);
		for (let at = 0; at < bytes.length && !this.gone; at += size) {
			await this.write(bytes.subarray(at, at + size));
			await new Promise(setImmediate);
		}
	}

	/** The text of one event with this chunk of a completion. */
	event(delta, { finish = null, usage, extra } = {}) {
		const chunk = {
			id: this.id,
			object: 'chat.completion.chunk',
			created: 1790000000,
			model: this.body?.model ?? 'fake',
			choices: [{ index: 0, delta, finish_reason: finish }],
			...(usage ? { usage } : {}),
			...extra,
		};
		return `data: ${JSON.stringify(chunk)}\n\n`;
	}

	say(text) {
		return this.write(this.event({ content: text }));
	}

	/** Words with what is beside them: `logprobs` as Chat Completions lists them. */
	sayWith(text, logprobs) {
		const choice = { index: 0, delta: { content: text }, logprobs: { content: logprobs }, finish_reason: null };
		return this.write(this.event({}, { extra: { choices: [choice] } }));
	}

	/** Reasoning, as llama.cpp and DeepSeek send it; `field`: how others call it. */
	think(text, field = 'reasoning_content') {
		return this.write(this.event({ [field]: text }));
	}

	refuse(text) {
		return this.write(this.event({ refusal: text }));
	}

	/** The beginning of a function call; `id` undefined: the upstream gives none. */
	call(index, id, name, args = '') {
		return this.write(this.event({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: args } }] }));
	}

	/** More arguments of a call. */
	callMore(index, args) {
		return this.write(this.event({ tool_calls: [{ index, function: { arguments: args } }] }));
	}

	/** A citation: `citation` as Chat Completions nests it. */
	annotate(citation) {
		return this.write(this.event({ annotations: [{ type: 'url_citation', url_citation: citation }] }));
	}

	finish(reason = 'stop', usage) {
		return this.write(this.event({}, { finish: reason }) + (usage ? usageEvent(this.id, usage) : ''));
	}

	/** `data: [DONE]`, and the end of the answer. */
	async done() {
		await this.write('data: [DONE]\n\n');
		this.end();
	}

	/** Ends the answer properly. */
	end(bytes) {
		this.ended = true;
		this.response.end(bytes);
	}

	/** Cuts the connection in the middle of the answer. */
	cut() {
		this.ended = true;
		this.socket.destroy();
	}

	json(status, body, headers = {}) {
		this.head(status, { 'content-type': 'application/json', ...headers });
		this.end(JSON.stringify(body));
	}
}

/** The chunk that `stream_options.include_usage` asks for: no choices, only usage. */
export function usageEvent(id, { input = 7, output = 3 } = {}) {
	const usage = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
	return `data: ${JSON.stringify({ id, object: 'chat.completion.chunk', created: 1790000000, model: 'fake', choices: [], usage })}\n\n`;
}

/** Replies for the usual cases. */
export const reply = {
	/** Says each word as its own chunk and finishes. */
	says:
		(words, { usage = { input: 7, output: 3 }, finish = 'stop' } = {}) =>
		async (x) => {
			await x.write(x.event({ role: 'assistant', content: '' }));
			for (const word of [words].flat()) {
				await x.say(word);
			}
			await x.finish(finish, usage);
			await x.done();
		},
	/** Does these steps, each a function of the exchange, and finishes. */
	does:
		(steps, { usage = { input: 7, output: 3 }, finish = 'stop' } = {}) =>
		async (x) => {
			for (const step of steps) {
				await step(x);
			}
			await x.finish(finish, usage);
			await x.done();
		},
	/** Says `before`, waits for the gate, says `after` and finishes. */
	pauses:
		(before, held, after = []) =>
		async (x) => {
			for (const word of [before].flat()) {
				await x.say(word);
			}
			await Promise.race([held.passed, x.closed]);
			for (const word of [after].flat()) {
				await x.say(word);
			}
			await x.finish('stop', { input: 7, output: 3 });
			await x.done();
		},
	/** Says `before` and then nothing, until the client hangs up. */
	stalls:
		(before = []) =>
		async (x) => {
			x.head();
			for (const word of [before].flat()) {
				await x.say(word);
			}
			await x.closed;
		},
	/** An error answer in the usual envelope. */
	fails:
		(status, { message = `upstream says ${status}`, type = 'server_error', code = null, headers = {} } = {}) =>
		async (x) =>
			x.json(status, { error: { message, type, param: null, code } }, headers),
	/** The given bytes, then the end of the answer. `pieces`: text or buffers, or a function of the exchange. */
	raw: (pieces) => async (x) => {
		const list = typeof pieces === 'function' ? pieces(x) : pieces;
		for (const piece of [list].flat()) {
			await x.write(piece);
		}
		x.end();
	},
};

export class Upstream {
	/** `tls`: {key, cert} for https://; `http2`: it speaks HTTP/2 too. */
	constructor({ tls, http2: modern = false } = {}) {
		this.requests = []; // every exchange on /v1/chat/completions, in order
		this.models = ['fake', 'fake-large'];
		this.rules = [];
		this.queued = [];
		this.waiters = [];
		this.fallback = (x) => reply.says(['You ', 'said: ', x.question])(x);
		const serve = (request, response) => this.#serve(request, response);
		if (modern) {
			this.server = http2.createSecureServer({ ...tls, allowHTTP1: true }, serve);
		} else {
			this.server = tls ? https.createServer(tls, serve) : http.createServer(serve);
			this.server.keepAliveTimeout = 60_000;
		}
		this.scheme = tls ? 'https' : 'http';
		this.sessions = new Set(); // of HTTP/2
		this.server.on('session', (session) => {
			this.sessions.add(session);
			session.once('close', () => this.sessions.delete(session));
		});
	}

	async start() {
		this.server.listen(0, '127.0.0.1');
		await once(this.server, 'listening');
		this.origin = `${this.scheme}://127.0.0.1:${this.server.address().port}`;
		this.url = `${this.origin}/v1`;
		return this;
	}

	/** The next request gets this reply, whatever it asks. */
	queue(...replies) {
		this.queued.push(...replies);
	}

	/** Requests whose last user message fits get this reply. `matcher`: a text to contain, a RegExp, a function. */
	on(matcher, ...replies) {
		const fits =
			typeof matcher === 'function'
				? matcher
				: matcher instanceof RegExp
					? (x) => matcher.test(x.question)
					: (x) => x.question.includes(matcher);
		this.rules.unshift({ fits, replies, used: 0 });
	}

	/** The requests whose last user message contains `text`. */
	asked(text) {
		return this.requests.filter((x) => x.question.includes(text));
	}

	/** Resolves with the nth (1 is first) request whose last user message contains `text`. */
	request(text, nth = 1) {
		const found = this.asked(text)[nth - 1];
		return found ? Promise.resolve(found) : new Promise((resolve) => this.waiters.push({ text, nth, resolve }));
	}

	async stop() {
		this.server.closeAllConnections?.();
		this.sessions.forEach((session) => session.destroy());
		await new Promise((resolve) => this.server.close(resolve));
	}

	async #serve(request, response) {
		const pieces = [];
		try {
			for await (const piece of request) {
				pieces.push(piece);
			}
		} catch {
			return; // the client went away while it asked
		}
		response.on('error', () => {});
		const x = new Exchange(request, response, Buffer.concat(pieces));
		if (request.method === 'GET' && request.url === '/v1/models') {
			const data = this.models.map((id) => ({ id, object: 'model', created: 1790000000, owned_by: 'tests' }));
			return x.json(200, { object: 'list', data });
		}
		if (request.method !== 'POST' || request.url !== '/v1/chat/completions') {
			return x.json(404, { error: { message: `no ${request.url} here`, type: 'not_found', code: null } });
		}
		this.requests.push(x);
		this.waiters = this.waiters.filter(({ text, nth, resolve }) => {
			const found = this.asked(text)[nth - 1];
			if (found) {
				resolve(found);
			}
			return !found;
		});
		await this.#pick(x)(x);
	}

	/** A rule with several replies gives them in turn and keeps the last. */
	#pick(x) {
		if (this.queued.length > 0) {
			return this.queued.shift();
		}
		const rule = this.rules.find(({ fits }) => fits(x));
		return rule ? rule.replies[Math.min(rule.used++, rule.replies.length - 1)] : this.fallback;
	}
}

export const startUpstream = (options) => new Upstream(options).start();
