#!/usr/bin/env node
// Cost of a turn in conversations of 10, 100, 1,000 and 10,000 turns, continued by previous_response_id and by conversation, on
// the connection of the turn before and on a new one each; and of the pages that lists of them are read by.
//   tests/bench/growth.mjs [--most 10000] [--turns 40] [--bytes 300] [--context 32]
// BUILD names the folder of the programs, bench/fill among them (make build/bench/fill). The oldest turns may be left out
// (truncation: "auto"), so a context is bounded by max_context (KiB). Prints a table and a line of JSON.
import path from 'node:path';
import { connect } from '../lib/chat.js';
import { cpuOf, option, programs, run, startBench, startModel } from './stage.mjs';

const turns = option('turns', 40);
const sizes = [10, 100, 1000, 10_000].filter((size) => size <= option('most', 10_000));
const model = await startModel(5);
const { server, key } = await startBench(model, { max_context: `${option('context', 32)}KiB` });
await server.stop();

const filled = [];
for (const size of sizes) {
	const args = [server.data, path.join(server.dir, 'kek'), 'bench', '1', String(size), String(option('bytes', 300))];
	const { stdout } = await run(path.join(programs, 'fill'), args);
	filled.push({ size, ...JSON.parse(stdout.split('\n')[0]) });
}
await server.start();

const round = (value) => Number(value.toFixed(2));

/** Median time and mean CPU of `count` runs of `once`. */
async function measure(count, once) {
	const times = [];
	const cpu = await cpuOf(server.child.pid);
	for (let i = 0; i < count; i++) {
		const begin = performance.now();
		await once();
		times.push(performance.now() - begin);
	}
	times.sort((a, b) => a - b);
	return { ms: round(times[count >> 1]), cpu_ms: round(((await cpuOf(server.child.pid)) - cpu) / count / 1000) };
}

async function ask(chat, more) {
	const turn = chat.begin({ input: 'And now?', truncation: 'auto', ...more });
	const { id } = await turn.created;
	const { events } = await turn.end;
	if (events.at(-1).type !== 'response.completed') {
		throw new Error(JSON.stringify(events.at(-1)).slice(0, 300));
	}
	return id;
}

async function row({ size, conversation, response }) {
	let last = response;
	const byId = async (chat) => {
		last = await ask(chat, { previous_response_id: last });
	};
	const byName = (chat) => ask(chat, { conversation });
	const anew = (turn) => async () => {
		const chat = await connect(server, { key });
		await turn(chat);
		await chat.close();
	};
	const page = (query) => async () => {
		const answer = await server.fetch(`/v1/conversations/${conversation}/items?${query}`, { key });
		const { data } = await answer.json();
		if (answer.status !== 200 || data.length === 0) {
			throw new Error(`${query}: ${answer.status}`);
		}
	};
	const chat = await connect(server, { key });
	await byId(chat);
	const result = {
		turns: size,
		'same connection, by response': await measure(turns, () => byId(chat)),
		'same connection, by conversation': await measure(turns, () => byName(chat)),
		'new connection, by response': await measure(turns, anew(byId)),
		'new connection, by conversation': await measure(turns, anew(byName)),
		'newest items': await measure(turns, page('order=desc&limit=20')),
	};
	await chat.close();
	return result;
}

const rows = [];
for (const one of filled) {
	rows.push(await row(one));
}
for (const name of Object.keys(rows[0]).slice(1)) {
	const cells = rows.map((one) => `${one.turns}: ${one[name].ms} ms, CPU ${one[name].cpu_ms} ms`);
	console.log(`${name.padEnd(34)} ${cells.join('   ')}`);
}
console.log(JSON.stringify({ bench: 'growth', rows }));
await server.remove();
model.stop();
