#!/usr/bin/env node
// The random schedules of tests/scenario/schedules.test.js: two thousand without kills, then until a thousand servers were
// killed.
//   tests/torture.js [--calm 2000] [--kills 1000] [--seed N]     BUILD names the folder of the programs
import { campaign, explain, shrink } from './lib/campaign.js';
import { seed } from './lib/random.js';

const option = (name, value) => {
	const at = process.argv.indexOf(`--${name}`);
	return at < 0 ? value : Number(process.argv[at + 1]);
};
const first = option('seed', seed);
const begin = performance.now();

/** Says every `step` of what `count` counts that it lives. */
function progress(count, step) {
	let told = 0;
	return (tally) => {
		if (tally[count] >= told + step) {
			told = tally[count] - (tally[count] % step);
			console.error(`${told} ${count}, ${Math.round((performance.now() - begin) / 1000)} s`);
		}
	};
}

const calm = await campaign({ first, schedules: option('calm', 2000), progress: progress('schedules', 500) });
const wild = await campaign({ first, kills: option('kills', 1000), progress: progress('kills', 100) });

const row = (name, ...values) => console.log(`${name.padEnd(52)}${values.map((value) => String(value).padStart(14)).join('')}`);
const rows = [
	['schedules', ({ schedules }) => schedules],
	['servers killed (SIGKILL)', ({ kills }) => kills],
	['servers ended by SIGTERM in mid-stream', ({ drains }) => drains],
	['responses', ({ responses }) => responses],
	['readings: requests, resumes, further devices', ({ readings }) => readings],
	['  of them by watching a conversation', ({ followed }) => followed],
	['events compared with the log', ({ events }) => events],
	['responses that a kill left without an end', ({ torn }) => torn],
	['  of them with text that a checkpoint had', ({ kept }) => kept],
	['  events seen by a client and in no checkpoint', ({ unkept }) => unkept],
	['  the longest such piece of stream, ms', ({ windows }) => Math.round(Math.max(0, ...windows))],
];
console.log(`seed ${first} (tests/torture.js --seed ${first} repeats it), ${Math.round((performance.now() - begin) / 1000)} s`);
row('', 'without kills', 'with kills');
rows.forEach(([name, value]) => row(name, value(calm.tally), value(wild.tally)));
row('findings', calm.findings.length, wild.findings.length);

const findings = [...calm.findings, ...wild.findings];
for (const finding of findings) {
	console.log(`\n${explain(await shrink(finding))}`);
}
process.exitCode = findings.length > 0 ? 1 : 0;
