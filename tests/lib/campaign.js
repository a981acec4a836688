// Many schedules, on several servers at a time, and what they found.
import { describe, schedule } from './schedule.js';
import { judge, newTally } from './verdict.js';
import { World } from './world.js';

/** Responses that were acknowledged as ended stay what they are, whatever happened to the server afterwards. */
async function checkStillThere(world, ended) {
	for (const { key, response } of ended) {
		const answer = await world.server.fetch(`/v1/responses/${response.id}`, { key });
		const now = await answer.text();
		if (JSON.stringify(JSON.parse(now)) !== JSON.stringify(response)) {
			throw new Error(`${response.id} is not what it was: ${now}`);
		}
	}
}

async function playOne(world, plan, tally, ended) {
	const play = await world.play(plan);
	const responses = await judge(play, tally);
	ended.push(...responses.map((response) => ({ key: play.key, response })));
}

function count(world, tally) {
	tally.kills += world.kills;
	tally.drains += world.drains;
	world.kills = 0;
	world.drains = 0;
}

async function inOneWorld(next, tally, findings) {
	const world = new World();
	const ended = [];
	let plan;
	try {
		await world.open();
		while (findings.length === 0 && (plan = next(tally))) {
			await playOne(world, plan, tally, ended);
			count(world, tally);
		}
		plan = undefined;
		await checkStillThere(world, ended);
		await world.close();
	} catch (error) {
		findings.push({ plan, error });
	} finally {
		count(world, tally);
		await world.destroy();
	}
}

/**
 * Carries out the schedules of the seeds `first`, `first` + 1, …: `schedules` of them, else until `kills` servers were
 * killed; with `kills` they are of the kind that kills. Stops at the first finding. Gives { tally, findings }.
 */
export async function campaign({ first, schedules, kills = 0, worlds = 4, progress = () => {} }) {
	const tally = newTally();
	const findings = [];
	let begun = 0;
	const next = () => {
		progress(tally);
		const more = schedules === undefined ? tally.kills < kills : begun < schedules;
		return more ? schedule((first + begun++) >>> 0, { kills: kills > 0 }) : undefined;
	};
	await Promise.all(Array.from({ length: Math.min(worlds, schedules ?? worlds) }, () => inOneWorld(next, tally, findings)));
	return { tally, findings };
}

async function fails(plan) {
	const findings = [];
	const once = [plan];
	await inOneWorld(() => once.pop(), newTally(), findings);
	return findings[0];
}

/** Leaves out steps as long as it still fails, for a minute at most: gives the shorter finding. */
export async function shrink(finding) {
	if (!finding.plan) {
		return finding;
	}
	const end = performance.now() + 60_000;
	let shortest = finding;
	for (let size = finding.plan.steps.length >> 1; size > 0; size >>= 1) {
		for (let at = 0; at < shortest.plan.steps.length && performance.now() < end; ) {
			const steps = shortest.plan.steps.filter((_, n) => n < at || n >= at + size);
			const found = await fails({ ...shortest.plan, steps });
			at += found ? 0 : size;
			shortest = found ?? shortest;
		}
	}
	return shortest;
}

/** What was counted, in a line. */
export function counted({ schedules, responses, readings, followed, events, kills, drains, torn, kept, unkept }) {
	return (
		`${schedules} schedules: ${responses} responses, ${readings} readings (${followed} followed), ${events} events, ${kills} kills, ` +
		`${drains} restarts; ${torn} responses torn by a kill, ${kept} of them with text, ${unkept} events seen and not kept`
	);
}

/** A finding as text, with the command that repeats it. */
export function explain({ plan, error }) {
	if (!plan) {
		return error.stack;
	}
	const which = `${plan.seed}${plan.kills ? '+kills' : ''}`;
	return `${error.stack}\n\n${describe(plan)}\n\nTo repeat it: SLUICE_TEST_SCHEDULE=${which} node --test tests/scenario/schedules.test.js`;
}
