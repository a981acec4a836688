#!/usr/bin/env node
// Measures sluiced beside a bare relay and today's peers, and writes what came out: as lines while it runs, as JSON to
// build/bench/results.json, and at the end as the table of docs/performance.md.
//   tests/bench/run.mjs [--only NAME,…] [--rounds 3] [--seconds 5] [--loops N] [--smoke] [--no-peers] [--no-write]
//   … --only fairness [--greed lanes,items,…] [--open]    kinds of greed; with limits far away
// With --only the other measures' earlier results stay in the file, and the document is left alone.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readOptions } from './lib/options.mjs';
import { machine } from './lib/proc.mjs';
import { BUILD, buildPrograms } from './lib/programs.mjs';
import { MEASURES } from './measures/all.mjs';
import { printReport, writeReport } from './report.mjs';

const file = path.join(BUILD, 'bench', 'results.json');

function earlier() {
	try {
		return JSON.parse(readFileSync(file, 'utf8')).measures;
	} catch {
		return {};
	}
}

async function main() {
	const options = readOptions(process.argv.slice(2), Object.keys(MEASURES));
	mkdirSync(path.dirname(file), { recursive: true });
	buildPrograms();
	const names = Object.keys(MEASURES).filter((name) => (options.only ? options.only.includes(name) : !MEASURES[name].asked));
	const results = { machine: machine(), measures: options.only ? earlier() : {} };
	const began = performance.now();
	let failed = 0;
	for (const name of names) {
		const from = performance.now();
		console.log(`== ${name}: ${MEASURES[name].title}`);
		try {
			const measured = await MEASURES[name].run(options, (line) => console.log(`   ${line}`));
			results.measures[name] = { ...measured, sluice: results.machine.sluice };
		} catch (error) {
			failed++;
			console.log(`   cannot run: ${error.message}`);
			results.measures[name] = { error: error.message };
		}
		console.log(`   (${((performance.now() - from) / 1000).toFixed(0)} s)`);
		if (!options.smoke) {
			writeFileSync(file, `${JSON.stringify(results, null, '\t')}\n`);
		}
	}
	console.log(`== ${names.length} measures in ${((performance.now() - began) / 1000).toFixed(0)} s, ${failed} could not run`);
	if (!options.smoke) {
		printReport(results);
		if (options.write && !options.only) {
			writeReport(results);
		}
	}
	process.exitCode = failed > 0 ? 1 : 0;
}

await main();
// Sockets that a broken run left open don't keep it.
process.exit();
