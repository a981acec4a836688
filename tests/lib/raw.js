// Bytes on a plain TCP connection, for what no decent client would send.
import { once } from 'node:events';
import net from 'node:net';
import { within } from './server.js';

const PATIENCE_MS = 30_000;

/** An open connection: write(), received text so far, read(fits), ended: resolves when the server closed it. */
export async function dial(server) {
	const socket = net.connect({ host: server.host, port: server.port, allowHalfOpen: false });
	const wire = { socket, text: '', reset: false };
	const watchers = new Set();
	wire.ended = new Promise((resolve) => {
		socket.on('close', () => {
			wire.over = true;
			watchers.forEach((watcher) => watcher());
			resolve({ text: wire.text, at: performance.now() });
		});
	});
	socket.on('error', () => (wire.reset = true));
	socket.on('data', (bytes) => {
		wire.text += bytes.toString('latin1');
		watchers.forEach((watcher) => watcher());
	});
	wire.write = (bytes) => socket.write(bytes);
	/** Resolves with the match when the text received fits; rejects when the connection ends first. */
	wire.read = (pattern) => {
		const found = new Promise((resolve, reject) => {
			const watcher = () => {
				const match = pattern.exec(wire.text);
				if (match || wire.over) {
					watchers.delete(watcher);
					return match ? resolve(match) : reject(new Error(`closed; received ${JSON.stringify(wire.text)}`));
				}
			};
			watchers.add(watcher);
			watcher();
		});
		return within(PATIENCE_MS, found, () => `no ${pattern} in ${JSON.stringify(wire.text)}`);
	};
	wire.closed = (patience = PATIENCE_MS) =>
		within(patience, wire.ended, () => `not closed within ${patience} ms; received ${JSON.stringify(wire.text)}`);
	wire.drop = () => socket.destroy();
	await once(socket, 'connect');
	return wire;
}

/** The headers of an upgrade that is right in every point, to be spoiled by the test. */
export function upgradeHeaders(server, key, changes = {}) {
	const headers = {
		Host: server.address,
		Authorization: `Bearer ${key}`,
		Upgrade: 'websocket',
		Connection: 'Upgrade',
		'Sec-WebSocket-Version': '13',
		'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
		...changes,
	};
	return Object.entries(headers)
		.filter(([, value]) => value !== undefined)
		.map(([name, value]) => `${name}: ${value}\r\n`)
		.join('');
}

export const upgrade = (server, key, { method = 'GET', target = '/v1/responses', version = 'HTTP/1.1', headers } = {}) =>
	`${method} ${target} ${version}\r\n${upgradeHeaders(server, key, headers)}\r\n`;

/** A client frame. `mask: false` breaks the rule that clients mask; `length` lies about the size. */
export function frame(payload, { opcode = 1, fin = true, mask = true, length = payload.length } = {}) {
	const body = Buffer.from(payload);
	const head = [(fin ? 0x80 : 0) | opcode];
	const masked = mask ? 0x80 : 0;
	if (typeof length === 'bigint' || length > 65535) {
		const size = Buffer.alloc(8);
		size.writeBigUInt64BE(BigInt(length));
		head.push(masked | 127, ...size);
	} else if (length > 125) {
		head.push(masked | 126, length >> 8, length & 255);
	} else {
		head.push(masked | length);
	}
	if (!mask) {
		return Buffer.concat([Buffer.from(head), body]);
	}
	const key = [0x37, 0xfa, 0x21, 0x3d];
	return Buffer.concat([Buffer.from(head), Buffer.from(key), body.map((byte, at) => byte ^ key[at % 4])]);
}
