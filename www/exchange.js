/**
 * A question and its answer, as they are shown.
 * @module
 */

import { AnswerView, questionView } from './transcript.js';
import { answerText, endNote, itemText, wasCancelled } from './words.js';

/** Most breaks of a connection mend before it is worth telling of them. */
const CALM_MS = 700;

export class Exchange {
	#env;
	#questions;
	#cutTimer = 0;

	/**
	 * @param {object} env                    of the chat
	 * @param {string[]} questions
	 */
	constructor(env, questions) {
		this.#env = env;
		this.question = questions.join('\n\n');
		this.#questions = questions.map(questionView);
		/** What stands here from the start is not read out. */
		this.view = new AnswerView({ speaker: null, onGrow: env.onGrow });
		/** The turn under way, or null. @type {import('./sluice.js').Turn|null} */
		this.turn = null;
		/** null while the server has not named it. @type {string|null} */
		this.responseId = null;
		/** Whether it ended without an answer. */
		this.failed = false;
		/** Whether it is open what became of it. */
		this.unexplained = false;
	}

	/** One that the server keeps. @param {object[]} items  its messages */
	static of(env, responseId, items) {
		const exchange = new Exchange(env, items.filter(({ role }) => role === 'user').map(itemText));
		const answers = items.filter(({ role }) => role === 'assistant');
		exchange.responseId = responseId;
		exchange.unexplained = answers.length === 0 || answers.some(({ status }) => status !== 'completed');
		exchange.view.replace(answerText(answers));
		if (answers.length > 0) {
			exchange.view.finish();
		}
		return exchange;
	}

	get nodes() {
		return [...this.#questions, this.view.element];
	}

	/** A turn runs for it. @param {(event: object) => void} onEvent  hears of each event first */
	start(turn, onEvent) {
		this.turn = turn;
		this.failed = false;
		this.unexplained = false;
		this.#renew();
		turn.onEvent = (event) => {
			onEvent(event);
			this.responseId = turn.responseId;
			this.#hear(event);
		};
		turn.onCut = () => {
			clearTimeout(this.#cutTimer);
			this.#cutTimer = setTimeout(() => this.#tellCut(), CALM_MS);
		};
		turn.onBack = () => this.#goOn();
	}

	#goOn() {
		clearTimeout(this.#cutTimer);
		this.view.goOn();
	}

	#tellCut() {
		const what = this.turn.stopping ? 'stops' : 'goes on';
		this.view.pause(`The connection was lost. The answer ${what} when it is back.`);
	}

	#hear(event) {
		this.#goOn();
		switch (event.type) {
			case 'response.content_part.added':
				// Another message, or a refusal behind what was said; not what the model only thinks.
				if (this.view.text && event.part.type !== 'reasoning_text') {
					this.view.append('\n\n');
				}
				break;
			case 'response.output_text.delta':
			case 'response.refusal.delta':
				this.view.append(event.delta);
				break;
		}
	}

	stop(connected) {
		this.turn?.cancel();
		if (this.turn && !connected) {
			this.#tellCut();
		}
	}

	/** The response has ended. Gives its error when it has failed. @returns {object|null} */
	conclude(response) {
		if (response.status === 'in_progress' || response.status === 'queued') {
			return null; // a subscription brings the rest
		}
		this.#endTurn();
		this.unexplained = false;
		if (response.status === 'failed') {
			return response.error ?? {};
		}
		if (response.incomplete_details?.reason === 'server_restart') {
			// What came in the last moment before the server died may not have been kept.
			this.view.replace(answerText(response.output));
		}
		this.view.finish(endNote(response), wasCancelled(response));
		return null;
	}

	#endTurn() {
		clearTimeout(this.#cutTimer);
		this.turn = null;
	}

	/** It ends without a word of the server. */
	finish(note) {
		this.#endTurn();
		this.failed = true;
		this.view.finish(note, true);
	}

	fail(failure) {
		this.#endTurn();
		this.failed = true;
		this.unexplained = false;
		this.view.fail(failure);
	}

	/** Its end was not heard: the server has to be asked. */
	loseTrack() {
		this.#endTurn();
		this.view.pause('The end of this answer is being looked up.');
	}

	/** To be asked again. */
	reset() {
		this.responseId = null;
		this.#renew();
	}

	#renew() {
		const view = new AnswerView({ speaker: this.#env.speaker, onGrow: this.#env.onGrow });
		this.view.element.replaceWith(view.element);
		this.view = view;
	}
}
