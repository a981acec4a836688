/**
 * One conversation: what it shows, and the turns that run in it, here or on another device.
 * @module
 */

import { el } from './dom.js';
import { Exchange } from './exchange.js';
import { describe, itemText } from './words.js';

const STARTERS = [
	'What can you do?',
	'Tell me a story of 150 words.',
	'Show me what Markdown can do.',
];
const TITLE_LENGTH = 80;
/** How many of the answers that were cut short are asked why. */
const EXPLAINED = 20;

export class Chat {
	#env;
	#list = el('div', { class: 'messages' });
	/** In the order in which they are shown. @type {Exchange[]} */
	#exchanges = [];
	#subscription = null;
	/** The transcript is being fetched; 'again' when it must be looked at once more. @type {false|true|'again'} */
	#syncing = false;
	/** Gives up what is being fetched. */
	#fetching = new AbortController();
	#loaded = false;
	/** Whether what is shown is known to differ from what the server has. */
	#stale = false;
	#gone = false;

	/**
	 * @param {object} env
	 * @param {import('./sluice.js').SluiceApi} env.api
	 * @param {import('./sluice.js').Connection} env.connection
	 * @param {import('./transcript.js').Speaker} env.speaker
	 * @param {() => void} env.onGrow                the transcript has grown
	 * @param {(chat: Chat) => void} env.onChange    it has begun or ended a turn, or got its name
	 * @param {(chat: Chat) => void} env.onGone      it is not on the server any more
	 * @param {(text: string) => void} env.onStarter a suggestion of the empty page was chosen
	 * @param {(text: string|null) => void} env.onMove  go on in a new chat, with this message
	 * @param {() => string|null} env.model          the model to ask
	 * @param {object|null} conversation             null for a new one
	 */
	constructor(env, conversation) {
		this.#env = env;
		this.id = conversation?.id ?? null;
		this.title = conversation?.title ?? '';
		this.element = el('div', { class: 'transcript' }, this.#list);
		if (!conversation) {
			this.#loaded = true;
			this.element.prepend(this.#welcome());
		}
	}

	/** Whether an answer is under way, whoever asked for it. */
	get busy() {
		return this.#exchanges.some(({ turn }) => turn);
	}

	/** Whether it is known what a message would follow. */
	get ready() {
		const upToDate = this.#subscription?.ready ?? true;
		return this.#gone || (this.#loaded && !this.#stale && !this.#syncing && upToDate && !this.busy);
	}

	#welcome() {
		const starters = STARTERS.map((text) =>
			el('button', { type: 'button', class: 'starter', click: () => this.#env.onStarter(text) }, text));
		return el('div', { class: 'welcome' }, el('h2', {}, 'What shall we talk about?'),
			el('p', {}, 'Ask something, or begin with one of these.'), el('div', { class: 'starters' }, ...starters));
	}

	/* The transcript. */

	/** Fetches the transcript, and watches the conversation from now on. */
	async load() {
		this.#list.append(el('p', { class: 'loading', role: 'status' }, 'Loading the conversation'));
		this.#watch();
		await this.#sync();
	}

	/** Nobody looks at it any more. */
	leave() {
		this.#subscription?.close();
		this.#subscription = null;
	}

	#watch() {
		this.#subscription ??= this.#env.connection.subscribe(this.id, {
			onReady: () => {
				if (this.#loaded) {
					this.#fetching.abort(); // what was asked for over the network of before may never come
				}
				this.#sync();
			},
			onTurn: (turn, asked) => this.#follow(turn, asked),
			onError: (error) => this.#notWatched(error),
		});
	}

	#notWatched(error) {
		this.#subscription = null;
		if (error.status === 404) {
			this.#showGone();
		}
		this.#env.onChange(this);
	}

	/** Makes sure that the transcript has whatever was said while nobody listened. */
	async #sync() {
		if (this.#syncing) {
			this.#syncing = 'again';
			return;
		}
		this.#syncing = true;
		this.#fetching = new AbortController();
		const { signal } = this.#fetching;
		this.#env.onChange(this);
		try {
			const upToDate = this.#loaded && !this.#stale;
			const newest = upToDate ? await this.#env.api.newestItem(this.id, signal) : null;
			if (!newest || !this.#find(newest['sluice:response_id'])) {
				this.#show(await this.#env.api.items(this.id, signal));
			}
			this.#explain();
		} catch (error) {
			signal.aborted || this.#notFetched(error);
		}
		const again = this.#syncing === 'again';
		this.#syncing = false;
		if (again) {
			await this.#sync();
		} else {
			this.#env.onChange(this);
		}
	}

	#notFetched(error) {
		if (error.status === 404) {
			this.#showGone();
		} else if (!this.#loaded) {
			const notice = new Exchange(this.#env, []);
			this.#list.replaceChildren(...notice.nodes);
			notice.view.fail({
				...describe(error, 'The conversation could not be loaded'),
				retry: () => {
					this.#list.replaceChildren();
					this.load();
				},
			});
		}
	}

	/** What the server has, then what it does not have or not show on this path: what runs, and what never arrived. */
	#show(items) {
		const shown = [];
		for (const [id, group] of groupByResponse(items)) {
			const known = this.#find(id);
			shown.push(known?.turn ? known : Exchange.of(this.#env, id, group));
		}
		const ids = new Set(shown.map(({ responseId }) => responseId));
		const rest = this.#exchanges.filter(({ turn, responseId }) => (turn || !responseId) && !ids.has(responseId));
		this.#exchanges = [...shown, ...rest];
		this.#loaded = true;
		this.#stale = false;
		this.#list.replaceChildren(...this.#exchanges.flatMap(({ nodes }) => nodes));
		this.#env.onGrow();
	}

	/** Asks what became of the newest of those without a whole answer. */
	#explain() {
		for (const exchange of this.#exchanges.filter(({ unexplained }) => unexplained).slice(-EXPLAINED)) {
			this.#env.api.response(exchange.responseId).then((response) => {
				if (!exchange.turn) {
					this.#conclude(exchange, response);
					this.#env.onChange(this);
				}
			}, () => exchange.turn || exchange.view.finish('This answer is not complete.')); // and asks again next time
		}
	}

	#find(responseId) {
		return this.#exchanges.find((exchange) => exchange.responseId === responseId);
	}

	#add(exchange) {
		this.element.querySelector('.welcome')?.remove();
		this.#exchanges.push(exchange);
		this.#list.append(...exchange.nodes);
		this.#env.onGrow();
	}

	#remove(exchange) {
		this.#exchanges = this.#exchanges.filter((other) => other !== exchange);
		exchange.nodes.forEach((node) => node.remove());
	}

	/* Turns. */

	/** @param {string} text */
	send(text) {
		if (this.#gone) {
			this.#env.onMove(text);
			return;
		}
		this.title ||= text.trim().replace(/\s+/g, ' ').slice(0, TITLE_LENGTH);
		const exchange = new Exchange(this.#env, [text]);
		this.#add(exchange);
		this.#ask(exchange);
	}

	stop() {
		this.#exchanges.forEach((exchange) => exchange.stop(this.#env.connection.state === 'open'));
	}

	/** What a new message follows: the last turn that the model could go on from. */
	#parentOf(exchange) {
		const before = this.#exchanges.slice(0, this.#exchanges.indexOf(exchange));
		return before.findLast(({ responseId, failed }) => responseId && !failed)?.responseId ?? null;
	}

	#ask(exchange) {
		const parent = this.#parentOf(exchange);
		const body = { model: this.#env.model(), input: exchange.question };
		if (parent) {
			body.previous_response_id = parent;
		}
		this.#run(exchange, this.#env.connection.create(body));
	}

	/** A turn of another tab or device. */
	#follow(turn, { input, previousResponseId }) {
		let exchange = this.#find(turn.responseId);
		if (exchange?.turn) {
			return;
		}
		if (!exchange) {
			this.#dropFailed(previousResponseId);
			exchange = new Exchange(this.#env, input.filter(({ role }) => role === 'user').map(itemText));
			exchange.responseId = turn.responseId;
			this.#add(exchange);
		}
		this.#run(exchange, turn);
	}

	/** Where another device tries again what has failed, the new turn stands in the place of the old one. */
	#dropFailed(previousResponseId) {
		const last = this.#exchanges.at(-1);
		if (last?.failed && last.responseId && this.#parentOf(last) === previousResponseId) {
			this.#remove(last);
		}
	}

	async #run(exchange, turn) {
		exchange.start(turn, (event) => this.#hear(event, exchange));
		this.#env.onChange(this);
		try {
			this.#conclude(exchange, await turn.done);
		} catch (error) {
			await this.#failed(error, exchange);
		}
		this.#env.onChange(this);
	}

	#hear(event, exchange) {
		if (event.type !== 'response.created') {
			return;
		}
		const { id, conversation } = event.response;
		const twin = this.#exchanges.find((other) => other !== exchange && other.responseId === id);
		if (twin) {
			this.#remove(twin);
		}
		if (!this.id && conversation) {
			this.id = conversation.id;
			this.#watch();
			this.#env.onChange(this);
		}
	}

	/** A response has ended, or was found ended. */
	#conclude(exchange, response) {
		const failure = exchange.conclude(response);
		if (failure) {
			exchange.fail({ ...describe(failure, 'No answer came'), retry: () => this.#retry(exchange) });
		}
	}

	async #failed(error, exchange) {
		if (error.code === 'connection_lost' && exchange.responseId) {
			exchange.loseTrack();
			this.#stale = true;
			await this.#sync();
		} else if (error.code === 'cancelled') {
			exchange.finish('You stopped this before it was sent.');
		} else if (error.code === 'previous_response_not_found' || error.code === 'conversation_not_found') {
			await this.#lostItsPast(exchange);
		} else {
			exchange.fail({ ...describe(error, 'The message was not answered'), retry: () => this.#retry(exchange) });
		}
	}

	/** At the end: in its old place it would fork away from what was said behind it. */
	#retry(exchange) {
		exchange.reset();
		if (this.#exchanges.at(-1) !== exchange) {
			this.#remove(exchange);
			this.#add(exchange);
		}
		this.#ask(exchange);
	}

	/** What a message was to follow is deleted: all of the conversation, or a part of it. */
	async #lostItsPast(exchange) {
		const newest = await this.#env.api.newestItem(this.id).catch((error) => (error.status === 404 ? null : error));
		if (newest) {
			exchange.fail({
				title: 'This chat has changed', text: 'A part of it was deleted in another window or on another device.',
				button: 'Send again', retry: () => this.#sendAgain(exchange),
			});
			return;
		}
		this.#gone = true;
		exchange.fail({
			title: 'This chat was deleted',
			text: 'It was deleted in another window or on another device. Your message can start a new one.',
			button: 'Send in a new chat', retry: () => this.#env.onMove(exchange.question),
		});
		this.#env.onGone(this);
	}

	async #sendAgain(exchange) {
		this.#remove(exchange);
		this.#stale = true;
		await this.#sync();
		this.send(exchange.question);
	}

	/** It was deleted elsewhere. What can be seen stays to be read. */
	#showGone() {
		if (this.#gone) {
			return;
		}
		this.#gone = true;
		this.#loaded = true;
		this.#list.querySelector('.loading')?.remove();
		const notice = new Exchange(this.#env, []);
		this.#list.append(...notice.nodes);
		notice.view.fail({
			title: 'This chat is not there any more',
			text: 'It was deleted, here or on another device. Your next message starts a new one.',
			button: 'New chat', retry: () => this.#env.onMove(null),
		});
		this.#env.onGone(this);
		this.#env.onGrow();
	}

	/** Told by another tab. */
	wasDeleted() {
		this.#showGone();
	}
}

/** [response id, its messages], in order. */
function groupByResponse(items) {
	const groups = new Map();
	for (const item of items.filter(({ type }) => type === 'message')) {
		const id = item['sluice:response_id'];
		groups.set(id, [...(groups.get(id) ?? []), item]);
	}
	return groups;
}
