#!/usr/bin/env node
// Restarts the server under load, on a listening socket that is handed down, and counts who was refused.
//   tests/bench/restarts.mjs [RESTARTS] [CLIENTS]    20 and 200; BUILD names the folder of the programs
// Each client has one turn after the other on a WebSocket, hangs up in the middle of some, and resumes; beside them a tenth as
// many make one request after the other, each on a new connection. Exits with 1 when anybody was refused, reset or answered
// with anything but what was asked for, or when a stream had a gap, a repeat or a second end.
import { random } from '../lib/random.js';
import { Load, model } from '../lib/restarts.js';
import { startServer } from '../lib/server.js';
import { boundSocket, handDown } from '../lib/sockets.js';
import { startUpstream } from '../lib/upstream.js';

const [restarts = 20, clients = 200] = process.argv.slice(2).map(Number);

const upstream = await startUpstream();
upstream.fallback = model;
const socket = boundSocket();
const server = await startServer({
	upstream,
	sockets: handDown(socket),
	settings: {
		server: { drain_timeout: '300ms' },
		limits: { max_unwatched: 10000 }, // all clients are one user, and many hang up
		log: { level: 'info' },
	},
});
try {
	const load = new Load(server, await server.createKey('ada'), random('restarts'));
	load.begin({ chats: clients, strangers: Math.ceil(clients / 10) });
	for (let n = 0; n < restarts; n++) {
		await load.progress(clients * 25);
		await server.restart();
	}
	await load.end();
	await server.stop();
	console.log(load.story(restarts));
	load.scars.forEach((scar) => console.log(scar));
	process.exitCode = load.scars.length > 0 ? 1 : 0;
} finally {
	await server.remove();
	socket.close();
	await upstream.stop();
}
