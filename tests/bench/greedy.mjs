#!/usr/bin/env node
// One user who asks for all there is, in one way. Runs until it is ended; then prints what it did.
//   tests/bench/greedy.mjs KIND PORT KEY
// It is to be run with the idle policy (chrt): what it takes of the processors is not the server's fault.
import http from 'node:http';
import { WebSocket } from 'ws';

const [kind, port, key] = process.argv.slice(2);
const done = { sent: 0, sent_bytes: 0, received_bytes: 0, refused: 0, connections: 0 };
const authorization = { Authorization: `Bearer ${key}` };
const FAST = 'bench rate=2000 tokens=200000 burst=16';
const SHORT = 'bench rate=1000 tokens=1 now=1';
const LANES = 16;

const create = (input, more = {}) => JSON.stringify({ type: 'response.create', model: 'greedy', input, ...more });

/** Sends when the socket has taken what came before. */
function send(socket, text) {
	done.sent++;
	done.sent_bytes += text.length;
	socket.send(text);
}

/** A WebSocket that is opened again when it is closed. `begin(socket)` on each; `heard(event, socket)` for each event that ends something. */
function connection(begin, heard = () => {}, readable = true) {
	done.connections++;
	const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/responses`, { headers: authorization, perMessageDeflate: false });
	socket.on('open', () => {
		begin(socket);
		if (!readable) {
			socket.pause();
		}
	});
	socket.on('message', (data) => {
		done.received_bytes += data.length;
		const head = data.subarray(0, 60).toString();
		if (head.startsWith('{"type":"error"')) {
			done.refused++;
		}
		if (/"type":"(error|response\.(completed|incomplete|failed)|sluice:pong)"/.test(head)) {
			heard(data, socket);
		}
	});
	socket.on('error', () => {});
	socket.on('close', () => setTimeout(() => connection(begin, heard, readable), 20));
	return socket;
}

/** Goes on sending as long as the socket takes it. */
function flood(socket, text) {
	const more = () => {
		for (let i = 0; i < 8 && socket.readyState === WebSocket.OPEN && socket.bufferedAmount < 1 << 21; i++) {
			send(socket, text());
		}
		if (socket.readyState === WebSocket.OPEN) {
			setImmediate(more);
		}
	};
	more();
}

const fillLanes = (input) => (socket) => {
	for (let lane = 0; lane < LANES; lane++) {
		send(socket, create(input, { stream_id: `lane${lane}` }));
	}
};

const again = (input) => (data, socket) => {
	const lane = /"stream_id":"(\w+)"/.exec(data.subarray(-200).toString() + data.subarray(0, 200).toString())?.[1] ?? 'lane0';
	if (data.includes('"type":"error"', 0)) {
		setTimeout(() => socket.readyState === WebSocket.OPEN && send(socket, create(input, { stream_id: lane })), 50);
	} else {
		send(socket, create(input, { stream_id: lane }));
	}
};

function slowly(socket) {
	socket.pause();
	setInterval(() => {
		socket.resume();
		setImmediate(() => socket.pause());
	}, 20);
}

/** A conversation as long as a context may be, continued over and over. */
function history() {
	const page = 'x'.repeat(900_000);
	let previous;
	let turns = 0;
	const next = (socket) => send(socket, create(turns++ < 4 ? `${page} ${SHORT}` : SHORT, previous && turns < 60 ? { previous_response_id: previous } : {}));
	connection(next, (data, socket) => {
		const text = data.toString();
		if (text.startsWith('{"type":"response.completed"')) {
			previous = JSON.parse(text).response.id;
		}
		setTimeout(() => socket.readyState === WebSocket.OPEN && next(socket), text.startsWith('{"type":"error"') ? 100 : 0);
	});
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function request(path, body) {
	return new Promise((resolve) => {
		done.sent++;
		const outgoing = http.request({ port, path, agent, method: body ? 'POST' : 'GET', headers: { ...authorization, ...(body ? { 'content-type': 'application/json' } : {}) } }, (answer) => {
			const parts = [];
			answer.on('data', (data) => {
				done.received_bytes += data.length;
				if (parts.length < 20) {
					parts.push(data);
				}
			});
			answer.on('close', () => {
				done.refused += answer.statusCode >= 400;
				resolve({ status: answer.statusCode, text: Buffer.concat(parts).toString() });
			});
		});
		outgoing.on('error', () => resolve({ status: 0, text: '' }));
		outgoing.end(body);
	});
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The items of a conversation with a thousand of them, read over and over. */
async function items() {
	const { text } = await request('/v1/conversations', '{}');
	const { id } = JSON.parse(text);
	const one = { type: 'message', role: 'user', content: 'y'.repeat(20_000) };
	for (let turn = 0; turn < 10; turn++) {
		await request(`/v1/conversations/${id}/items`, JSON.stringify({ items: Array(20).fill(one) }));
	}
	for (;;) {
		const { status } = await request(`/v1/conversations/${id}/items?limit=1000`);
		await wait(status === 429 ? 20 : 0);
	}
}

/** One event stream after the other, as fast as the model speaks. */
async function sse() {
	for (;;) {
		const { status } = await request('/v1/responses', JSON.stringify({ model: 'greedy', stream: true, input: FAST }));
		await wait(status === 200 ? 0 : 50);
	}
}

async function models() {
	for (;;) {
		await request('/v1/models');
	}
}

const KINDS = {
	lanes: () => connection(fillLanes(FAST), again(FAST)),
	turns: () => connection(fillLanes(SHORT), again(SHORT)),
	messages: () => connection((socket) => flood(socket, () => create(`${'z'.repeat(1_000_000)} ${SHORT}`))),
	pipelining: () => connection((socket) => flood(socket, () => create(SHORT, { stream_id: `lane${done.sent % LANES}` }))),
	pings: () => connection((socket) => flood(socket, () => '{"type":"sluice:ping"}')),
	unread: () => connection(fillLanes(FAST), () => {}, false),
	slowly: () => connection((socket) => (fillLanes(FAST)(socket), slowly(socket)), () => {}),
	history,
	items,
	sse,
	models,
};

if (!KINDS[kind]) {
	console.error(`usage: greedy.mjs ${Object.keys(KINDS).join('|')} PORT KEY`);
	process.exit(2);
}
process.on('SIGTERM', () => {
	console.log(JSON.stringify({ kind, ...done }));
	process.exit(0);
});
KINDS[kind]();
