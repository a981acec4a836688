#!/usr/bin/env node
// The table and the plots of docs/performance.md, made of build/bench/results.json.
//   tests/bench/report.mjs [RESULTS.json] [--write]    prints the table; --write: puts it and the plots below docs/
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { budget, details } from './lib/budget.mjs';
import { plots } from './lib/plots.mjs';
import { BUILD, ROOT } from './lib/programs.mjs';

const page = path.join(ROOT, 'docs/performance.md');
const MARKS = ['<!-- results:begin -->', '<!-- results:end -->'];

/** Measures that an earlier run with --only left in the file. */
function stale(machine, measures) {
	const others = Object.entries(measures).filter(([, { sluice }]) => sluice && sluice !== machine.sluice);
	return others.length > 0 ? ['', `Of other versions: ${others.map(([name, { sluice }]) => `${name}, ${sluice}`).join('; ')}.`] : [];
}

function text({ machine, measures }) {
	const libraries = Object.entries(machine.libraries).map(([name, version]) => `${name} ${version}`);
	const peers = [...Object.values(measures.tokens?.versions ?? {}), ...Object.entries(measures.tokens?.missing ?? {}).map(([name, why]) => `${name} left out: ${why}`)];
	return [
		`${machine.date}, sluice ${machine.sluice}. ${machine.processors} × ${machine.processor}, ${machine.memory_gib} GiB, ${machine.kernel}; gcc ${machine.compiler}, ${libraries.join(', ')}. Peers: ${peers.join('; ') || 'none'}.`,
		...stale(machine, measures),
		'',
		'| what | must reach | sluice | reached | today\'s peers, same run |',
		'|---|---|---|---|---|',
		...budget(measures).map((row) => `| ${row.join(' | ')} |`),
		'',
		...details(measures),
	].join('\n');
}

export function printReport(results) {
	console.log(`\n${text(results)}`);
}

export function writeReport(results) {
	const folder = path.join(ROOT, 'docs/performance');
	mkdirSync(folder, { recursive: true });
	for (const [name, svg] of Object.entries(plots(results.measures))) {
		writeFileSync(path.join(folder, `${name}.svg`), svg);
	}
	const before = readFileSync(page, 'utf8');
	const [from, to] = MARKS.map((mark) => before.indexOf(mark));
	if (from < 0 || to < from) {
		throw new Error(`${page} has no ${MARKS.join(' … ')}`);
	}
	writeFileSync(page, `${before.slice(0, from + MARKS[0].length)}\n${text(results)}\n${before.slice(to)}`);
	console.log(`\nwritten to docs/performance.md and docs/performance/`);
}

if (process.argv[1].endsWith('report.mjs')) {
	const file = process.argv[2]?.endsWith('.json') ? process.argv[2] : path.join(BUILD, 'bench', 'results.json');
	const results = JSON.parse(readFileSync(file, 'utf8'));
	printReport(results);
	if (process.argv.includes('--write')) {
		writeReport(results);
	}
}
