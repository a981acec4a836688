// A WebSocket client for a network namespace of its own: what far.js starts. It takes lines of JSON, { connect: { url, key } }
// first, then { send: message }, and gives { ready }, { opened }, { event }, { closed: code }.
import { createInterface } from 'node:readline';
import WebSocket from 'ws';

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
let socket;

createInterface({ input: process.stdin }).on('line', (line) => {
	const { connect, send } = JSON.parse(line);
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
});

tell({ ready: true });
