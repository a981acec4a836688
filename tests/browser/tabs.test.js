// Reloads, tabs and devices: all of them show the same, and no word of it is lost or repeated.
import assert from 'node:assert/strict';
import { random } from '../lib/random.js';
import { after, before, test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';
import { flows, Stand, wordsOf } from './browser.js';

/** Chromium itself logs conversations that are gone. */
const GONE = /status of 404/;

const { integer } = random('tabs');

let stand;
before(async () => {
	stand = await Stand.open();
});
after(() => stand?.close());

test('reloads in mid-answer, each at a random word: the answer goes on, every word once', async () => {
	const visitor = await stand.user('ada');
	const words = wordsOf('reload', 400);
	const held = gate();
	stand.upstream.on('reload me', flows(words, { holdAt: 320, held }));
	await visitor.send('reload me');
	for (const most of [60, 150, 300]) {
		const seen = await visitor.hasWords(integer(1, most));
		await visitor.page.reload();
		await visitor.hasWords(seen.split(' ').length);
	}
	await visitor.page.locator('#stop').waitFor();
	held.open();
	await visitor.reads(words.join(' '));
	await visitor.idle();
	const transcript = await visitor.transcript();
	assert.deepEqual(transcript, [['you', 'reload me'], ['answer', words.join(' ')]]);
	assert.deepEqual(await visitor.kept(), transcript);
	assert.equal(stand.upstream.asked('reload me').length, 1);
	visitor.wasCalm();
	await visitor.context.close();
});

test('two tabs and another device stay in step, and each of them can stop the answer', async () => {
	const first = await stand.user('grace');
	const tab = await first.anotherTab();
	const device = await stand.user('grace');
	const words = wordsOf('step', 300);
	const held = gate();
	stand.upstream.on('in step', flows(words, { holdAt: 200, held }));
	await first.send('in step');
	await first.hasWords(20);

	// The list: at once in the same browser, with a look at the page on another device.
	await tab.page.locator('.conversations a', { hasText: 'in step' }).click();
	await device.page.evaluate(() => dispatchEvent(new Event('focus')));
	await device.page.locator('.conversations a', { hasText: 'in step' }).click();
	for (const visitor of [tab, device]) {
		await visitor.hasWords(100);
		assert.deepEqual((await visitor.transcript())[0], ['you', 'in step']);
	}
	for (const visitor of [first, tab, device]) {
		await visitor.reads(words.slice(0, 200).join(' '));
	}
	await device.page.locator('#stop').click();
	for (const visitor of [first, tab, device]) {
		await visitor.notes('You stopped this answer');
		await visitor.idle();
		await visitor.reads(words.slice(0, 200).join(' '));
	}
	assert.equal((await stand.upstream.asked('in step')[0].closed).early, true, 'the model is no longer asked');

	// A turn of one is a turn of all.
	const more = gate();
	stand.upstream.on('and further', reply.pauses('From the device, ', more, 'to all.'));
	await device.send('and further');
	for (const visitor of [first, tab]) {
		await visitor.reads('From the device,');
		assert.ok(await visitor.page.locator('#stop').isVisible(), 'it can be stopped here too');
	}
	more.open();
	for (const visitor of [first, tab]) {
		await visitor.reads('From the device, to all.');
		await visitor.idle();
	}
	await first.ask('what was said?');
	assert.equal(stand.upstream.asked('what was said?')[0].messages.length, 5, 'it follows the turn of the other device');
	await tab.reads('You said: what was said?');
	await tab.idle();
	const transcript = await first.transcript();
	assert.equal(transcript.length, 6);
	assert.deepEqual(await tab.transcript(), transcript);
	assert.deepEqual(await first.kept(), transcript);
	await device.page.reload();
	await device.reads('You said: what was said?');
	assert.deepEqual(await device.transcript(), transcript);
	[first, tab, device].forEach((visitor) => visitor.wasCalm());
	await Promise.all([first.context.close(), device.context.close()]);
});

test('when two turns run side by side in one conversation, neither hides the other, after a reload too', async () => {
	const visitor = await stand.user('katherine');
	await visitor.ask('the root');
	const held = gate();
	stand.upstream.on('branch', async (x) => {
		await x.say(`To ${x.question}: `);
		await held.passed;
		await x.say('done.');
		await x.finish();
		await x.done();
	});
	await visitor.send('branch one');
	await visitor.reads('To branch one:');
	const program = visitor.page.evaluate(async () => {
		const items = await (await fetch(`/v1/conversations/${location.hash.slice(3)}/items`)).json();
		const body = JSON.stringify({ input: 'branch two', previous_response_id: items.data[0]['sluice:response_id'] });
		const headers = { 'content-type': 'application/json' };
		await fetch('/v1/responses', { method: 'POST', headers, body }).then((answer) => answer.json(), () => null);
	}).catch(() => {}); // the reload takes it away
	await visitor.reads('To branch two:');
	const texts = async () => (await visitor.transcript()).map(([, text]) => text.trim()).sort();
	const both = ['To branch one:', 'To branch two:', 'You said: the root', 'branch one', 'branch two', 'the root'];
	assert.deepEqual(await texts(), both);
	await visitor.page.reload();
	await visitor.answer(2).waitFor();
	await visitor.page.waitForFunction(() => [...document.querySelectorAll('.answer .prose')].every((prose) => prose.innerText.trim()));
	assert.deepEqual(await texts(), both);
	await program;
	held.open();
	await visitor.idle();
	assert.deepEqual(await texts(), both.map((text) => (text.startsWith('To ') ? `${text} done.` : text)));
	await visitor.ask('and now?');
	assert.equal(stand.upstream.asked('and now?')[0].messages.length, 5, 'it follows one of them');
	visitor.wasCalm();
	await visitor.context.close();
});

test('what fails in one tab and is tried again there stands once in the other', async () => {
	const first = await stand.user('joan');
	const other = await first.anotherTab();
	await first.ask('a beginning');
	await other.page.locator('.conversations a', { hasText: 'a beginning' }).click();
	await other.reads('You said: a beginning');
	stand.upstream.on('fails once', reply.fails(401), reply.says('Now it works.'));
	await first.send('fails once');
	await other.page.locator('.failure').waitFor();
	await first.page.locator('.failure').getByRole('button', { name: 'Try again' }).click();
	for (const visitor of [first, other]) {
		await visitor.reads('Now it works.');
		await visitor.idle();
		assert.equal(await visitor.page.locator('.failure').count(), 0);
	}
	assert.deepEqual(await other.transcript(), await first.transcript());
	assert.equal(stand.upstream.asked('fails once')[1].messages.length, 3, 'what failed is no part of the conversation');
	stand.upstream.on('fails for good', reply.fails(401));
	await first.send('fails for good');
	await first.page.locator('.failure').waitFor();
	await other.page.locator('.failure').waitFor();
	await first.ask('something else');
	assert.equal(stand.upstream.asked('something else')[0].messages.length, 5, 'it follows what went well');
	await other.reads('You said: something else');
	await other.idle();
	await first.page.reload();
	await first.reads('You said: something else');
	await other.page.reload();
	await other.reads('You said: something else');
	assert.deepEqual(await other.transcript(), await first.transcript());
	first.wasCalm();
	other.wasCalm();
	await first.context.close();
});

test('a chat that was deleted elsewhere is told in plain words, and the message goes on in a new one', async () => {
	const first = await stand.user('doris');
	const tab = await first.anotherTab();
	const device = await stand.user('doris');
	await first.ask('to be deleted');
	const address = first.page.url();
	for (const visitor of [tab, device]) {
		await visitor.page.goto(address);
		await visitor.reads('You said: to be deleted');
	}
	await first.page.locator('.conversations li', { hasText: 'to be deleted' }).hover();
	await first.page.locator('.delete').click();
	await first.page.locator('#delete-yes').click();

	await tab.page.locator('.failure', { hasText: 'This chat is not there any more' }).waitFor();
	await tab.send('said in the tab');
	await tab.reads('You said: said in the tab');
	assert.deepEqual((await tab.transcript()).length, 2, 'it stands in a new chat');

	await device.send('said on the device');
	const failure = device.page.locator('.failure');
	await failure.waitFor();
	assert.equal(await failure.locator('strong').innerText(), 'This chat was deleted');
	assert.equal(await failure.locator('code').count(), 0, 'no code word');
	await failure.getByRole('button', { name: 'Send in a new chat' }).click();
	await device.reads('You said: said on the device');
	assert.equal((await device.transcript()).length, 2);

	await device.page.goto(address);
	await device.page.locator('.failure', { hasText: 'This chat is not there any more' }).waitFor();
	first.wasCalm();
	tab.wasCalm();
	device.wasCalm({ except: [GONE] });
	await Promise.all([first.context.close(), device.context.close()]);
});
