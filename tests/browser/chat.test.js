// A person signs in and chats: the way of every day.
import assert from 'node:assert/strict';
import { after, before, test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';
import { Stand } from './browser.js';

let stand;
before(async () => {
	stand = await Stand.open();
});
after(() => stand?.close());

test('an answer arrives in pieces, the next message knows the first, and a reload shows both', async () => {
	const visitor = await stand.user('ada');
	const { page } = visitor;
	assert.equal(new URL(page.url()).hash, '', 'the token has left the address');

	const more = gate();
	const rest = gate();
	stand.upstream.on('first question', async (x) => {
		await x.say('One. ');
		await more.passed;
		await x.say('Two. ');
		await rest.passed;
		await x.say('**Three.**');
		await x.finish('stop', { input: 7, output: 3 });
		await x.done();
	});
	await visitor.send('first question');
	await visitor.reads('One.');
	assert.ok(await page.locator('#stop').isVisible(), 'there is a stop button while the answer runs');
	more.open();
	await visitor.reads('One. Two.');
	assert.match(await visitor.lastAnswer.getAttribute('class'), /streaming/);
	rest.open();
	await visitor.idle();
	await visitor.reads('One. Two. Three.');
	assert.equal(await visitor.lastAnswer.locator('strong').innerText(), 'Three.');
	assert.deepEqual(await page.locator('#speaker p').allTextContents(), ['One. Two. Three.'],
		'a screen reader hears the paragraph once, as a whole');

	stand.upstream.on('second question', reply.says(['And ', 'four.']));
	await visitor.ask('second question');
	await visitor.reads('And four.');
	const [asked] = stand.upstream.asked('second question');
	assert.deepEqual(asked.messages.map(({ role, content }) => [role, content]), [
		['user', 'first question'],
		['assistant', 'One. Two. **Three.**'],
		['user', 'second question'],
	]);

	const before = await visitor.transcript();
	assert.equal(before.length, 4);
	assert.match(page.url(), /#c=conv_/, 'the conversation has an address');
	await page.reload();
	await visitor.ready();
	await visitor.reads('And four.');
	assert.deepEqual(await visitor.transcript(), before);

	await visitor.ask('third question');
	const [third] = stand.upstream.asked('third question');
	assert.equal(third.messages.length, 5, 'the conversation goes on after the reload');
	visitor.wasCalm();
	await visitor.context.close();
});

test('the stop button stops the answer at the model too, and marks it', async () => {
	const visitor = await stand.user('grace');
	stand.upstream.on('endless', reply.stalls(['Some ', 'words']));
	await visitor.send('endless');
	await visitor.reads('Some words');
	await visitor.page.locator('#stop').click();
	await visitor.lastAnswer.locator('.note', { hasText: 'You stopped this answer' }).waitFor();
	await visitor.idle();
	await visitor.reads('Some words');
	const [asked] = stand.upstream.asked('endless');
	assert.equal((await asked.closed).early, true, 'the model is no longer asked');

	await visitor.ask('after the stop');
	await visitor.reads('You said: after the stop');

	stand.upstream.on('again endless', reply.stalls('More'));
	await visitor.send('again endless');
	await visitor.reads('More');
	await visitor.page.keyboard.press('Escape');
	await visitor.lastAnswer.locator('.note', { hasText: 'You stopped this answer' }).waitFor();

	await visitor.page.reload();
	await visitor.ready();
	await visitor.reads('More');
	await visitor.lastAnswer.locator('.note', { hasText: 'You stopped this answer' }).waitFor();
	await visitor.answer(0).locator('.note', { hasText: 'You stopped this answer' }).waitFor();
	assert.equal(await visitor.answer(1).locator('.note').count(), 0, 'only what was stopped is marked');
	visitor.wasCalm();
	await visitor.context.close();
});

test('conversations are listed, opened by their address, and deleted only after a question', async () => {
	const visitor = await stand.user('edith');
	const { page } = visitor;
	await visitor.ask('about boats');
	const boats = page.url();
	await page.locator('#new-chat').click();
	await visitor.ask('about gates');
	await page.locator('.conversations a').nth(1).waitFor();
	assert.deepEqual(await page.locator('.conversations a').allTextContents(), ['about gates', 'about boats']);

	await page.locator('.conversations a', { hasText: 'about boats' }).click();
	await visitor.reads('You said: about boats');
	assert.equal(page.url(), boats);
	assert.equal(await page.locator('.conversations [aria-current="page"]').innerText(), 'about boats');
	await page.goBack();
	await visitor.reads('You said: about gates');

	const row = page.locator('.conversations li', { hasText: 'about boats' });
	await row.hover();
	await row.locator('.delete').click();
	await page.locator('#delete-dialog').waitFor();
	await page.locator('#delete-no').click();
	assert.equal(await row.count(), 1, 'kept');
	await row.hover();
	await row.locator('.delete').click();
	await page.locator('#delete-yes').click();
	await row.waitFor({ state: 'detached' });

	await page.reload();
	await visitor.ready();
	await visitor.reads('You said: about gates');
	assert.deepEqual(await page.locator('.conversations a').allTextContents(), ['about gates']);
	visitor.wasCalm();
	await visitor.context.close();
});

test('Shift+Enter starts a new line, Enter sends', async () => {
	const visitor = await stand.user('joan');
	const input = visitor.page.locator('#input');
	await input.pressSequentially('one');
	await input.press('Shift+Enter');
	await input.pressSequentially('two');
	await visitor.page.locator('#send:enabled').waitFor();
	await input.press('Enter');
	await visitor.reads('You said: one\ntwo'.replace('\n', ' '));
	assert.deepEqual((await visitor.transcript())[0], ['you', 'one\ntwo']);
	visitor.wasCalm();
	await visitor.context.close();
});
