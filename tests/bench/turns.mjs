#!/usr/bin/env node
// Durable turns: begun and ended on disk before the client hears of the end. Short answers, many connections.
//   tests/bench/turns.mjs [--connections 64] [--seconds 10] [--tokens 5] [--rounds 3]
// BUILD names the folder of the programs. Prints a line of JSON: the median round.
import { compile, option, run, startBench, startModel } from './stage.mjs';

const connections = option('connections', 64);
const tokens = option('tokens', 5);
const program = await compile('turns');
const model = await startModel(tokens);
const { server, key } = await startBench(model);

const counts = async () => {
	const text = await (await server.fetch('/metrics')).text();
	return Number(/^sluice_store_commits_total (\d+)/m.exec(text)[1]);
};

const rounds = [];
for (let round = 0; round < option('rounds', 3); round++) {
	const before = await counts();
	const args = [server.port, connections, option('seconds', 10), server.child.pid, key, tokens];
	const { stdout } = await run(program, args.map(String));
	const result = JSON.parse(stdout);
	rounds.push({ ...result, commits_per_turn: Number(((await counts()) - before) / result.turns).toFixed(3) });
}
rounds.sort((a, b) => a.turns_per_second - b.turns_per_second);
console.log(JSON.stringify({ bench: 'turns', connections, ...rounds[Math.floor(rounds.length / 2)] }));
await server.remove();
model.stop();
