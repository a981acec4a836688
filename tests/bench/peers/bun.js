// A relay with Bun.serve and fetch.    bun bun.js UPSTREAM_PORT    prints its port
import { relay } from './relay.mjs';

const server = Bun.serve({
	hostname: '127.0.0.1',
	port: 0,
	fetch: (request, server) => (server.upgrade(request) ? undefined : new Response('a WebSocket is wanted', { status: 426 })),
	websocket: {
		perMessageDeflate: false,
		idleTimeout: 0,
		message: (socket, data) => relay(process.argv[2], socket, data),
	},
});
console.log(server.port);
