/**
 * Small helpers to build DOM nodes. Text always goes in as text: nothing here parses markup.
 * @module
 */

/**
 * Makes an element.
 * @param {string} tag
 * @param {Object<string, any>} [attributes]  a function is an event listener; true and false set or omit the attribute
 * @param {...(Node|string|null)} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
	const node = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes)) {
		if (typeof value === 'function') {
			node.addEventListener(name, value);
		} else if (value === true) {
			node.setAttribute(name, '');
		} else if (value !== false && value != null) {
			node.setAttribute(name, value);
		}
	}
	node.append(...children.filter((child) => child != null));
	return node;
}

const SVG = 'http://www.w3.org/2000/svg';

/**
 * One of the symbols of index.html.
 * @param {string} name
 * @returns {SVGElement}
 */
export function icon(name) {
	const svg = document.createElementNS(SVG, 'svg');
	svg.setAttribute('class', 'icon');
	svg.setAttribute('aria-hidden', 'true');
	const use = document.createElementNS(SVG, 'use');
	use.setAttribute('href', `#icon-${name}`);
	svg.append(use);
	return svg;
}

/**
 * A button that copies text and says so for a moment.
 * @param {() => string} text  asked when the button is pressed
 * @param {string} label       what a screen reader hears
 * @returns {HTMLElement}
 */
export function copyButton(text, label) {
	const word = el('span', {}, 'Copy');
	const button = el('button', { type: 'button', class: 'text-button copy', 'aria-label': label, click: press }, icon('copy'), word);

	async function press() {
		let done = true;
		try {
			await navigator.clipboard.writeText(text());
		} catch {
			// Without a secure context there is no clipboard.
			done = false;
		}
		button.replaceChildren(icon(done ? 'check' : 'alert'), word);
		word.textContent = done ? 'Copied' : 'Not allowed';
		setTimeout(() => {
			button.replaceChildren(icon('copy'), word);
			word.textContent = 'Copy';
		}, 1600);
	}
	return button;
}
