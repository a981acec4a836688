/**
 * The list of conversations beside the transcript.
 * @module
 */

import { el, icon } from './dom.js';

const DAY_MS = 86_400_000;

export class ConversationList {
	#api;
	#root;
	#onDelete;
	#conversations = [];
	#current = null;
	#more = false;
	#shown = '';
	#pressed = false;

	/**
	 * @param {HTMLElement} root
	 * @param {import('./sluice.js').SluiceApi} api
	 * @param {(conversation: object) => void} onDelete  the reader wants it gone
	 */
	constructor(root, api, onDelete) {
		this.#root = root;
		this.#api = api;
		this.#onDelete = onDelete;
		root.addEventListener('pointerdown', () => {
			this.#pressed = true;
		});
		for (const end of ['pointerup', 'pointercancel']) {
			addEventListener(end, () => this.#released());
		}
	}

	/** Fetches the newest conversations; older ones that were fetched before stay. */
	async load() {
		try {
			this.#take(await this.#api.conversations());
		} catch (error) {
			this.#shown = '';
			this.#root.replaceChildren(el('p', { class: 'list-note', role: 'status' }, 'The list could not be loaded. ', error.message),
				el('button', { type: 'button', class: 'text-button', click: () => this.load() }, 'Try again'));
			throw error;
		}
	}

	/** The one with this id, from older pages too, or null. */
	async find(id) {
		for (;;) {
			const found = this.#conversations.find((conversation) => conversation.id === id);
			if (found || !this.#more) {
				return found ?? null;
			}
			await this.#loadOlder();
		}
	}

	/** Marks the open conversation; null for a new one. */
	mark(id) {
		this.#current = id;
		this.#render();
	}

	/** A conversation has had a message: it is the newest now. */
	touch(id, title) {
		const known = this.#conversations.find((conversation) => conversation.id === id);
		const now = Math.floor(Date.now() / 1000);
		this.#conversations = this.#conversations.filter((conversation) => conversation !== known);
		this.#conversations.unshift({ id, title, ...known, updated_at: now });
		this.#render();
	}

	remove(id) {
		this.#conversations = this.#conversations.filter((conversation) => conversation.id !== id);
		this.#render();
	}

	async #loadOlder() {
		const page = await this.#api.conversations({ after: this.#conversations.at(-1)?.id });
		const known = new Set(this.#conversations.map(({ id }) => id));
		this.#conversations.push(...page.data.filter(({ id }) => !known.has(id)));
		this.#more = page.has_more && page.data.length > 0;
		this.#render();
	}

	/** Looks whether other tabs and devices have changed it. When the server does not answer, it stays as it is. */
	async refresh() {
		const page = await this.#api.conversations().catch(() => null);
		if (page) {
			this.#take(page);
		}
	}

	#take(page) {
		const listed = new Set(page.data.map(({ id }) => id));
		const oldest = page.data.at(-1)?.updated_at;
		const older = page.has_more
			? this.#conversations.filter(({ id, updated_at: at }) => at <= oldest && !listed.has(id))
			: [];
		this.#more = older.length > 0 ? this.#more : page.has_more;
		this.#conversations = [...page.data, ...older];
		this.#render();
	}

	/** The click comes after the release, and only then may the list change. */
	#released() {
		if (this.#pressed) {
			setTimeout(() => {
				this.#pressed = false;
				this.#render();
			});
		}
	}

	/** A press and its release must find the same element to be a click: until then the list stays as it is. */
	#render() {
		if (this.#pressed) {
			return;
		}
		const rows = this.#conversations.map(({ id, title, updated_at: at, created_at: made }) => [id, title, age(at ?? made)]);
		const content = JSON.stringify([this.#current, this.#more, rows]);
		if (content === this.#shown) {
			return;
		}
		this.#shown = content;
		if (this.#conversations.length === 0) {
			this.#root.replaceChildren(el('p', { class: 'list-note' }, 'Your conversations will be listed here.'));
			return;
		}
		const groups = new Map();
		for (const conversation of this.#conversations) {
			const name = age(conversation.updated_at ?? conversation.created_at);
			groups.set(name, [...(groups.get(name) ?? []), this.#row(conversation)]);
		}
		const nodes = [...groups].flatMap(([name, rows]) => [el('h2', {}, name), el('ul', {}, ...rows)]);
		if (this.#more) {
			nodes.push(el('button', { type: 'button', class: 'text-button older', click: () => this.#loadOlder().catch(() => {}) },
				'Show older'));
		}
		this.#root.replaceChildren(...nodes);
	}

	#row(conversation) {
		const title = conversation.title || 'Untitled';
		return el('li', {},
			el('a', { href: `#c=${encodeURIComponent(conversation.id)}`, title, dir: 'auto',
				'aria-current': conversation.id === this.#current ? 'page' : null }, title),
			el('button', { type: 'button', class: 'icon-button delete', title: 'Delete', 'aria-label': `Delete “${title}”`,
				click: () => this.#onDelete(conversation) }, icon('trash')));
	}
}

/** @param {number} seconds  since 1970 */
function age(seconds) {
	const date = new Date(seconds * 1000);
	const midnight = new Date().setHours(0, 0, 0, 0);
	if (date >= midnight) {
		return 'Today';
	}
	if (date >= midnight - DAY_MS) {
		return 'Yesterday';
	}
	if (date >= midnight - 7 * DAY_MS) {
		return 'Last seven days';
	}
	return date.toLocaleDateString('en', { month: 'long', year: 'numeric' });
}
