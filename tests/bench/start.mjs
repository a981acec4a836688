#!/usr/bin/env node
// From the start of sluiced to its first accepted connection, on a large database: as it was closed, and after a kill.
//   tests/bench/start.mjs [--conversations 50000] [--turns 10] [--bytes 300] [--rounds 10] [--wal 4]
// Each kill comes when the WAL has as many megabytes as --wal says.
// BUILD names the folder of the programs, bench/fill among them (make build/bench/fill). The default makes a million items, about
// 1.3 GB, in a minute or two. Also times pages of the list of conversations there. Prints a line of JSON.
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { connect } from '../lib/chat.js';
import { option, programs, startBench, startModel } from './stage.mjs';

const model = await startModel(5);
const { server, key } = await startBench(model);
await server.stop();
const args = [server.data, path.join(server.dir, 'kek'), 'bench', option('conversations', 50_000), option('turns', 10), option('bytes', 300)];
execFileSync(path.join(programs, 'fill'), args.map(String), { maxBuffer: 1 << 20 });
const gigabytes = statSync(path.join(server.data, 'sluice.db')).size / 1e9;

const round = (value) => Number(value.toFixed(2));
const median = (list) => round(list.sort((a, b) => a - b)[list.length >> 1]);
const highest = (list) => round(Math.max(...list));

/** To the log line, and to a connection that was accepted and answered. */
async function startOnce() {
	const begin = performance.now();
	await server.start();
	const listening = performance.now() - begin;
	await new Promise((resolve, reject) => {
		const socket = net.connect(server.port, server.host, () => socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'));
		socket.on('data', () => resolve(socket.destroy())).on('error', reject);
	});
	return { listening, accepted: performance.now() - begin };
}

async function starts(rounds, end) {
	const listening = [], accepted = [];
	for (let i = 0; i < rounds; i++) {
		const one = await startOnce();
		listening.push(one.listening);
		accepted.push(one.accepted);
		await end();
	}
	return { listening_ms: median(listening), accepted_ms: median(accepted), accepted_max_ms: highest(accepted) };
}

const rounds = option('rounds', 10);
const stopped = await starts(rounds, () => server.stop());
const walMegabytes = () => statSync(path.join(server.data, 'sluice.db-wal')).size / 1e6;
const wals = [];

/** Turns that are stored, until there is a WAL to find; then the kill. */
async function killWithWal() {
	const chats = await Promise.all(Array.from({ length: 50 }, () => connect(server, { key })));
	let enough = false;
	const ask = async (chat) => {
		while (!enough) {
			await chat.begin({ input: `Hello ${'x'.repeat(2000)}` }).end;
			enough ||= walMegabytes() >= option('wal', 4);
		}
	};
	await Promise.all(chats.map(ask));
	wals.push(walMegabytes());
	await server.kill();
}
// The first start of these is of a database that was closed.
await server.start();
await killWithWal();
const killed = await starts(rounds, killWithWal);
killed.wal_mb = median(wals);

await server.start();
async function page(query, count) {
	const times = [];
	let last;
	for (let i = 0; i < count; i++) {
		const begin = performance.now();
		last = await (await server.fetch(`/v1/conversations?${query}`, { key })).json();
		times.push(performance.now() - begin);
	}
	return { ms: median(times), last };
}
const first = await page('limit=20', 20);
let after = first.last.last_id;
for (let i = 0; i < 1000 && after; i++) {
	const next = await (await server.fetch(`/v1/conversations?limit=20&after=${after}`, { key })).json();
	after = next.has_more ? next.last_id : undefined;
}
const deep = after ? await page(`limit=20&after=${after}`, 20) : undefined;
const rss = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))[1]);
console.log(JSON.stringify({
	bench: 'start', gigabytes: round(gigabytes), stopped, killed, first_page_ms: first.ms, page_1000_ms: deep?.ms, rss_kib: rss,
}));
await server.remove();
model.stop();
