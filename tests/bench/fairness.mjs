#!/usr/bin/env node
// What one who asks for everything does to the others: p99 of the age of tokens and of the first token of a new turn, with
// the greedy one and without, in alternating rounds of one run. One line for each kind of greed, and JSON at the end.
//   tests/bench/fairness.mjs [--streams 200] [--rounds 5] [--round-ms 1500] [KIND...]
// It must not be stopped by a limit, so all limits are wide open.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { startServer } from '../lib/server.js';
import { compile, option, run } from './stage.mjs';

const KINDS = ['message', 'escapes', 'medium', 'items', 'pings', 'lanes', 'unread', 'resume', 'context', 'http-post', 'http-items', 'http-get'];
const chosen = process.argv.slice(2).filter((word) => KINDS.includes(word));
const fair = await compile('fair');
const model = spawn(await compile('fair_model'), ['20'], { stdio: ['ignore', 'pipe', 'inherit'] });
process.on('exit', () => model.kill());
const [port] = await once(createInterface({ input: model.stdout }), 'line');
const upstream = { url: `http://127.0.0.1:${port}/v1` };
const server = await startServer({
	upstream,
	settings: {
		upstream: { url: upstream.url, model: 'short' },
		limits: {
			requests_per_minute: 1_000_000,
			burst: 100_000,
			bytes_per_second: '1GiB',
			bytes_burst: '1GiB',
			connections_per_address: 10_000,
			max_in_flight: 32,
			max_queued: 1000,
			max_unwatched: 10_000,
			abuse_refusals: 1_000_000,
		},
		log: { level: 'info' },
	},
});
const watcher = await server.createKey('bench');
const greedy = await server.createKey('greedy');

async function ask(path, body) {
	const answer = await fetch(server.url + path, {
		method: 'POST',
		headers: { authorization: `Bearer ${greedy}`, 'content-type': 'application/json' },
		body: JSON.stringify(body),
	});
	if (!answer.ok) {
		throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
	}
	return answer.json();
}

/** What the kind asks for must be there before. */
async function prepare(kind) {
	if (kind === 'resume' || kind === 'http-get') {
		const { id } = await ask('/v1/responses', { model: 'long', input: 'go' });
		return kind === 'resume' ? id : `/v1/responses/${id}`;
	}
	if (kind === 'context') {
		let previous;
		for (let turn = 0; turn < 3; turn++) {
			const more = previous ? { previous_response_id: previous } : {};
			previous = (await ask('/v1/responses', { model: 'short', input: 'x'.repeat(900_000), ...more })).id;
		}
		return previous;
	}
	if (kind === 'http-items') {
		const { id } = await ask('/v1/conversations', {});
		const content = 'y'.repeat(20_000);
		for (let page = 0; page < 5; page++) {
			await ask(`/v1/conversations/${id}/items`, { items: Array(20).fill({ type: 'message', role: 'user', content }) });
		}
		return `/v1/conversations/${id}/items?limit=100`;
	}
	return '';
}

const results = [];
for (const kind of chosen.length > 0 ? chosen : KINDS) {
	const prepared = await prepare(kind);
	const args = [server.port, watcher, option('streams', 200), kind, greedy, option('rounds', 5), option('round-ms', 1500), prepared];
	const { stdout } = await run(fair, args.map(String));
	const result = JSON.parse(stdout);
	results.push(result);
	const show = ({ p99_us: [without, whith], ratio }) => `${without} -> ${whith} us (${ratio})`;
	console.error(`${kind.padEnd(12)} token p99 ${show(result.token)}, first token of a turn p99 ${show(result.turn)}`);
}
console.log(JSON.stringify({ streams: option('streams', 200), results }));
await server.remove();
model.kill();
