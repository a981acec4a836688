#!/usr/bin/env node
// The random schedules of tests/scenario/schedules.test.js, until a thousand servers were killed.
//   tests/torture.js [--kills 1000] [--seed N]     BUILD names the folder of the programs
import { campaign, explain } from './lib/campaign.js';
import { seed } from './lib/random.js';

const option = (name, value) => {
	const at = process.argv.indexOf(`--${name}`);
	return at < 0 ? value : Number(process.argv[at + 1]);
};

function row(name, value) {
	console.log(`${name.padEnd(58)} ${String(value).padStart(9)}`);
}

const kills = option('kills', 1000);
const first = option('seed', seed);
const begin = performance.now();
let told = 0;
const { tally, findings } = await campaign({
	first,
	kills,
	progress: ({ kills: killed, schedules }) => {
		if (killed >= told + 100) {
			told = killed - (killed % 100);
			console.error(`${killed} kills in ${schedules} schedules, ${Math.round((performance.now() - begin) / 1000)} s`);
		}
	},
});

console.log(`seed ${first} (tests/torture.js --seed ${first} repeats it)`);
row('schedules', tally.schedules);
row('servers killed (SIGKILL)', tally.kills);
row('servers ended by SIGTERM in mid-stream', tally.drains);
row('responses', tally.responses);
row('readings: requests, resumes, further devices', tally.readings);
row('events compared with the log', tally.events);
row('responses that a kill left without an end', tally.torn);
row('  of them with text that a checkpoint had', tally.kept);
row('  events seen by a client and in no checkpoint', tally.unkept);
row('  the longest such piece of stream, ms', Math.round(Math.max(0, ...tally.windows)));
row('seconds', Math.round((performance.now() - begin) / 1000));
row('findings', findings.length);
findings.forEach((finding) => console.log(`\n${explain(finding)}`));
process.exitCode = findings.length > 0 ? 1 : 0;
