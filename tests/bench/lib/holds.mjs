// What holds.c counts: how long the loops of a process hold on, and how long that makes others wait.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { built } from './programs.mjs';

const STEP_US = 10;

export class Holds {
	#folder = mkdtempSync(path.join(os.tmpdir(), 'sluice-bench-'));
	#file = path.join(this.#folder, 'holds');
	#before;
	#begun;
	#counts;
	#span_us;

	/** Environment of the process to watch. */
	get env() {
		return { LD_PRELOAD: built('holds.so'), BENCH_HOLDS: this.#file };
	}

	#read() {
		const bytes = readFileSync(this.#file);
		return new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
	}

	/** A mark of load: counts what lies between "measure" and "measured". */
	heard(mark) {
		if (mark === 'measure') {
			this.#begun = process.hrtime.bigint();
			this.#before = this.#read();
		} else if (mark === 'measured') {
			this.#counts = Array.from(this.#read(), (count, at) => Number(count - this.#before[at]));
			this.#span_us = Number(process.hrtime.bigint() - this.#begun) / 1000;
		}
	}

	/** The share of time in which whatever comes has to wait longer than this. */
	#share(wait_us) {
		return this.#counts.reduce((sum, count, at) => sum + count * Math.max((at + 0.5) * STEP_US - wait_us, 0), 0) / this.#span_us;
	}

	/** The wait that this share of what comes at any moment exceeds. */
	wait(share) {
		let [low, high] = [0, this.#counts.length * STEP_US];
		while (high - low > 1) {
			const middle = (low + high) / 2;
			[low, high] = this.#share(middle) > share ? [middle, high] : [low, middle];
		}
		return Math.round(high);
	}

	get longest_us() {
		return (this.#counts.findLastIndex((count) => count > 0) + 1) * STEP_US;
	}

	/** Of the time, how much the loops were held. */
	get share() {
		return this.#share(0);
	}

	remove() {
		rmSync(this.#folder, { recursive: true, force: true });
	}
}
