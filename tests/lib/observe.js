// Sees whatever the servers under test send to clients in this process, whichever client it is, and has it validated against
// /openapi.json: fetch, node:http and `ws` are watched where the bytes come in. What goes over raw sockets is not seen.
import { subscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import WebSocket from 'ws';
import { checkBody, checkEvent, checkHead, checkMessage, checkRequest, tally } from './schema.js';

const watched = new Map(); // host:port -> { proxied }
const untold = new Set(); // findings that nobody has heard of
let found = 0;

/** From now on what comes from this address is validated. `proxied`: a proxy may answer by itself there. */
export function watch(address, { proxied = false } = {}) {
	watched.set(address, { proxied });
}

export function unwatch(address) {
	watched.delete(address);
}

/** Fails the test that runs, and the whole file if none does any more. */
function report(error) {
	found++;
	untold.add(error);
	process.nextTick(() => {
		untold.delete(error);
		throw error;
	});
}

function attempt(body) {
	try {
		return body();
	} catch (error) {
		report(error);
		return null;
	}
}

process.on('exit', () => {
	untold.forEach((error) => console.error(error));
	if (found > 0) {
		process.exitCode ||= 1;
	}
	const folder = process.env.SLUICE_TEST_TALLY;
	if (folder) {
		writeFileSync(path.join(folder, String(process.pid)), `${tally.events} ${tally.answers}\n`);
	}
});

// --- answers over HTTP ----------------------------------------------------------------------------------------------

/** Takes the bytes of a body as they come. */
class Body {
	constructor(described, asked) {
		this.described = described;
		this.asked = asked;
		this.decoder = new TextDecoder();
		this.text = '';
	}

	take(bytes) {
		this.text += this.decoder.decode(bytes, { stream: true });
		if (this.described.media === 'text/event-stream') {
			const end = this.text.lastIndexOf('\n\n');
			if (end >= 0) {
				const blocks = this.text.slice(0, end).split('\n\n');
				this.text = this.text.slice(end + 2);
				blocks.forEach((block) => this.#event(block));
			}
		}
	}

	#event(block) {
		const data = block.split('\n').find((line) => line.startsWith('data: '))?.slice(6);
		if (data !== undefined && data !== '[DONE]') {
			attempt(() => checkEvent(JSON.parse(data), this.described.schema));
		}
	}

	/** Its end, in order. */
	end() {
		if (this.described.media === 'text/event-stream') {
			return;
		}
		const text = this.text + this.decoder.decode();
		attempt(() => checkBody(this.described, text));
		if (this.asked.body !== undefined) {
			attempt(() => checkRequest(this.asked, text));
		}
	}
}

/** What is no URL, libwebsockets refuses by itself. */
function isUrl(target) {
	try {
		return decodeURI(target) !== '';
	} catch {
		return false;
	}
}

/** What was sent, if it was JSON. */
function parsed(sent) {
	try {
		return JSON.parse(sent);
	} catch {
		return undefined;
	}
}

/** A Body when there is one to look at. `sent`: the body of the request, if it is known, a text, and all that was asked. */
function begin({ address, method, target, status, headers, sent }) {
	const how = watched.get(address);
	if (!how || (how.proxied && !headers.has('x-request-id')) || !isUrl(target)) {
		return null;
	}
	const [path] = target.split('?');
	const described = attempt(() => checkHead({ method, path, status, headers }));
	return described && new Body(described, { method, path, status, body: parsed(sent) });
}

const plainFetch = globalThis.fetch;

/** The same answer, whose body is looked at while it is read. */
function observed(response, body) {
	const reader = response.body.getReader();
	const stream = new ReadableStream(
		{
			async pull(controller) {
				const { done, value } = await reader.read();
				if (done) {
					body.end();
					controller.close();
				} else {
					body.take(value);
					controller.enqueue(value);
				}
			},
			cancel: (reason) => reader.cancel(reason),
		},
		{ highWaterMark: 0 },
	);
	const { status, statusText, headers, url } = response;
	return Object.defineProperty(new Response(stream, { status, statusText, headers }), 'url', { value: url });
}

globalThis.fetch = async function fetch(target, options) {
	const response = await plainFetch(target, options);
	const url = new URL(target?.url ?? target);
	const method = (options?.method ?? target?.method ?? 'GET').toUpperCase();
	const { status, headers } = response;
	const body = begin({ address: url.host, method, target: url.pathname, status, headers, sent: url.search ? undefined : options?.body });
	return body && response.body ? observed(response, body) : response;
};

// Told before the client hears of the response; its bytes then pass through push().
subscribe('http.client.response.finish', ({ request, response }) => {
	const headers = new Headers();
	for (let at = 0; at < response.rawHeaders.length; at += 2) {
		headers.append(response.rawHeaders[at], response.rawHeaders[at + 1]);
	}
	const { method, path: target } = request;
	const body = begin({ address: request.getHeader('host'), method, target, status: response.statusCode, headers });
	if (!body) {
		return;
	}
	const { push } = response;
	response.push = function (bytes, ...rest) {
		if (bytes !== null) {
			body.take(bytes);
		} else if (response.complete) {
			body.end();
		}
		return push.call(this, bytes, ...rest);
	};
});

// --- messages of a WebSocket ----------------------------------------------------------------------------------------

/** A text message that came over a WebSocket. */
export const seeMessage = (text) => attempt(() => checkMessage(JSON.parse(text)));

const { emit } = WebSocket.prototype;
const HOST = Symbol('host');
WebSocket.prototype.emit = function (name, ...rest) {
	if (name === 'message' && this.url) {
		this[HOST] ??= new URL(this.url).host;
		if (watched.has(this[HOST])) {
			seeMessage(rest[0].toString('utf8'));
		}
	}
	return emit.call(this, name, ...rest);
};
