/**
 * Whether a connection that seems to be open still carries anything.
 * @module
 */

/** How long an answer to a message may take. */
export const ANSWER_MS = 5_000;
/** While turns run, the server is never silent for longer than a third of this. */
export const SILENCE_MS = 45_000;

/** Notices a connection that is dead and does not know it: asks after too long a silence, and gives up without an answer. */
export class Pulse {
	#patience;
	#ask;
	#giveUp;
	#timer = 0;
	#saidAt = 0;
	#heardAt = 0;
	/** When it was asked what is not answered yet, or 0. */
	#askedAt = 0;

	/**
	 * @param {object} owner
	 * @param {() => number} owner.patience  how many milliseconds of silence are in order now
	 * @param {() => void} owner.ask         sends something that is answered; calls said()
	 * @param {() => void} owner.giveUp
	 */
	constructor({ patience, ask, giveUp }) {
		this.#patience = patience;
		this.#ask = ask;
		this.#giveUp = giveUp;
	}

	/** Something came. It may have been on its way for long: it is no answer. */
	heard() {
		this.#heardAt = Date.now();
	}

	answered() {
		this.#askedAt = 0;
	}

	said() {
		this.#saidAt = Date.now();
		this.#sleep();
	}

	stop() {
		clearTimeout(this.#timer);
		this.#askedAt = 0;
	}

	check() {
		if (!this.#askedAt) {
			this.#askedAt = Date.now();
			this.#ask();
		}
	}

	#due() {
		return this.#askedAt
			? Math.max(this.#askedAt, this.#heardAt) + ANSWER_MS
			: Math.max(this.#saidAt, this.#heardAt) + this.#patience();
	}

	#sleep() {
		clearTimeout(this.#timer);
		// Patience may have run shorter when the timer fires, never when it is set: so it wakes early and looks again.
		const wait = Math.min(Math.max(0, this.#due() - Date.now()), SILENCE_MS);
		this.#timer = setTimeout(() => this.#look(), wait);
	}

	#look() {
		if (this.#due() > Date.now()) {
			this.#sleep();
		} else if (this.#askedAt) {
			this.#giveUp();
		} else {
			this.check();
		}
	}
}
