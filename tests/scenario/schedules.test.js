// No event lost, none twice, one end: random schedules of everything that can happen to a stream, each from a seed.
//   SLUICE_TEST_SCHEDULE=SEED   carries out that one alone and, if it fails, leaves out the steps that do not matter;
//                               SEED+kills if it was one with kills
import assert from 'node:assert/strict';
import { campaign, counted, explain, shrink } from '../lib/campaign.js';
import { seed } from '../lib/random.js';
import { test } from '../lib/test.js';

const [only, onlyWithKills] = (process.env.SLUICE_TEST_SCHEDULE ?? '').split('+');
const FOUR_MINUTES = { timeout: 240_000 };

async function run(t, options) {
	const one = only === '' ? {} : { first: Number(only), schedules: 1 };
	const { tally, findings } = await campaign({ first: seed, ...options, ...one });
	t.diagnostic(counted(tally));
	const shown = only === '' ? findings : await Promise.all(findings.map(shrink));
	assert.equal(shown.length, 0, shown.map(explain).join('\n\n'));
}

test('random schedules: every reader gets the log, whole and once', { ...FOUR_MINUTES, skip: only !== '' && onlyWithKills !== undefined }, (t) =>
	run(t, { schedules: 240 }));

test('random schedules with kills: what was acknowledged is there', { ...FOUR_MINUTES, skip: only !== '' && onlyWithKills === undefined }, (t) =>
	run(t, { schedules: 60, kills: 1 }));
