// Randomness that can be repeated: SLUICE_TEST_SEED gives the same numbers again.
import { randomBytes } from 'node:crypto';

export const seed = Number(process.env.SLUICE_TEST_SEED ?? randomBytes(4).readUInt32LE());

/** A generator of its own for each use, named so that tests do not depend on each other's order (mulberry32). */
export function random(name, from = seed) {
	let state = [...name].reduce((hash, c) => Math.imul(hash ^ c.charCodeAt(0), 16777619) >>> 0, from >>> 0);
	const next = () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let t = Math.imul(state ^ (state >>> 15), state | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
	return {
		seed: from,
		/** From 0 up to, but not, 1. */
		fraction: next,
		/** A whole number from `low` to `high`, both included. */
		integer: (low, high) => low + Math.floor(next() * (high - low + 1)),
		bytes: (length) => Buffer.from(Array.from({ length }, () => Math.floor(next() * 256))),
		pick: (list) => list[Math.floor(next() * list.length)],
	};
}

let canaries = 0;
/** A word that stands nowhere else. Not from the seed: two runs must not find each other's. */
export const canary = () => `canary${randomBytes(12).toString('hex')}n${++canaries}`;
