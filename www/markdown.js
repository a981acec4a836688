/**
 * Markdown to DOM nodes, piece by piece as the text arrives.
 *
 * Nodes are built, never parsed from markup: HTML in the text shows as text, an image becomes a link, and a link goes
 * nowhere but to http and https. Blocks that can no longer change are left alone, so that selections and scroll
 * positions live; only the open end of the text is rendered again.
 * @module
 */

import { copyButton, el } from './dom.js';

const DEEPEST = 6;
/** Longer runs of inline text are shown plain: no answer of a model needs more, and a hostile one gets no more. */
const LONGEST_INLINE = 10_000;

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(\s+|$)/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)+\|?\s*$|^\s*\|\s*:?-+:?\s*\|\s*$/;

/** Renders a growing text into one element. */
export class MarkdownStream {
	#root;
	#onBlock;
	#text = '';
	/** Where the text begins that may still change its meaning. */
	#settled = 0;
	/** Nodes of the blocks from there on. */
	#open = [];

	/**
	 * @param {HTMLElement} root  filled with blocks; nothing else may be put into it
	 * @param {(block: HTMLElement) => void} [onBlock]  told of each block that is complete
	 */
	constructor(root, onBlock = () => {}) {
		this.#root = root;
		this.#onBlock = onBlock;
	}

	/** @param {string} text  what has arrived since the last call */
	append(text) {
		this.#text += text;
		this.#render(true);
	}

	/** Nothing more will come: what is still open is taken as it stands. */
	end() {
		this.#render(false);
		this.#open.forEach((block) => this.#onBlock(block.node));
		this.#open = [];
		this.#settled = this.#text.length;
	}

	#render(growing) {
		const lines = this.#text.slice(this.#settled).split('\n');
		const blocks = splitBlocks(lines);
		blocks.forEach((block, index) => this.#place(block, index, growing && index === blocks.length - 1));
		this.#open.splice(blocks.length).forEach((block) => block.node.remove());
		this.#settle(lines, blocks);
	}

	/** Puts a block where the same block was rendered before, changing the existing node where that is enough. */
	#place(block, index, growing) {
		const before = this.#open[index];
		if (before?.source === block.source && before.type === block.type && before.growing === growing) {
			return;
		}
		const now = { type: block.type, source: block.source, growing };
		if (before?.type === block.type && block.type === 'code') {
			now.node = before.node;
			setCode(now.node, block);
		} else if (before?.type === block.type && block.type === 'paragraph') {
			now.node = before.node;
			now.node.replaceChildren(...inline(block.text, growing));
		} else {
			now.node = buildBlock(block, growing, 0);
			before ? before.node.replaceWith(now.node) : this.#root.append(now.node);
		}
		this.#open[index] = now;
	}

	/** A block is settled when a later one has begun with a whole line. */
	#settle(lines, blocks) {
		let count = 0;
		while (count + 1 < blocks.length && blocks[count + 1].first < lines.length - 1) {
			count++;
		}
		if (count === 0) {
			return;
		}
		for (let line = 0; line < blocks[count].first; line++) {
			this.#settled += lines[line].length + 1;
		}
		this.#open.splice(0, count).forEach((block) => this.#onBlock(block.node));
	}
}

/**
 * Renders a whole text.
 * @param {string} text
 * @returns {HTMLElement[]}
 */
export function renderMarkdown(text) {
	return splitBlocks(text.split('\n')).map((block) => buildBlock(block, false, 0));
}

/* Blocks: lines in, { type, first, source, … } out. */

function splitBlocks(lines) {
	const blocks = [];
	let at = 0;
	while (at < lines.length) {
		if (lines[at].trim() === '') {
			at++;
			continue;
		}
		const block = readFence(lines, at) ?? readLine(lines, at) ?? readQuote(lines, at) ?? readList(lines, at) ??
			readTable(lines, at) ?? readParagraph(lines, at);
		block.first = at;
		block.source = lines.slice(at, block.next).join('\n');
		blocks.push(block);
		at = block.next;
	}
	return blocks;
}

function readFence(lines, at) {
	const open = FENCE.exec(lines[at]);
	if (!open) {
		return null;
	}
	const mark = open[1];
	const body = [];
	let next = at + 1;
	for (; next < lines.length; next++) {
		const line = lines[next].trim();
		if (line.startsWith(mark) && line === mark[0].repeat(line.length)) {
			return { type: 'code', language: open[2], text: body.join('\n'), next: next + 1 };
		}
		body.push(lines[next]);
	}
	return { type: 'code', language: open[2], text: body.join('\n'), next };
}

function readLine(lines, at) {
	const heading = HEADING.exec(lines[at]);
	if (heading) {
		return { type: 'heading', level: heading[1].length, text: heading[2], next: at + 1 };
	}
	return RULE.test(lines[at]) ? { type: 'rule', next: at + 1 } : null;
}

function readQuote(lines, at) {
	let next = at;
	while (next < lines.length && QUOTE.test(lines[next])) {
		next++;
	}
	return next > at ? { type: 'quote', lines: lines.slice(at, next).map((line) => line.replace(QUOTE, '')), next } : null;
}

function readList(lines, at) {
	const start = ITEM.exec(lines[at]);
	if (!start) {
		return null;
	}
	const list = { type: 'list', ordered: /\d/.test(start[2]), start: parseInt(start[2], 10) || 1, items: [], loose: false };
	const indent = start[1].length;
	let blank = false;
	let next = at;
	for (; next < lines.length; next++) {
		const line = lines[next];
		const item = ITEM.exec(line);
		const depth = line.length - line.trimStart().length;
		if (line.trim() === '') {
			blank = true;
			list.items.at(-1).push('');
			continue;
		}
		if (item && depth < indent + 2 && /\d/.test(item[2]) === list.ordered && !RULE.test(line)) {
			list.loose ||= blank && list.items.length > 0;
			list.items.push([line.slice(item[0].length)]);
		} else if (depth >= indent + 2) {
			list.items.at(-1).push(line.slice(Math.min(depth, start[0].trimEnd().length + 1)));
		} else if (blank || startsBlock(line)) {
			break;
		} else {
			list.items.at(-1).push(line.trimStart());
		}
		blank = false;
	}
	while (lines[next - 1].trim() === '') {
		next--;
	}
	return { ...list, next };
}

function readTable(lines, at) {
	if (!lines[at].includes('|') || at + 1 >= lines.length || !TABLE_RULE.test(lines[at + 1])) {
		return null;
	}
	const align = cells(lines[at + 1]).map((cell) => (cell.endsWith(':') ? (cell.startsWith(':') ? 'center' : 'right') : null));
	let next = at + 2;
	while (next < lines.length && lines[next].includes('|')) {
		next++;
	}
	return { type: 'table', align, head: cells(lines[at]), rows: lines.slice(at + 2, next).map(cells), next };
}

function cells(line) {
	return line.trim().replace(/^\||\|$/g, '').split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
}

function readParagraph(lines, at) {
	let next = at + 1;
	while (next < lines.length && lines[next].trim() !== '' && !startsBlock(lines[next])) {
		next++;
	}
	return { type: 'paragraph', text: lines.slice(at, next).map((line) => line.trimStart()).join('\n'), next };
}

function startsBlock(line) {
	const item = ITEM.exec(line);
	return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || (item !== null && item[3] !== '');
}

/* Blocks to nodes. */

function buildBlock(block, growing, depth) {
	switch (block.type) {
	case 'code':
		return buildCode(block);
	case 'heading':
		// The page has its own first heading, so those of an answer begin below it.
		return el(`h${Math.min(6, block.level + 1)}`, {}, ...inline(block.text, growing));
	case 'rule':
		return el('hr');
	case 'quote':
		return el('blockquote', {}, ...nested(block.lines, growing, depth));
	case 'list':
		return buildList(block, growing, depth);
	case 'table':
		return buildTable(block, growing);
	default:
		return el('p', {}, ...inline(block.text, growing));
	}
}

function nested(lines, growing, depth) {
	if (depth >= DEEPEST) {
		return [lines.join('\n')];
	}
	const blocks = splitBlocks(lines);
	return blocks.map((block, index) => buildBlock(block, growing && index === blocks.length - 1, depth + 1));
}

function buildCode(block) {
	const code = el('code', { tabindex: '0' }, '');
	const figure = el('figure', { class: 'code' },
		el('figcaption', {}, el('span', {}, ''), copyButton(() => code.textContent, 'Copy this code')),
		el('pre', {}, code));
	setCode(figure, block);
	return figure;
}

/** Appends what is new, so that a long block costs no more than its new characters. */
function setCode(figure, block) {
	const text = figure.querySelector('code').firstChild ?? figure.querySelector('code').appendChild(new Text(''));
	if (block.text.startsWith(text.data)) {
		text.appendData(block.text.slice(text.data.length));
	} else {
		text.data = block.text;
	}
	figure.querySelector('figcaption span').textContent = block.language;
}

function buildList(block, growing, depth) {
	const list = el(block.ordered ? 'ol' : 'ul', block.ordered && block.start !== 1 ? { start: block.start } : {});
	block.items.forEach((lines, index) => {
		const children = nested(lines, growing && index === block.items.length - 1, depth);
		const tight = children.flatMap((child) => (!block.loose && child.tagName === 'P' ? [...child.childNodes] : [child]));
		list.append(el('li', {}, ...tight));
	});
	return list;
}

function buildTable(block, growing) {
	const row = (tag, texts) => el('tr', {}, ...block.head.map((_, index) =>
		el(tag, { class: block.align[index] ?? null }, ...inline(texts[index] ?? '', growing))));
	return el('div', { class: 'table', tabindex: '0' }, el('table', {},
		el('thead', {}, row('th', block.head)), el('tbody', {}, ...block.rows.map((texts) => row('td', texts)))));
}

/* Inline text to nodes. */

const SPECIAL = /[\\`*_~[!<]|https?:\/\//g;

/**
 * @param {string} text
 * @param {boolean} growing  the text may go on: a mark without its partner is then taken as open, not as a character
 * @param {number} [depth]
 * @returns {(Node|string)[]}
 */
function inline(text, growing, depth = 0) {
	if (depth > DEEPEST || text.length > LONGEST_INLINE) {
		return [text];
	}
	const out = [];
	let plain = '';
	let at = 0;
	while (at < text.length) {
		SPECIAL.lastIndex = at;
		const hit = SPECIAL.exec(text);
		const start = hit ? hit.index : text.length;
		plain += text.slice(at, start);
		if (!hit) {
			break;
		}
		const found = readInline(text, start, growing, depth);
		if (found.node) {
			out.push(plain, found.node);
			plain = '';
		} else {
			plain += found.text;
		}
		at = found.next;
	}
	out.push(plain);
	return out.filter((part) => part !== '');
}

function readInline(text, at, growing, depth) {
	const found = (() => {
		switch (text[at]) {
		case '\\':
			return /[!-/:-@[-`{-~]/.test(text[at + 1] ?? '') ? { text: text[at + 1], next: at + 2 } : null;
		case '`':
			return readCodeSpan(text, at, growing);
		case '[':
			return readLink(text, at, at, growing, depth);
		case '!':
			return text[at + 1] === '[' ? readLink(text, at, at + 1, growing, depth) : null;
		case '<':
		case 'h':
			return readAddress(text, at);
		default:
			return readEmphasis(text, at, growing, depth);
		}
	})();
	return found ?? { text: text[at], next: at + 1 };
}

function readCodeSpan(text, at, growing) {
	const mark = /^`+/.exec(text.slice(at))[0];
	const start = at + mark.length;
	for (let end = text.indexOf(mark, start); end >= 0; end = text.indexOf(mark, end)) {
		const run = /^`+/.exec(text.slice(end))[0];
		if (run.length === mark.length) {
			return { node: el('code', {}, text.slice(start, end).replace(/^ (.*) $/s, '$1')), next: end + mark.length };
		}
		end += run.length;
	}
	return growing && start < text.length
		? { node: el('code', {}, text.slice(start)), next: text.length }
		: { text: mark, next: start };
}

const MARKS = { '**': 'strong', __: 'strong', '~~': 'del', '*': 'em', _: 'em' };

function readEmphasis(text, at, growing, depth) {
	const double = text.slice(at, at + 2);
	const mark = double in MARKS ? double : text[at];
	const start = at + mark.length;
	const word = (index) => /[\p{L}\p{N}]/u.test(text[index] ?? '');
	if (!(mark in MARKS) || /^\s?$/.test(text[start] ?? '') || (mark[0] === '_' && word(at - 1))) {
		return { text: mark, next: start };
	}
	for (let end = text.indexOf(mark, start + 1); end >= 0; end = text.indexOf(mark, end + 1)) {
		const inside = mark.length === 1 && (text[end + 1] === mark || text[end - 1] === mark);
		if (!inside && !/\s/.test(text[end - 1]) && !(mark[0] === '_' && word(end + mark.length))) {
			const node = el(MARKS[mark], {}, ...inline(text.slice(start, end), false, depth + 1));
			return { node, next: end + mark.length };
		}
	}
	return growing && mark.length === 2
		? { node: el(MARKS[mark], {}, ...inline(text.slice(start), true, depth + 1)), next: text.length }
		: { text: mark, next: start };
}

const LINK = /\[((?:\\.|[^\]\\])*)\]\(\s*<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/y;
const OPEN_LINK = /\[((?:\\.|[^\]\\])*)\]\([^\s)]*$/y;

function readLink(text, at, bracket, growing, depth) {
	LINK.lastIndex = bracket;
	const whole = LINK.exec(text);
	if (whole) {
		return { node: link(whole[2], inline(whole[1], false, depth + 1)), next: bracket + whole[0].length };
	}
	OPEN_LINK.lastIndex = bracket;
	const open = growing ? OPEN_LINK.exec(text) : null;
	return open ? { node: el('span', {}, ...inline(open[1], false, depth + 1)), next: text.length } : null;
}

const ADDRESS = /<?(https?:\/\/[^\s<>"'`]+)>?/y;

function readAddress(text, at) {
	ADDRESS.lastIndex = at;
	const hit = ADDRESS.exec(text);
	if (!hit) {
		return null;
	}
	if (text[at] === '<') {
		return { node: link(hit[1], [hit[1]]), next: at + hit[0].length };
	}
	// What ends a sentence does not belong to the address.
	const address = hit[1].replace(/[.,;:!?)\]*_]+$/, '');
	return { node: link(address, [address]), next: at + address.length };
}

/** A link, or its words alone when the address is not a web address. */
function link(address, children) {
	const url = /^https?:\/\//i.test(address) && URL.canParse(address) ? new URL(address).href : null;
	return url ? el('a', { href: url, rel: 'noopener noreferrer nofollow', target: '_blank' }, ...children) : el('span', {}, ...children);
}
