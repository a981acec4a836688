// A headless Chromium on the page of a real server, watched for everything it must never do.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { seeMessage } from '../lib/observe.js';
import { BUILD, startServer } from '../lib/server.js';
import { random } from '../lib/random.js';
import { gate, startUpstream } from '../lib/upstream.js';
import { Relay } from './relay.js';

const FLAGS = [
	'--headless',
	'--no-sandbox',
	'--disable-gpu',
	'--disable-quic',
	'--no-first-run',
	'--disable-background-networking',
	'--disable-component-update',
	'--disable-sync',
];

/** Whether docs/screenshot.png is to be renewed. */
export const renewScreenshot = process.env.SLUICE_UPDATE_SCREENSHOT === '1';
// The server inherits the environment, and takes a SLUICE_ name that is none of its settings for a mistake.
delete process.env.SLUICE_UPDATE_SCREENSHOT;

const { integer } = random('words');
const PACE_MS = 6;

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

export const launch = () =>
	chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });

/** Chromium itself logs sockets that cannot open. */
export const UNREACHABLE = /WebSocket connection to .* failed|net::ERR_/;

/** No two words alike, so that a repeated one shows. */
export const wordsOf = (name, count) => Array.from({ length: count }, (_, at) => `${name}${at}x${integer(10, 99)}`);

/** Says a word every few milliseconds until the end, or until nobody listens; `held` holds it before the word `holdAt`. */
export const flows =
	(words, { holdAt = words.length, held = gate() } = {}) =>
	async (x) => {
		for (const [at, word] of words.entries()) {
			if (at === holdAt) {
				await Promise.race([held.passed, x.closed]);
			}
			if (x.gone) {
				return;
			}
			await x.say(at ? ` ${word}` : word);
			await new Promise((resolve) => setTimeout(resolve, PACE_MS));
		}
		await x.finish('stop', { input: 7, output: words.length });
		await x.done();
	};

/** A path below the build folder, where screenshots are kept. */
export async function screenshotPath(name) {
	const dir = path.join(BUILD, 'screenshots');
	await mkdir(dir, { recursive: true });
	return path.join(dir, `${name}.png`);
}

/** Server, upstream and browser of one test file. */
export class Stand {
	/** `settings`: over those of the harness. `throughRelay`: the browser comes through a relay that can be cut. */
	static async open(options) {
		const stand = new Stand();
		try {
			await stand.#open(options);
		} catch (error) {
			// What has been started already would keep the test process alive.
			await stand.close();
			throw error;
		}
		return stand;
	}

	async #open({ settings = {}, throughRelay = false } = {}) {
		this.upstream = await startUpstream();
		// Two models would make the page offer a choice.
		this.upstream.models = [settings.upstream?.model ?? 'fake'];
		if (throughRelay) {
			this.relay = await new Relay().start();
			settings = { ...settings, server: { ...settings.server, origins: this.relay.origin } };
		}
		this.server = await startServer({ upstream: this.upstream, settings });
		if (this.relay) {
			this.relay.port = this.server.port;
		}
		this.browser = await launch();
	}

	get origin() {
		return this.relay?.origin ?? this.server.url;
	}

	/** The address that signs `user` in, once. */
	async address(user) {
		const printed = new URL(await this.server.signin(user));
		assert.match(printed.hash, /^#signin=\S+$/, 'the token is in the fragment');
		return `${this.origin}/${printed.hash}`;
	}

	/** A tab of a browser that knows nothing yet. */
	async visitor(options = {}) {
		const context = await this.browser.newContext({ viewport: DESKTOP, reducedMotion: 'reduce', ...options });
		return new Visitor(this, context, await context.newPage());
	}

	/** A tab where `user` has signed in and the page is ready. */
	async user(name, options) {
		const visitor = await this.visitor(options);
		await visitor.page.goto(await this.address(name));
		await visitor.ready();
		return visitor;
	}

	async close() {
		await this.browser?.close();
		await this.server?.remove();
		await this.relay?.stop();
		await this.upstream?.stop();
	}
}

/** One tab, with helpers in the words of a reader of the page. */
export class Visitor {
	constructor(stand, context, page) {
		this.stand = stand;
		this.context = context;
		this.page = page;
		this.complaints = [];
		this.foreign = [];
		page.on('console', (message) => {
			if (message.type() === 'error' || message.type() === 'warning') {
				this.complaints.push(message.text());
			}
		});
		page.on('pageerror', (error) => this.complaints.push(String(error.stack)));
		page.on('request', (request) => {
			if (!request.url().startsWith(stand.origin) && !request.url().startsWith('data:')) {
				this.foreign.push(request.url());
			}
		});
		page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => seeMessage(payload)));
		page.on('popup', (popup) => this.foreign.push(popup.url()));
	}

	/** A second tab of the same browser. */
	async anotherTab() {
		const tab = new Visitor(this.stand, this.context, await this.context.newPage());
		await tab.page.goto(this.stand.origin);
		await tab.ready();
		return tab;
	}

	/** Signed in, connected, and able to send. */
	async ready() {
		await this.page.locator('#app').waitFor();
		await this.page.locator('#link[data-state="open"]').waitFor({ state: 'attached' });
	}

	/** Types a message and sends it with Enter. */
	async send(text) {
		await this.page.locator('#input').fill(text);
		await this.page.locator('#send:enabled').waitFor();
		await this.page.locator('#input').press('Enter');
	}

	/** Sends a message and waits for the end of its answer. */
	async ask(text) {
		const answers = await this.page.locator('.answer').count();
		await this.send(text);
		await this.answer(answers).waitFor();
		await this.idle();
		return this.answer(answers);
	}

	answer(index) {
		return this.page.locator('.answer').nth(index);
	}

	get lastAnswer() {
		return this.page.locator('.answer').last();
	}

	/** Waits until the last answer has at least so many words, and gives its text. */
	async hasWords(count) {
		const handle = await this.page.waitForFunction((wanted) => {
			const text = [...document.querySelectorAll('.answer .prose')].at(-1)?.innerText.trim() ?? '';
			return text.split(' ').length >= wanted && text;
		}, count);
		return handle.jsonValue();
	}

	/** The last answer is marked so. */
	async notes(text) {
		await this.lastAnswer.locator('.note', { hasText: text }).waitFor();
	}

	/** No answer is under way. */
	async idle() {
		await this.page.locator('#stop').waitFor({ state: 'hidden' });
	}

	/** Waits until the last answer reads exactly so. */
	async reads(text) {
		const prose = this.lastAnswer.locator('.prose');
		await this.page.waitForFunction(
			(wanted) => [...document.querySelectorAll('.answer .prose')].at(-1)?.innerText.trim() === wanted,
			text,
		).catch(async (error) => {
			assert.equal((await prose.innerText()).trim(), text);
			throw error;
		});
	}

	/** What the transcript says, as [who, text]. */
	transcript() {
		return this.page.locator('.messages').evaluate((messages) =>
			[...messages.children].map((message) =>
				message.matches('.question')
					? ['you', message.querySelector('.bubble').textContent]
					: ['answer', message.querySelector('.prose').textContent],
			),
		);
	}

	/** What the server keeps of the conversation that is open, in the same form. */
	kept() {
		return this.page.evaluate(async () => {
			const answer = await fetch(`/v1/conversations/${location.hash.slice(3)}/items`);
			return (await answer.json()).data.map(({ role, content }) => [role === 'user' ? 'you' : 'answer', content[0].text]);
		});
	}

	/** Nothing went wrong in this tab, save what the test itself brought about. */
	wasCalm({ except = [] } = {}) {
		const unexpected = this.complaints.filter((text) => !except.some((pattern) => pattern.test(text)));
		assert.deepEqual(unexpected, [], 'no error on the console, and no breach of the content security policy');
		assert.deepEqual(this.foreign, [], 'no request to another origin');
	}
}
