// A server that says what /openapi.json does not know, and a client in the same process that hears it over fetch, http or ws: the
// process must fail.
import { once } from 'node:events';
import http from 'node:http';
import WebSocket, { WebSocketServer } from 'ws';
import { watch } from './observe.js';

const server = http.createServer((request, response) => {
	response.writeHead(200, { 'content-type': 'application/json', 'x-request-id': `req_${'0'.repeat(40)}` });
	response.end('{"status":"ok","more":1}');
});
new WebSocketServer({ server }).on('connection', (socket) => socket.send('{"type":"sluice:nonsense"}'));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const address = `127.0.0.1:${server.address().port}`;
watch(address);

const hear = {
	fetch: async () => (await fetch(`http://${address}/healthz`)).text(),
	http: async () => {
		const [response] = await once(http.get(`http://${address}/healthz`), 'response');
		response.resume();
		await once(response, 'end');
	},
	ws: () => once(new WebSocket(`ws://${address}`), 'message'),
};
await hear[process.argv[2]]();
process.exit(0);
