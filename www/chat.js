/**
 * One conversation: what it shows, and the turn that runs in it.
 * @module
 */

import { el } from './dom.js';
import { ConnectionLost } from './sluice.js';
import { AnswerView, duration, questionView } from './transcript.js';

const STARTERS = [
	'What can you do?',
	'Tell me a story of 150 words.',
	'Show me what Markdown can do.',
];
const FIRST_POLL_MS = 500;
const LONGEST_POLL_MS = 5_000;
const TITLE_LENGTH = 80;

export class Chat {
	#env;
	#list = el('div', { class: 'messages' });
	/** The turn under way: { turn, view, question, conversationBefore } */
	#running = null;
	/** A turn whose connection was lost, to be looked up when there is one again. */
	#lost = null;
	#parent;

	/**
	 * @param {object} env
	 * @param {import('./sluice.js').SluiceApi} env.api
	 * @param {import('./sluice.js').Connection} env.connection
	 * @param {import('./transcript.js').Speaker} env.speaker
	 * @param {() => void} env.onGrow                the transcript has grown
	 * @param {(chat: Chat) => void} env.onChange    it has begun or ended a turn, or got its name
	 * @param {(text: string) => void} env.onStarter a suggestion of the empty page was chosen
	 * @param {() => string|null} env.model          the model to ask
	 * @param {object|null} conversation             null for a new one
	 */
	constructor(env, conversation) {
		this.#env = env;
		this.id = conversation?.id ?? null;
		this.title = conversation?.title ?? '';
		this.#parent = conversation?.last_response_id ?? null;
		this.element = el('div', { class: 'transcript' }, this.#list);
		if (!conversation) {
			this.element.prepend(this.#welcome());
		}
	}

	get busy() {
		return this.#running !== null || this.#lost !== null;
	}

	get stoppable() {
		return this.#running !== null;
	}

	#welcome() {
		const starters = STARTERS.map((text) =>
			el('button', { type: 'button', class: 'starter', click: () => this.#env.onStarter(text) }, text));
		return el('div', { class: 'welcome' }, el('h2', {}, 'What shall we talk about?'),
			el('p', {}, 'Ask something, or begin with one of these.'), el('div', { class: 'starters' }, ...starters));
	}

	/** Fetches the transcript and shows it in place of what was there. */
	async load() {
		const loading = el('p', { class: 'loading', role: 'status' }, 'Loading the conversation');
		if (!this.#list.hasChildNodes()) {
			this.#list.append(loading);
		}
		try {
			await this.#reload();
		} catch (error) {
			const view = this.#answer(false);
			this.#list.replaceChildren(view.element);
			view.fail({ ...describe(error, 'The conversation could not be loaded'), retry: () => this.load() });
		}
	}

	async #reload() {
		const items = await this.#env.api.items(this.id);
		const last = items.at(-1);
		const settled = last?.role === 'assistant' && last.status === 'completed';
		const response = !settled && this.#parent ? await this.#env.api.response(this.#parent).catch(() => null) : null;
		const view = this.#show(items, response);
		if (response && isRunning(response)) {
			await this.#followUp(response.id, { view });
		}
	}

	/**
	 * @param {object|null} response  the latest one, known when the last item leaves a question
	 * @returns {AnswerView|null}     of the last message, when that is an answer
	 */
	#show(items, response) {
		const nodes = [];
		let question = '';
		let view = null;
		for (const item of items.filter(({ type }) => type === 'message')) {
			const text = itemText(item);
			if (item.role === 'user') {
				question = text;
				view = null;
				nodes.push(questionView(text));
			} else if (item.role === 'assistant') {
				view = this.#answer(false);
				view.replace(text);
				view.finish(item.status === 'completed' ? '' : 'This answer is not complete.');
				nodes.push(view.element);
			}
		}
		this.element.querySelector('.welcome')?.remove();
		this.#list.replaceChildren(...nodes);
		if (response) {
			view ??= this.#add(this.#answer(false));
			this.#conclude(view, question, response);
		}
		this.#env.onGrow();
		return view;
	}

	/** @param {string} text */
	send(text) {
		this.element.querySelector('.welcome')?.remove();
		this.title ||= text.trim().replace(/\s+/g, ' ').slice(0, TITLE_LENGTH);
		this.#list.append(questionView(text));
		this.#ask(text);
	}

	stop() {
		this.#running?.turn.cancel();
	}

	async #ask(question) {
		const view = this.#add(this.#answer(true));
		const body = { model: this.#env.model(), input: question };
		if (this.#parent) {
			body.previous_response_id = this.#parent;
		}
		const turn = this.#env.connection.create(body, (event) => this.#hear(event, view),
			() => view.pause('The connection was lost. The answer goes on when it is back.'));
		this.#running = { turn, view, question };
		this.#env.onChange(this);
		try {
			const response = await turn.done;
			this.#running = null;
			this.#conclude(view, question, response);
		} catch (error) {
			this.#running = null;
			this.#failed(error, view, question);
		}
		this.#env.onChange(this);
	}

	#hear(event, view) {
		view.goOn();
		if (event.type === 'response.output_text.delta') {
			view.append(event.delta);
		} else if (event.type === 'response.created' && !this.id && event.response.conversation) {
			this.id = event.response.conversation.id;
			this.#env.onChange(this);
		}
	}

	/** A response has ended, or was found ended. */
	#conclude(view, question, response) {
		if (response.status === 'failed') {
			view.fail({ ...describe(response.error ?? {}, 'No answer came'), retry: () => this.#retry(view, question) });
			return;
		}
		if (isRunning(response)) {
			return; // #followUp() takes it from here
		}
		this.#parent = response.id;
		view.finish(endNote(response));
	}

	#failed(error, view, question) {
		if (error instanceof ConnectionLost) {
			this.#lost = { view, question, responseId: error.responseId };
			view.pause('The connection was lost. The answer will be looked up when it is back.');
			if (this.#env.connection.state === 'open') {
				this.recover(); // it is back already, but could not go on where it was cut
			}
		} else if (error.code === 'cancelled') {
			view.finish('You stopped this answer.');
		} else {
			view.fail({ ...describe(error, 'The message was not answered'), retry: () => this.#retry(view, question) });
		}
	}

	#retry(view, question) {
		view.element.remove();
		this.#ask(question);
	}

	/** The connection is back: finds out what became of the turn that was under way. */
	async recover() {
		const lost = this.#lost;
		if (!lost) {
			return;
		}
		if (!lost.responseId) {
			this.#lost = null;
			lost.view.fail({
				title: 'The message may not have arrived', text: 'The connection was lost before the server answered.',
				button: 'Send again', retry: () => this.#retry(lost.view, lost.question),
			});
			this.#env.onChange(this);
			return;
		}
		await this.#followUp(lost.responseId, lost);
	}

	/** Asks for a response until it has ended, then shows the transcript as the server has it. */
	async #followUp(responseId, lost) {
		this.#lost = { ...lost, responseId };
		const mine = this.#lost;
		mine.view.pause('This answer is still being written.');
		this.#env.onChange(this);
		try {
			let response = await this.#env.api.response(responseId);
			for (let delay = FIRST_POLL_MS; isRunning(response); delay = Math.min(LONGEST_POLL_MS, delay * 1.5)) {
				const text = (response.output ?? []).map((item) => (item.type === 'message' ? itemText(item) : '')).join('');
				if (text.length > mine.view.text.length) {
					mine.view.replace(text);
				}
				await new Promise((resolve) => setTimeout(resolve, delay));
				if (this.#lost !== mine) {
					return;
				}
				response = await this.#env.api.response(responseId);
			}
			if (this.#lost !== mine) {
				return;
			}
			if (response.status !== 'failed') {
				this.#parent = responseId;
			}
			this.#show(await this.#env.api.items(this.id), response);
		} catch (error) {
			if (error.code === 'unreachable' && this.#env.connection.state !== 'open') {
				return; // recover() comes again with the next connection
			}
			mine.view.fail({ ...describe(error, 'The answer could not be fetched'), retry: () => this.load() });
		}
		if (this.#lost === mine) {
			this.#lost = null;
		}
		this.#env.onChange(this);
	}

	#answer(spoken) {
		return new AnswerView({ speaker: spoken ? this.#env.speaker : null, onGrow: this.#env.onGrow });
	}

	#add(view) {
		this.#list.append(view.element);
		this.#env.onGrow();
		return view;
	}
}

function isRunning(response) {
	return response.status === 'in_progress' || response.status === 'queued';
}

function itemText(item) {
	const parts = typeof item.content === 'string' ? [{ text: item.content }] : item.content;
	return parts.map((part) => part.text ?? part.refusal ?? '').join('');
}

function endNote(response) {
	const reason = response.incomplete_details?.reason;
	if (reason === 'cancelled' || response.status === 'cancelled') {
		return 'You stopped this answer.';
	}
	if (reason === 'max_output_tokens') {
		return 'This answer ends here because it reached its length limit.';
	}
	return response.status === 'completed' ? '' : 'This answer is not complete.';
}

/** What a reader is told of an error. */
function describe(error, title) {
	if (error.status === 429 || error.code === 'rate_limit_exceeded') {
		const wait = error.retryAfterMs ?? 5_000;
		return {
			title: 'One moment, please',
			text: `More messages came than the server takes. It takes the next in ${duration(Math.ceil(wait / 1000))}.`,
			retryAt: Date.now() + wait,
		};
	}
	return { title, text: error.message ?? 'The server gave no reason.', code: error.code };
}
