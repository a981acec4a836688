/**
 * The messages of one conversation as nodes: questions, answers that grow, and what became of them.
 * @module
 */

import { copyButton, el, icon } from './dom.js';
import { MarkdownStream, renderMarkdown } from './markdown.js';

/** Says things to screen readers in whole blocks, not in words. */
export class Speaker {
	#region;

	/** @param {HTMLElement} region  an aria-live element that nobody sees */
	constructor(region) {
		this.#region = region;
	}

	say(text) {
		this.#region.append(el('p', {}, text));
		while (this.#region.childElementCount > 20) {
			this.#region.firstElementChild.remove();
		}
	}

	/** @param {HTMLElement} block  a finished block of an answer */
	sayBlock(block) {
		const code = block.matches('figure.code');
		this.say(code ? `Code: ${block.querySelector('code').textContent}` : block.textContent);
	}
}

/** @param {string} text */
export function questionView(text) {
	return el('article', { class: 'question' }, el('h2', { class: 'unseen' }, 'You'), el('div', { class: 'bubble', dir: 'auto' }, text));
}

/** One answer. It starts empty and waiting. */
export class AnswerView {
	#prose = el('div', { class: 'prose', dir: 'auto' });
	#foot = el('div', { class: 'answer-foot' });
	#stream;
	#text = '';
	#unrendered = '';
	#frame = 0;
	#timer = 0;
	#onGrow;
	#speaker;

	/**
	 * @param {object} options
	 * @param {Speaker|null} options.speaker  hears the blocks of an answer as they are finished
	 * @param {() => void} options.onGrow     told after the answer has grown on the screen
	 */
	constructor({ speaker, onGrow }) {
		this.#stream = new MarkdownStream(this.#prose, (block) => speaker?.sayBlock(block));
		this.#onGrow = onGrow;
		this.#speaker = speaker;
		this.element = el('article', { class: 'answer waiting' }, el('h2', { class: 'unseen' }, 'Answer'),
			el('div', { class: 'dots', role: 'img', 'aria-label': 'Waiting for the answer' }, el('i'), el('i'), el('i')),
			this.#prose, this.#foot);
	}

	get text() {
		return this.#text;
	}

	/** More of the answer. It shows with the next frame, however many pieces that frame brings. */
	append(text) {
		this.#text += text;
		this.#unrendered += text;
		if (!this.#frame) {
			this.#frame = requestAnimationFrame(() => this.#flush());
		}
	}

	/** The whole text so far, when it was fetched and not streamed. */
	replace(text) {
		if (text === this.#text) {
			return;
		}
		cancelAnimationFrame(this.#frame);
		this.#frame = 0;
		this.#unrendered = '';
		this.#text = text;
		this.#prose.replaceChildren(...renderMarkdown(text));
		this.#stream = new MarkdownStream(this.#prose);
		this.element.className = text ? 'answer' : 'answer waiting';
		this.#onGrow();
	}

	#flush() {
		cancelAnimationFrame(this.#frame);
		this.#frame = 0;
		if (this.#unrendered) {
			this.element.className = 'answer streaming';
			this.#stream.append(this.#unrendered);
			this.#unrendered = '';
			this.#onGrow();
		}
	}

	/**
	 * The answer has ended.
	 * @param {string} [note]   what the reader should know about its end
	 * @param {boolean} [calm]  it is nothing to worry about
	 */
	finish(note = '', calm = false) {
		this.#flush();
		this.#stream.end();
		this.element.className = 'answer';
		this.#foot.replaceChildren();
		if (note) {
			this.#foot.append(el('p', { class: calm ? 'note calm' : 'note' }, icon(calm ? 'stop' : 'alert'), note));
			this.#speaker?.say(note);
		}
		if (this.#text) {
			this.#foot.append(copyButton(() => this.#text, 'Copy this answer'));
		}
		this.#onGrow();
	}

	/** Something is under way that the reader should know of. */
	pause(note) {
		this.#flush();
		this.element.className = this.#text ? 'answer' : 'answer waiting';
		this.#foot.replaceChildren(el('p', { class: 'note calm' }, icon('clock'), note));
		this.#speaker?.say(note);
		this.#onGrow();
	}

	/** What pause() told of is over. */
	goOn() {
		if (this.#foot.querySelector('.note.calm')) {
			this.element.className = this.#text ? 'answer streaming' : 'answer waiting';
			this.#foot.replaceChildren();
		}
	}

	/**
	 * The turn went wrong.
	 * @param {object} failure
	 * @param {string} failure.title
	 * @param {string} failure.text
	 * @param {string|null} [failure.code]
	 * @param {number} [failure.retryAt]        Date.now() scale; before it there is no use in trying
	 * @param {string} [failure.button]
	 * @param {(() => void)|null} failure.retry
	 */
	fail({ title, text, code = null, retryAt = 0, button = 'Try again', retry }) {
		this.#flush();
		this.#stream.end();
		this.element.className = 'answer';
		const word = el('span', {}, button);
		const press = el('button', { type: 'button', class: 'button small', click: () => retry() }, icon('retry'), word);
		this.#foot.replaceChildren(el('div', { class: retryAt ? 'failure limited' : 'failure', role: 'alert' },
			icon(retryAt ? 'clock' : 'alert'),
			el('div', {}, el('strong', {}, title), el('p', {}, text), code ? el('code', {}, code) : null),
			retry ? press : null));
		if (retryAt) {
			this.#countDown(retryAt, press, word, button);
		}
		this.#onGrow();
	}

	#countDown(retryAt, press, word, label) {
		clearInterval(this.#timer);
		const tick = () => {
			const seconds = Math.ceil((retryAt - Date.now()) / 1000);
			press.disabled = seconds > 0;
			word.textContent = seconds > 0 ? `In ${duration(seconds)}` : label;
			if (seconds <= 0 || !press.isConnected) {
				clearInterval(this.#timer);
			}
		};
		this.#timer = setInterval(tick, 500);
		tick();
	}
}

/** @param {number} seconds */
export function duration(seconds) {
	return seconds < 90 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
}

/** Follows the newest text for as long as the reader stays at the end of it. */
export class Follower {
	#scroller;
	#button;
	#following = true;
	#top = 0;

	/** @param {HTMLElement} scroller @param {HTMLElement} button  brings the reader back to the end */
	constructor(scroller, button) {
		this.#scroller = scroller;
		this.#button = button;
		scroller.addEventListener('scroll', () => this.#look(), { passive: true });
		new ResizeObserver(() => this.grown()).observe(scroller);
		button.addEventListener('click', () => this.toEnd());
	}

	#look() {
		const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
		const atEnd = scrollHeight - scrollTop - clientHeight < 40;
		// Text may have grown since the event was queued: only moving up says that the reader wants to stay.
		this.#following = atEnd || (this.#following && scrollTop >= this.#top);
		this.#top = scrollTop;
		this.#button.hidden = this.#following;
	}

	/** The content has changed its height. */
	grown() {
		if (this.#following) {
			this.#scroller.scrollTop = this.#scroller.scrollHeight;
		} else {
			this.#look();
		}
	}

	toEnd() {
		this.#following = true;
		this.#button.hidden = true;
		this.#scroller.scrollTop = this.#scroller.scrollHeight;
	}
}
