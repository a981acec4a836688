// A network that fails in every way: no word is lost on the screen, none is there twice, and nothing typed goes away.
import assert from 'node:assert/strict';
import { random } from '../lib/random.js';
import { after, before, test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';
import { flows, Stand, UNREACHABLE, wordsOf } from './browser.js';

const { integer, pick } = random('network');

let stand;
before(async () => {
	stand = await Stand.open({ throughRelay: true });
});
after(() => stand?.close());

test('airplane mode: nothing typed is lost, and the answer goes on where it was', async () => {
	const visitor = await stand.user('mary');
	const words = wordsOf('plane', 300);
	const held = gate();
	stand.upstream.on('take off', flows(words, { holdAt: 250, held }));
	await visitor.send('take off');
	await visitor.hasWords(integer(5, 60));
	await visitor.context.setOffline(true);
	stand.relay.cut();
	await visitor.page.locator('#link-text', { hasText: 'You are offline' }).waitFor();
	await visitor.page.locator('#composer-hint', { hasText: 'What you write stays here' }).waitFor();
	await visitor.page.locator('#input').fill('typed in the air');
	await visitor.page.locator('#input').press('Enter');
	assert.equal(await visitor.page.locator('#input').inputValue(), 'typed in the air', 'what cannot be sent stays in the field');
	assert.equal(await visitor.page.locator('.failure').count(), 0, 'nothing is called an error');

	stand.relay.mend();
	await visitor.context.setOffline(false);
	await visitor.ready();
	await visitor.hasWords(150);
	await visitor.page.reload();
	assert.equal(await visitor.page.locator('#input').inputValue(), 'typed in the air', 'a reload leaves it there');
	held.open();
	await visitor.reads(words.join(' '));
	await visitor.page.locator('#send:enabled').click();
	await visitor.reads('You said: typed in the air');
	await visitor.idle();
	assert.deepEqual(await visitor.transcript(), [
		['you', 'take off'],
		['answer', words.join(' ')],
		['you', 'typed in the air'],
		['answer', 'You said: typed in the air'],
	]);
	visitor.wasCalm({ except: [UNREACHABLE] });
	await visitor.context.close();
});

test('a device that was away shows what was said meanwhile before it takes a message', async () => {
	const visitor = await stand.user('hedy');
	const key = await stand.server.createKey('hedy');
	await visitor.ask('before it left');
	await visitor.page.locator('#input').fill('typed while away');
	stand.relay.cut();
	await visitor.page.locator('#link[data-state="waiting"]').waitFor();
	const { data } = await (await stand.server.fetch('/v1/conversations', { key })).json();
	const body = { input: 'said meanwhile', previous_response_id: data[0].last_response_id };
	assert.equal((await stand.server.fetch('/v1/responses', { key, body })).status, 200);
	// In the very moment in which it can be sent.
	await visitor.page.locator('#send').evaluate((send) =>
		new MutationObserver(() => send.disabled || send.click()).observe(send, { attributes: true }));
	stand.relay.mend();
	await visitor.reads('You said: typed while away');
	await visitor.idle();
	assert.deepEqual((await visitor.transcript()).map(([, text]) => text), [
		'before it left',
		'You said: before it left',
		'said meanwhile',
		'You said: said meanwhile',
		'typed while away',
		'You said: typed while away',
	]);
	assert.equal(stand.upstream.asked('typed while away')[0].messages.length, 5);
	assert.deepEqual(await visitor.kept(), await visitor.transcript());
	visitor.wasCalm({ except: [UNREACHABLE] });
	await visitor.context.close();
});

test('a connection that died without a word is found by asking when the network comes back', async () => {
	const visitor = await stand.visitor();
	await visitor.page.clock.install();
	await visitor.page.goto(await stand.address('edith'));
	await visitor.ready();
	const words = wordsOf('stall', 200);
	const held = gate();
	stand.upstream.on('half open', flows(words, { holdAt: 150, held }));
	await visitor.send('half open');
	await visitor.hasWords(integer(5, 60));
	stand.relay.stall();
	await visitor.context.setOffline(true);
	await visitor.context.setOffline(false);
	await visitor.page.clock.fastForward(6_000);
	await visitor.reads(words.slice(0, 150).join(' '));
	held.open();
	await visitor.reads(words.join(' '));
	visitor.wasCalm({ except: [UNREACHABLE] });
	await visitor.context.close();
});

test('silence while an answer is due makes the page ask, and a dead connection is replaced', async () => {
	const visitor = await stand.visitor();
	await visitor.page.clock.install();
	await visitor.page.goto(await stand.address('rear'));
	await visitor.ready();
	const words = wordsOf('silent', 100);
	const held = gate();
	stand.upstream.on('fall silent', flows(words, { holdAt: 40, held }));
	await visitor.send('fall silent');
	await visitor.reads(words.slice(0, 40).join(' '));
	stand.relay.stall();
	held.open();
	await visitor.page.clock.fastForward(46_000);
	await visitor.page.clock.fastForward(6_000);
	await visitor.reads(words.join(' '));
	visitor.wasCalm({ except: [UNREACHABLE] });
	await visitor.context.close();
});

test('a line that fails again and again, at random words and in random ways: every word once', async () => {
	const visitor = await stand.visitor();
	await visitor.page.clock.install();
	await visitor.page.goto(await stand.address('lise'));
	await visitor.ready();
	const words = wordsOf('bad', 700);
	const held = gate();
	stand.upstream.on('bad line', flows(words, { holdAt: 600, held }));
	const comesBack = () => visitor.page.evaluate(() => dispatchEvent(new Event('online')));
	const dies = (how) => async () => {
		stand.relay[how]();
		await comesBack();
		await visitor.page.clock.fastForward(6_000);
	};
	const faults = {
		cut: async () => {
			stand.relay.cut();
			stand.relay.mend();
			await comesBack();
		},
		stall: dies('stall'),
		mute: dies('mute'),
		reload: async () => {
			// A browser would ask over what is dead, too, and wait for minutes.
			stand.relay.cut();
			stand.relay.mend();
			await visitor.page.reload();
		},
	};
	await visitor.send('bad line');
	let count = 0;
	const story = [];
	while (count < 500) {
		count = (await visitor.hasWords(Math.min(500, count + integer(1, 90)))).split(' ').length;
		const fault = pick(Object.keys(faults));
		story.push(`${fault} at ${count}`);
		await faults[fault]();
	}
	held.open();
	await visitor.reads(words.join(' ')).catch((error) => {
		error.message += `\nafter ${story.join(', ')}`;
		throw error;
	});
	await visitor.idle();
	assert.deepEqual(await visitor.kept(), [['you', 'bad line'], ['answer', words.join(' ')]]);
	assert.equal(stand.upstream.asked('bad line').length, 1);
	visitor.wasCalm({ except: [UNREACHABLE] });
	await visitor.context.close();
});

test('a break while the model is silent is told, and forgotten when it is mended', async () => {
	const visitor = await stand.user('emmy');
	const held = gate();
	stand.upstream.on('think long', reply.pauses('Well, ', held, 'yes.'));
	await visitor.send('think long');
	await visitor.reads('Well,');
	stand.relay.cut();
	await visitor.notes('The connection was lost');
	stand.relay.mend();
	await visitor.lastAnswer.locator('.note').waitFor({ state: 'detached' });
	await visitor.ready();
	held.open();
	await visitor.reads('Well, yes.');
	await visitor.idle();
	visitor.wasCalm({ except: [UNREACHABLE] });
	await visitor.context.close();
});

test('what is stopped while there is no network is stopped when it is back', async () => {
	const visitor = await stand.user('eva');
	stand.upstream.on('stop me', flows(wordsOf('stop', 100), { holdAt: 30 }));
	await visitor.send('stop me');
	const seen = await visitor.hasWords(30);
	stand.relay.cut();
	await visitor.page.locator('#link[data-state="waiting"]').waitFor();
	await visitor.page.locator('#stop').click();
	await visitor.notes('The answer stops when it is back');
	stand.relay.mend();
	await visitor.notes('You stopped this answer');
	await visitor.idle();
	await visitor.reads(seen);
	await stand.upstream.asked('stop me')[0].hungUp();
	visitor.wasCalm({ except: [UNREACHABLE] });
	await visitor.context.close();
});

test('a message whose connection breaks before the server has answered is asked once', async () => {
	const visitor = await stand.user('ida');
	await visitor.ask('a first message');
	for (const [way, text] of [['stall', 'never arrives'], ['mute', 'arrives unseen']]) {
		await visitor.page.locator('#input').fill(text);
		await visitor.page.locator('#send:enabled').waitFor();
		stand.relay[way]();
		await visitor.page.locator('#input').press('Enter');
		if (way === 'mute') {
			await stand.upstream.request(text);
		}
		stand.relay.cut();
		stand.relay.mend();
		await visitor.reads(`You said: ${text}`);
		await visitor.idle();
		assert.equal(stand.upstream.asked(text).length, 1, `${way}: the model is asked once`);
	}
	const transcript = await visitor.transcript();
	assert.equal(transcript.length, 6);
	assert.deepEqual(await visitor.kept(), transcript);
	visitor.wasCalm({ except: [UNREACHABLE] });
	await visitor.context.close();
});
