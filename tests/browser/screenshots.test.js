// Pictures of the main states, to be looked at: $BUILD/screenshots. SLUICE_UPDATE_SCREENSHOT=1 renews docs/screenshot.png.
import assert from 'node:assert/strict';
import { copyFile, mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';
import { DESKTOP, PHONE, renewScreenshot, screenshotPath, Stand, UNREACHABLE } from './browser.js';

const DOCS = fileURLToPath(new URL('../../docs', import.meta.url));
const ANSWER = `A lock is a chamber with a gate at each end. It lifts a boat from one level of water to another:

1. The boat enters, and the **lower** gate closes.
2. A paddle in the upper gate opens, and water runs in by its own weight.
3. When both sides stand equally high, the upper gate opens.

The time it takes to fill follows from the area of the paddle:

\`\`\`c
double fill_seconds(double chamber_m2, double paddle_m2, double rise_m)
{
	return 2 * chamber_m2 * sqrt(rise_m) / (0.6 * paddle_m2 * sqrt(2 * 9.81));
}
\`\`\`

The opening that lets the water through is called a *sluice*.`;

/** A reader for each round, so that each list of conversations is their own. */
const READERS = {
	'light-phone': 'grace',
	'light-desktop': 'ada',
	'dark-phone': 'joan',
	'dark-desktop': 'edith',
};

let stand;
before(async () => {
	stand = await Stand.open({ settings: { upstream: { model: 'your-model' } }, throughRelay: true });
	stand.upstream.on('canal lock', reply.says(ANSWER.match(/\S+\s*/g)));
	stand.upstream.on('does not work', reply.fails(401));
});
after(() => stand?.close());

async function shoot(visitor, name) {
	const file = await screenshotPath(name);
	// Away from everything that answers to a pointer.
	await visitor.page.mouse.move(0, 0);
	await visitor.page.screenshot({ path: file, animations: 'disabled' });
	assert.ok((await stat(file)).size > 5_000, `${name} shows something`);
	return file;
}

async function tour(theme, device, options) {
	const name = (state) => `${state}-${theme}-${device}`;
	const stranger = await stand.visitor({ colorScheme: theme, ...options });
	await stranger.page.goto(stand.origin);
	await stranger.page.locator('#gate').waitFor();
	await shoot(stranger, name('signed-out'));
	await stranger.context.close();

	const visitor = await stand.user(READERS[`${theme}-${device}`], { colorScheme: theme, ...options });
	const { page } = visitor;
	await page.locator('.welcome').waitFor();
	await shoot(visitor, name('empty'));
	const press = (selector) => (device === 'phone' ? page.tap(selector) : page.click(selector));
	for (const earlier of ['Plan a week of dinners for four people', 'Translate a letter to my landlord']) {
		await visitor.ask(earlier);
		await press(device === 'phone' ? '#new-chat-small' : '#new-chat');
	}
	await visitor.ask('How does a canal lock work?');
	const finished = await shoot(visitor, name('answer'));

	const held = gate();
	stand.upstream.on(`stream ${theme} ${device}`, reply.pauses(['Water ', 'runs ', 'down'], held));
	await visitor.send(`stream ${theme} ${device}`);
	await visitor.reads('Water runs down');
	await shoot(visitor, name('streaming'));
	const other = await stand.user(READERS[`${theme}-${device}`], { colorScheme: theme, ...options });
	await other.page.goto(page.url());
	await other.reads('Water runs down');
	await shoot(other, name('followed'));

	await visitor.context.setOffline(true);
	stand.relay.cut();
	await page.locator('#link-text', { hasText: 'You are offline' }).waitFor();
	await page.locator('#input').fill('And where does it all go?');
	await page.locator('#composer-hint', { hasText: 'What you write stays here' }).waitFor();
	await visitor.notes('The connection was lost');
	await shoot(visitor, name('offline'));
	stand.relay.mend();
	await visitor.context.setOffline(false);
	await visitor.ready();
	await page.locator('#input').fill('');
	await other.context.close();
	await press('#stop');
	await visitor.notes('You stopped this answer');
	await shoot(visitor, name('stopped'));

	await visitor.send('This does not work');
	await page.locator('.failure').waitFor();
	await shoot(visitor, name('error'));

	const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
	assert.equal(overflow, 0, 'nothing is wider than the screen');
	if (device === 'phone') {
		await press('#menu');
		await page.locator('#sidebar').waitFor();
		await shoot(visitor, name('drawer'));
		await page.keyboard.press('Escape');
		await page.locator('#sidebar').waitFor({ state: 'hidden' });
	}
	visitor.wasCalm({ except: [UNREACHABLE] });
	await visitor.context.close();
	return finished;
}

for (const theme of ['light', 'dark']) {
	test(`pictures: ${theme}, phone`, () => tour(theme, 'phone', { viewport: PHONE, isMobile: true, hasTouch: true }));
	test(`pictures: ${theme}, desktop`, async () => {
		const finished = await tour(theme, 'desktop', { viewport: DESKTOP });
		if (renewScreenshot && theme === 'light') {
			await mkdir(DOCS, { recursive: true });
			await copyFile(finished, path.join(DOCS, 'screenshot.png'));
		}
	});
}
