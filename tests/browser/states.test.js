// What the page says when something is in the way, and how one goes on from there.
import assert from 'node:assert/strict';
import { after, before, test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';
import { Stand, UNREACHABLE } from './browser.js';

/** Chromium itself logs refused requests. */
const REFUSED = /status of 401/;

let stand;
before(async () => {
	stand = await Stand.open({ throughRelay: true });
});
after(() => stand?.close());

test('a stranger is told how to get in, and an address works once', async () => {
	const stranger = await stand.visitor();
	await stranger.page.goto(stand.origin);
	await stranger.page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
	assert.match(await stranger.page.locator('#gate').innerText(), /sluicectl signin --user NAME/);

	const address = await stand.address('ada');
	const visitor = await stand.visitor();
	await visitor.page.goto(address);
	await visitor.ready();
	assert.equal(await visitor.page.locator('#user-name').innerText(), 'ada');
	visitor.wasCalm();

	await stranger.page.goto(address);
	await stranger.page.getByRole('heading', { name: 'This address no longer works' }).waitFor();
	assert.equal(new URL(stranger.page.url()).hash, '', 'a used token leaves the address too');

	await visitor.page.locator('#sign-out').click();
	await visitor.page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
	await visitor.page.reload();
	await visitor.page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
	stranger.wasCalm({ except: [REFUSED] });
	visitor.wasCalm({ except: [REFUSED] });
	await stranger.context.close();
	await visitor.context.close();
});

test('a page that finds no server comes up by itself when there is one', async () => {
	const visitor = await stand.user('mary');
	await visitor.page.clock.install();
	await visitor.ask('something to come back to');
	await visitor.page.route('**/v1/session', (route) => route.abort());
	await visitor.page.reload();
	await visitor.page.getByRole('heading', { name: 'The server does not answer' }).waitFor();
	await visitor.page.unroute('**/v1/session');
	await visitor.page.clock.fastForward(4_000);
	await visitor.reads('You said: something to come back to');
	visitor.wasCalm({ except: [UNREACHABLE] });
	await visitor.context.close();
});

test('a turn that fails says so, and another try answers it', async () => {
	const visitor = await stand.user('grace');
	stand.upstream.on('will fail', reply.fails(401), reply.says('Now it works.'));
	await visitor.send('will fail');
	const failure = visitor.page.locator('.failure');
	await failure.waitFor();
	assert.equal(await failure.locator('strong').innerText(), 'No answer came');
	await failure.getByRole('button', { name: 'Try again' }).click();
	await visitor.reads('Now it works.');
	await visitor.idle();
	assert.equal(await failure.count(), 0);
	assert.deepEqual(await visitor.transcript(), [['you', 'will fail'], ['answer', 'Now it works.']]);
	visitor.wasCalm();
	await visitor.context.close();
});

test('when the connection dies in mid-answer the page says so, comes back, and shows every word once', async () => {
	const visitor = await stand.user('edith');
	const during = gate();
	const rest = gate();
	stand.upstream.on('cut me', async (x) => {
		await x.say('Before the cut, ');
		await during.passed;
		await x.say('during it, ');
		await rest.passed;
		await x.say('after it.');
		await x.finish('stop', { input: 7, output: 3 });
		await x.done();
	});
	await visitor.send('cut me');
	await visitor.reads('Before the cut,');
	stand.relay.cut();
	during.open();
	await visitor.page.locator('#link[data-state="waiting"]').waitFor();
	assert.match(await visitor.page.locator('#link-text').innerText(), /Reconnecting in \d+ s/);
	await visitor.lastAnswer.locator('.note', { hasText: 'The connection was lost' }).waitFor();
	await visitor.reads('Before the cut,');

	stand.relay.mend();
	await visitor.page.locator('#link-retry').click();
	await visitor.page.locator('#link[data-state="open"]').waitFor({ state: 'attached' });
	await visitor.reads('Before the cut, during it,');
	rest.open();
	await visitor.reads('Before the cut, during it, after it.');
	await visitor.page.locator('.note').waitFor({ state: 'detached' });
	assert.deepEqual(await visitor.transcript(), [['you', 'cut me'], ['answer', 'Before the cut, during it, after it.']]);

	await visitor.ask('still there?');
	assert.equal(stand.upstream.asked('still there?')[0].messages.length, 3, 'the conversation goes on');
	visitor.wasCalm({ except: [UNREACHABLE] });
	await visitor.context.close();
});

test('too many messages: the page says when to come back', async () => {
	const tight = await Stand.open({ settings: { limits: { requests_per_minute: 6, burst: 20 } } });
	try {
		const visitor = await tight.user('joan');
		const limited = visitor.page.locator('.failure.limited');
		for (let sent = 0; sent < 25 && (await limited.count()) === 0; sent++) {
			await visitor.ask(`message ${sent}`);
		}
		await limited.waitFor();
		const button = limited.getByRole('button');
		assert.match(await button.innerText(), /^In \d+ s$/);
		assert.ok(await button.isDisabled(), 'there is no use in trying yet');
		visitor.wasCalm();
	} finally {
		await tight.close();
	}
});
