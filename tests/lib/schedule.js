// A schedule: what happens to some responses and to who reads them, in order, all of it from one seed. Steps wait for
// each other only where they say so, so that most of what happens, happens at once.
import { random } from './random.js';

const WORDS = [
	'sluice ', 'gate ', 'water ', '水門 ', 'naïve ', '🌊', '👩‍👩‍👧 ', 'ß', '"quoted" ', 'back\\slash ', '\n', '\n\n', '\t', '\r\n', '\u2028',
	'\u0007', '</script>', 'data: [DONE]\n\n', 'event: x\n', '{"a":1} ', 'é', '​', 'ﷺ', '.', ' ', 'null', '𝕏 ', '%s%n ',
];

const LANES = ['', '', 'a', 'b'];

function tokens(dice) {
	const large = dice.integer(1, 25) === 1;
	const count = large ? dice.integer(40, 60) : dice.pick([1, dice.integer(2, 20), dice.integer(20, 120)]);
	const word = () => Array.from({ length: dice.integer(1, 3) }, () => dice.pick(WORDS)).join('');
	// A large one is more than the buffers between the two ends hold: its slow reader is waited for.
	return Array.from({ length: count }, () => (large ? word().repeat(2000) : word()));
}

/** What each of the tokens is. Every other answer is plain text; the others are of several items. */
function kinds(dice, count) {
	const list = [];
	const plain = dice.integer(1, 2) === 1;
	while (list.length < count) {
		const kind = plain ? 'text' : dice.pick(['text', 'text', 'think', 'call']);
		const rest = Array(dice.integer(0, 12)).fill(kind === 'call' ? 'more' : kind);
		list.push(kind, ...rest);
	}
	return list.slice(0, count);
}

function answer(dice, number) {
	const text = tokens(dice);
	return {
		number,
		tokens: text,
		kinds: kinds(dice, text.length),
		store: dice.integer(1, 8) > 1,
		parent: number > 0 && dice.integer(1, 2) === 1 ? dice.integer(0, number - 1) : undefined,
		how: dice.pick(['ws', 'ws', 'ws', 'sse', 'post']),
		device: dice.integer(0, 3),
		lane: dice.pick(LANES),
	};
}

const reading = (dice) => dice.integer(0, 9);
/** Most events happen in the middle of an answer: its first words are there and more will come. */
const seen = (dice) => ({ reading: reading(dice), part: dice.pick([1, 1, dice.fraction()]) });

/** Each kind of step: how often it comes, what else it says, and whether it is about an answer. */
const KINDS = {
	say: { weight: 26, of: 'answer', make: (dice) => ({ tokens: dice.pick([1, 2, 5, 30]), style: dice.pick(['together', 'apart', 'torn']) }) },
	seen: { weight: 20, make: seen },
	watch: {
		weight: 18,
		of: 'answer',
		make: (dice) => ({
			how: dice.pick(['ws', 'sse']),
			device: dice.integer(0, 3),
			lane: dice.pick(LANES),
			from: dice.pick(['start', 'last', 'last', dice.fraction()]),
		}),
	},
	follow: { weight: 6, of: 'answer', make: (dice) => ({ device: dice.pick([0, 1, 5, 5, 6]) }) },
	cut: { weight: 12, make: (dice) => ({ reading: reading(dice), how: dice.pick(['reset', 'drop', 'close']) }) },
	pause: { weight: 4, make: (dice) => ({ reading: reading(dice) }) },
	resume: { weight: 5, make: (dice) => ({ reading: reading(dice) }) },
	cancel: { weight: 3, of: 'answer', make: (dice) => ({ how: dice.pick(['ws', 'ws unnamed', 'http', 'twice']) }) },
	look: { weight: 4, of: 'answer', make: () => ({}) },
	end: { weight: 4, of: 'answer', make: (dice) => ({ how: dice.pick(['stop', 'stop', 'stop', 'length', 'cut']) }) },
};

const KILLS = {
	...KINDS,
	keep: { weight: 12, of: 'answer', make: () => ({}) },
	kill: { weight: 5, make: (dice) => ({ turns: dice.pick([0, 0, 1, 3, 10, 40]) }) },
	drain: { weight: 1, make: (dice) => ({ finish: dice.integer(0, 1) === 1 }) },
};

function draw(dice, kinds, asked) {
	const list = Object.entries(kinds);
	let at = dice.integer(1, list.reduce((sum, [, { weight }]) => sum + weight, 0));
	const [name, { of, make }] = list.find(([, { weight }]) => (at -= weight) <= 0);
	return { do: name, ...(of ? { answer: dice.integer(Math.max(0, asked - 2), asked - 1) } : {}), ...make(dice) };
}

/** The schedule of a seed: { seed, kills, answers, steps }. `kills`: whether the server may be killed and restarted. */
export function schedule(seed, { kills = false } = {}) {
	const dice = random('schedule', seed);
	const list = Array.from({ length: dice.integer(1, 4) }, (_, number) => answer(dice, number));
	const plan = { seed, kills, answers: list, steps: [] };
	const left = plan.answers.map(({ number }) => number);
	for (let count = dice.integer(10, 60); count > 0; count--) {
		const asked = plan.answers.length - left.length;
		if (left.length > 0 && (asked === 0 || dice.integer(1, 10) === 1)) {
			plan.steps.push({ do: 'ask', answer: left.shift() }, { do: 'say', answer: asked, tokens: 2, style: 'apart' });
			if (dice.integer(1, 4) > 1) {
				plan.steps.push({ do: 'seen', reading: 'latest', part: 1 });
			}
		} else {
			plan.steps.push(draw(dice, kills ? KILLS : KINDS, asked));
		}
	}
	return plan;
}

/** The steps as text, one a line. */
export function describe({ answers: list, steps }) {
	const asked = list.map(
		({ number, tokens: text, kinds: of, store, parent, how, device, lane }) =>
			`answer ${number}: ${text.length} tokens (${[...new Set(of)]}), ${text.join('').length} characters, ${how}${how === 'ws' ? ` on device ${device}, lane '${lane}'` : ''}` +
			`${store ? '' : ', not stored'}${parent === undefined ? '' : `, behind answer ${parent}`}`,
	);
	const told = steps.map(({ do: kind, ...rest }, at) => `${at}: ${kind} ${JSON.stringify(rest)}`);
	return [...asked, ...told].join('\n');
}
