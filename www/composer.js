/**
 * Where a message is written: the text field, its buttons, and the choice of model.
 * @module
 */

import { el } from './dom.js';

const byId = (id) => document.getElementById(id);

export class Composer {
	#input = byId('input');
	#send = byId('send');
	#stop = byId('stop');
	#onSend;
	#onGrow;
	/** What stands below the field on every day. */
	#usualHint = [...byId('composer-hint').childNodes];
	#ready = false;
	#cut = false;
	/** Where it is kept what is being written. */
	#draft = '';
	#stoppable = false;

	/** The chosen model; null for the server's own choice. @type {string|null} */
	model = null;

	/**
	 * @param {object} handlers
	 * @param {(text: string) => void} handlers.onSend
	 * @param {() => void} handlers.onStop
	 * @param {() => void} handlers.onGrow  the field has changed its height
	 */
	constructor({ onSend, onStop, onGrow }) {
		this.#onSend = onSend;
		this.#onGrow = onGrow;
		this.#input.addEventListener('input', () => this.#changed());
		this.#input.addEventListener('keydown', (event) => this.#key(event));
		this.#send.addEventListener('click', () => this.#submit());
		this.#stop.addEventListener('click', () => {
			onStop();
			this.focus();
		});
		byId('composer').addEventListener('click', (event) => event.target === event.currentTarget && this.focus());
	}

	/** What this user had written here before the page was loaded again. */
	restore(userId) {
		this.#draft = `draft ${userId}`;
		this.#input.value = sessionStorage.getItem(this.#draft) ?? '';
		this.#measure();
	}

	focus() {
		this.#input.focus({ preventScroll: true });
	}

	fill(text) {
		this.#input.value = text;
		this.#changed();
		this.focus();
	}

	/**
	 * @param {object} state               what is left out stays
	 * @param {boolean} [state.ready]      a message could go out
	 * @param {boolean} [state.stoppable]  an answer is under way
	 * @param {boolean} [state.cut]        there has been no connection for a while
	 */
	update({ ready = this.#ready, stoppable = this.#stoppable, cut = this.#cut }) {
		if (cut !== this.#cut) {
			const hint = byId('composer-hint');
			hint.classList.toggle('cut', cut);
			hint.replaceChildren(...(cut ? ['What you write stays here until the connection is back.'] : this.#usualHint));
			this.#cut = cut;
		}
		this.#ready = ready;
		this.#stoppable = stoppable;
		const focused = document.activeElement === this.#send || document.activeElement === this.#stop;
		this.#send.hidden = stoppable;
		this.#stop.hidden = !stoppable;
		this.#send.disabled = !ready || this.#input.value.trim() === '';
		if (focused) {
			this.focus();
		}
	}

	/** Names the model, or offers a choice when the server has several. */
	async loadModels(api) {
		const { data } = await api.models().catch(() => ({ data: [] }));
		const place = byId('model');
		if (data.length < 2) {
			place.replaceChildren(data[0]?.id ?? '');
			return;
		}
		const choice = el('select', { 'aria-label': 'Model' }, el('option', { value: '' }, 'Default model'),
			...data.map(({ id }) => el('option', { value: id }, id)));
		choice.addEventListener('change', () => {
			this.model = choice.value || null;
		});
		place.replaceChildren(choice);
	}

	#key(event) {
		// While an input method composes, Enter takes its suggestion.
		if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
			event.preventDefault();
			this.#submit();
		}
	}

	#submit() {
		const text = this.#input.value.trim();
		if (!this.#ready || !text) {
			return;
		}
		this.clear();
		this.#onSend(text);
		this.focus();
	}

	clear() {
		this.#input.value = '';
		this.#changed();
	}

	#changed() {
		// A reload must not cost what was written. It stays in this tab.
		sessionStorage.setItem(this.#draft, this.#input.value);
		this.#measure();
		this.#onGrow();
		this.update({});
	}

	#measure() {
		// Measured at its smallest, so that the field also shrinks with its text.
		this.#input.rows = 1;
		const line = parseFloat(getComputedStyle(this.#input).lineHeight);
		this.#input.rows = Math.max(1, Math.min(10, Math.round(this.#input.scrollHeight / line)));
	}
}
