// A client for a network namespace of its own: what far.js starts. It takes lines of JSON, { connect: { url, key } } and then
// { send: message } for a WebSocket, or { post: { url, key, body } }, and gives { ready }, { opened }, { event }, { closed: code },
// { bytes: text }.
import http from 'node:http';
import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import { watch } from './observe.js';

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
let socket;

createInterface({ input: process.stdin }).on('line', (line) => {
	const { connect, send, post } = JSON.parse(line);
	if (connect ?? post) {
		watch(new URL((connect ?? post).url).host);
	}
	if (connect) {
		socket = new WebSocket(connect.url, { headers: { authorization: `Bearer ${connect.key}` }, perMessageDeflate: false });
		socket.on('open', () => tell({ opened: true }));
		socket.on('message', (data) => tell({ event: JSON.parse(data) }));
		socket.on('error', (error) => tell({ error: error.message }));
		socket.on('close', (code) => tell({ closed: code }));
	}
	if (send) {
		socket.send(JSON.stringify(send));
	}
	if (post) {
		const headers = { authorization: `Bearer ${post.key}`, 'content-type': 'application/json' };
		const request = http.request(post.url, { method: 'POST', headers }, (response) => {
			response.on('data', (bytes) => tell({ bytes: bytes.toString() }));
			response.on('close', () => tell({ closed: true }));
			response.on('error', () => {});
		});
		request.on('error', (error) => tell({ error: error.message }));
		request.end(JSON.stringify(post.body));
	}
});

tell({ ready: true });
