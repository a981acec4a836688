// A relay in Node.js with `ws` and fetch.    node node.mjs UPSTREAM_PORT    prints its port
import { WebSocketServer } from 'ws';
import { relay } from './relay.mjs';

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, backlog: 4096 }, () => console.log(server.address().port));
server.on('connection', (socket) => {
	socket.on('error', () => {});
	socket.on('message', (data) => relay(process.argv[2], socket, data));
});
