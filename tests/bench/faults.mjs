#!/usr/bin/env node
// Three figures: what a kill loses, how soon a cancel reaches the model, what a live response weighs.
//   tests/bench/faults.mjs [--kills 100] [--cancels 1000] [--responses 1000] [--tokens 1000]
// Weighed is anonymous memory (Pss_Anon), after as many answers as are weighed have come and gone, ten at a time, so that what is
// made once is there: once with a WebSocket for each response, once with an SSE stream for each, whose connection is weighed with it.
// BUILD names the folder of the programs. Loss is told in milliseconds of stream: the model says a token every ten, and each
// knows when it was said.
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import { connect } from '../lib/chat.js';
import { outputText } from '../lib/check.js';
import { random } from '../lib/random.js';
import { startServer } from '../lib/server.js';
import { eventually } from '../lib/setup.js';
import { startUpstream } from '../lib/upstream.js';

const option = (name, value) => {
	const at = process.argv.indexOf(`--${name}`);
	return at < 0 ? value : Number(process.argv[at + 1]);
};
const settings = { limits: { max_unwatched: 100_000 }, log: { level: 'info' } };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function spread(list) {
	const sorted = [...list].sort((a, b) => a - b);
	const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))].toFixed(1);
	return `p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)} ms`;
}

async function stage(body) {
	const upstream = await startUpstream();
	const server = await startServer({ upstream, settings });
	try {
		return await body({ upstream, server, key: await server.createKey('ada') });
	} finally {
		await server.remove();
		await upstream.stop();
	}
}

// --- what a kill loses ------------------------------------------------------------------------------------------------

const STREAMS = 10;
const EVERY_MS = 10;

const tokenAt = (n) => `${n} `.padStart(8);
const count = (text) => text.length / 8;

/** A token every ten milliseconds, and when each was said. */
function pace(said) {
	return async (x) => {
		const times = [];
		said.set(x.question, times);
		const begin = performance.now();
		while (!x.gone) {
			const due = Math.floor((performance.now() - begin) / EVERY_MS) + 1;
			while (times.length < due) {
				times.push(performance.now());
				x.say(tokenAt(times.length - 1));
			}
			await pause(EVERY_MS);
		}
	};
}

async function killOnce({ server, key }, said, round, dice) {
	const chats = await Promise.all(Array.from({ length: STREAMS }, () => connect(server, { key })));
	const turns = chats.map((chat, at) => ({ chat, question: `round ${round} stream ${at}`, turn: undefined }));
	for (const one of turns) {
		one.turn = one.chat.begin({ input: one.question });
		one.turn.created.then(({ id }) => (one.id = id), () => {});
	}
	await Promise.all(chats.map((chat) => chat.type('response.output_text.delta')));
	// Anywhere between two checkpoints.
	await pause(400 + dice.fraction() * 250);
	await server.kill();
	await Promise.all(chats.map(({ closed }) => closed));
	await server.start();
	const losses = [];
	for (const { chat, question, id } of turns) {
		const deltas = chat.events.filter(({ type }) => type === 'response.output_text.delta');
		const seen = count(deltas.map(({ delta }) => delta).join(''));
		const stored = count(outputText(await (await server.fetch(`/v1/responses/${id}`, { key })).json()));
		const times = said.get(question);
		losses.push(seen > stored ? times[seen - 1] - (stored > 0 ? times[stored - 1] : times[0] - EVERY_MS) : 0);
	}
	return losses;
}

async function kills(rounds) {
	const dice = random('loss');
	await stage(async (all) => {
		const said = new Map();
		all.upstream.fallback = pace(said);
		const losses = [];
		for (let round = 0; round < rounds; round++) {
			losses.push(...(await killOnce(all, said, round, dice)));
		}
		console.log(`kill -9, ${rounds} kills of ${STREAMS} streams at ${1000 / EVERY_MS} tokens/s, stream seen and not stored:\n  ${spread(losses)}`);
	});
}

// --- how soon a cancel reaches the model --------------------------------------------------------------------------------

async function cancelOnce({ upstream, chat }, question) {
	const turn = chat.begin({ input: question });
	const { id } = await turn.created;
	await chat.type('response.output_text.delta', { from: turn.from });
	const x = await upstream.request(question);
	const begin = performance.now();
	const closed = x.closed.then(({ at }) => at - begin);
	chat.send({ type: 'sluice:response.cancel', response_id: id });
	await turn.end;
	const told = performance.now() - begin;
	return { closed: await closed, told };
}

async function cancels(rounds) {
	await stage(async ({ upstream, server, key }) => {
		upstream.fallback = async (x) => {
			while (!x.gone) {
				await x.say('word ');
				await pause(EVERY_MS);
			}
		};
		const results = [];
		let begun = 0;
		const one = async () => {
			const chat = await connect(server, { key });
			while (begun < rounds) {
				results.push(await cancelOnce({ upstream, chat }, `cancel number ${++begun}.`));
			}
			await chat.close();
		};
		await Promise.all(Array.from({ length: STREAMS }, one));
		const metrics = await (await server.fetch('/metrics')).text();
		const [, sum] = /^sluice_cancel_seconds_sum (\S+)/m.exec(metrics);
		const [, number] = /^sluice_cancel_seconds_count (\S+)/m.exec(metrics);
		console.log(
			`cancel, ${rounds} of them, ${STREAMS} streams at a time, from the client's message\n` +
				`  to the model's side of the connection being closed: ${spread(results.map(({ closed }) => closed))}\n` +
				`  to the terminal event: ${spread(results.map(({ told }) => told))}\n` +
				`  by the server's own count: ${number}, ${((sum / number) * 1000).toFixed(3)} ms on average`,
		);
		await server.stop();
	});
}

// --- what a live response weighs ------------------------------------------------------------------------------------------

async function weigh(server) {
	const text = await readFile(`/proc/${server.child.pid}/smaps_rollup`, 'utf8');
	return Number(/^Pss_Anon:\s+(\d+)/m.exec(text)[1]);
}

const metric = async (server, name) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(await (await server.fetch('/metrics')).text())[1]);

/** In hundreds: a listening socket's queue is not endless. */
async function times(number, make) {
	const made = [];
	while (made.length < number) {
		made.push(...(await Promise.all(Array.from({ length: Math.min(100, number - made.length) }, make))));
	}
	return made;
}

const overWebSocket = {
	name: 'WebSocket',
	connect: ({ server, key }) => connect(server, { key }),
	async begin(_, chat) {
		chat.socket.send(JSON.stringify({ type: 'response.create', input: 'x' }));
		await chat.type('response.output_text.delta');
	},
	drop: (chat) => chat.drop(),
};

const overSse = {
	name: 'SSE stream',
	connect: async () => ({}),
	begin: ({ server, key }, one) =>
		new Promise((resolve, reject) => {
			const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
			const { port, host } = server;
			one.request = http.request({ port, host, method: 'POST', path: '/v1/responses', headers, agent: false });
			one.request.on('error', reject);
			one.request.on('response', (answer) => answer.on('error', () => {}).on('data', (data) => data.includes('output_text.delta') && resolve()));
			one.request.end(JSON.stringify({ input: 'x', stream: true }));
		}),
	drop: (one) => one.request.destroy(),
};

async function memory(responses, tokens) {
	for (const way of [overWebSocket, overSse]) {
		await stage((all) => memoryOver(way, all, responses, tokens));
	}
}

/** As many responses as will be weighed, ten at a time, so that their memory is not there to be used again. */
async function warm({ upstream, server, key }, responses) {
	upstream.fallback = async (x) => {
		await x.say('word ');
		await x.finish();
		await x.done();
	};
	const chats = await times(10, () => connect(server, { key }));
	const ask = async (chat) => {
		for (let i = 0; i < responses / chats.length; i++) {
			await chat.begin({ input: 'x' }).end;
		}
		await chat.close();
	};
	await Promise.all(chats.map(ask));
}

async function memoryOver(way, all, responses, tokens) {
	const { upstream, server } = all;
	await warm(all, responses);
	const exchanges = [];
	upstream.fallback = async (x) => {
		exchanges.push(x);
		await x.say('word ');
		await x.closed;
	};
	const empty = await weigh(server);
	const before = await metric(server, 'sluice_deltas_total');
	const ones = await times(responses, () => way.connect(all));
	const connected = await weigh(server);
	for (const one of ones) {
		await way.begin(all, one);
	}
	const begun = await weigh(server);
	// One token of each at a time, so that each is a delta of its own, as from a model.
	for (let token = 1; token < tokens; token++) {
		await Promise.all(exchanges.map((x) => x.say('word ')));
		await eventually(() => metric(server, 'sluice_deltas_total'), (deltas) => deltas >= before + responses * (token + 1), 60_000);
	}
	await pause(1000); // four checkpoints
	const streamed = await weigh(server);
	const live = await metric(server, 'sluice_responses_live');
	const bytes = tokens * 'word '.length;
	const each = (kib) => `${(kib / responses).toFixed(1)} KiB`;
	console.log(
		`memory (anonymous), ${live} live responses, each watched over a ${way.name} of its own\n` +
			`  the server before: ${empty} KiB; the connections: ${each(connected - empty)}\n` +
			`  a response that has begun, with its connection to the model: ${each(begun - connected)}\n` +
			`  its ${tokens} tokens (${bytes} bytes of text, ${tokens} deltas): ${each(streamed - begun)}\n` +
			`  together: ${each(streamed - connected)}; without the text: ${each(streamed - connected - (responses * bytes) / 1024)}`,
	);
	ones.forEach((one) => way.drop(one));
}

console.log(`${os.cpus().length} × ${os.cpus()[0].model}`);
for (const [measure, ...figures] of [
	[kills, option('kills', 100)],
	[cancels, option('cancels', 1000)],
	[memory, option('responses', 1000), option('tokens', 1000)],
]) {
	if (figures[0] > 0) {
		await measure(...figures);
	}
}
