#!/usr/bin/env node
// Cost of a turn in conversations of 10, 100, 1,000 and 10,000 turns, continued by previous_response_id and by conversation, on
// the connection of the turn before and on a new one each; of a turn behind one in their middle; of pages of their items, of
// one item and of the conversation itself; of edits and deletions; and how long others wait while all of it is deleted.
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
	const whole = `/v1/conversations/${conversation}`;
	const request = async (path, options = {}) => {
		const answer = await server.fetch(path, { key, ...options });
		const body = await answer.json();
		if (answer.status !== 200) {
			throw new Error(`${path}: ${answer.status} ${JSON.stringify(body)}`);
		}
		return body;
	};
	const page = (query) => () => request(`${whole}/items?${query}`);
	/* Items from the middle on: ids of so many, and of the responses that they are of. */
	let middle = '';
	for (let seen = 0; seen < size; seen += 1000) {
		const { last_id: last } = await page(`limit=${Math.min(1000, size - seen)}${middle && `&after=${middle}`}`)();
		middle = last;
	}
	const { data: behind } = await page(`after=${middle}&limit=${2 * turns}`)();
	const all = behind.length ? behind : (await page('limit=100')()).data;
	const answers = all.filter(({ role }) => role === 'assistant');
	const each = (items, once) => {
		let at = 0;
		return () => once(items[at++]);
	};
	const drop = ({ id }) => request(`${whole}/items/${id}`, { method: 'DELETE' });
	const dropResponse = (one) => request(`/v1/responses/${one['sluice:response_id']}`, { method: 'DELETE' });
	const half = answers.length >> 1;
	let version = 0;
	const chat = await connect(server, { key });
	await byId(chat);
	const result = {
		turns: size,
		'same connection, by response': await measure(turns, () => byId(chat)),
		'same connection, by conversation': await measure(turns, () => byName(chat)),
		'new connection, by response': await measure(turns, anew(byId)),
		'new connection, by conversation': await measure(turns, anew(byName)),
		'newest items': await measure(turns, page('order=desc&limit=20')),
		'oldest items': await measure(turns, page('order=asc&limit=20')),
		'items behind the middle': await measure(turns, page(`order=asc&limit=20&after=${middle}`)),
		'items before the middle': await measure(turns, page(`order=desc&limit=20&after=${middle}`)),
		'one item': await measure(turns, () => request(`${whole}/items/${middle}`)),
		'the conversation': await measure(turns, () => request(whole)),
		'its metadata edited': await measure(turns, () => request(whole, { body: { metadata: { version: `${version++}` } } })),
		'an item added': await measure(turns, () => request(`${whole}/items`, { body: { items: [{ role: 'user', content: 'Beside.' }] } })),
		'an item deleted': await measure(half, each(answers, drop)),
		'a response deleted': await measure(half, each(answers.slice(half).reverse(), dropResponse)),
		'turns behind the middle': await measure(turns, () => ask(chat, { previous_response_id: answers[0]['sluice:response_id'] })),
	};
	await chat.close();
	let deleted;
	const wait = await meanwhile(async () => {
		deleted = await measure(1, () => request(whole, { method: 'DELETE' }));
	});
	const alone = await meanwhile(() => new Promise((resolve) => setTimeout(resolve, 500)));
	result['all of it deleted'] = deleted;
	result['the longest turn of others meanwhile'] = { ms: round(wait), alone_ms: round(alone) };
	return result;
}

/** The longest that a short turn of somebody else took while `once` ran. */
async function meanwhile(once) {
	const chat = await connect(server, { key });
	let over = false;
	let longest = 0;
	const others = (async () => {
		while (!over) {
			const begin = performance.now();
			await ask(chat, {});
			longest = Math.max(longest, performance.now() - begin);
		}
	})();
	await once();
	over = true;
	await others;
	await chat.close();
	return longest;
}

const rows = [];
for (const one of filled) {
	rows.push(await row(one));
}
for (const name of Object.keys(rows[0]).slice(1)) {
	const cells = rows.map(({ turns: size, [name]: cost }) => `${size}: ${cost.ms} ms, ${cost.alone_ms === undefined ? `CPU ${cost.cpu_ms}` : `alone ${cost.alone_ms}`} ms`);
	console.log(`${name.padEnd(34)} ${cells.join('   ')}`);
}
console.log(JSON.stringify({ bench: 'growth', rows }));
await server.remove();
model.stop();
