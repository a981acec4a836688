// The server is killed, or goes down in order, and comes back while the page looks on.
import assert from 'node:assert/strict';
import { test } from '../lib/test.js';
import { random } from '../lib/random.js';
import { gate } from '../lib/upstream.js';
import { flows, Stand, UNREACHABLE, wordsOf } from './browser.js';

const { integer } = random('restarts');

async function withStand(settings, run) {
	const stand = await Stand.open({ settings, throughRelay: true });
	try {
		await run(stand);
	} finally {
		await stand.close();
	}
}

async function comeBack(stand) {
	await stand.server.restart();
	stand.relay.port = stand.server.port;
}

test('the server is killed in mid-answer: every tab shows what it kept, and goes on', () =>
	withStand({}, async (stand) => {
		const visitor = await stand.user('ada');
		const words = wordsOf('kill', 200);
		stand.upstream.on('kill me', flows(words, { holdAt: 120 }));
		await visitor.send('kill me');
		await visitor.hasWords(1);
		const tab = await visitor.anotherTab();
		await tab.page.goto(visitor.page.url());
		await tab.hasWords(integer(10, 100));
		await stand.server.kill();
		await visitor.page.locator('#link[data-state="waiting"]').waitFor();
		await visitor.page.locator('#input').fill('typed meanwhile');
		await comeBack(stand);
		for (const each of [visitor, tab]) {
			await each.notes('the server was restarted');
			await each.idle();
		}
		const transcript = await visitor.transcript();
		assert.deepEqual(await visitor.kept(), transcript, 'the page shows what the server kept');
		assert.deepEqual(await tab.transcript(), transcript);
		assert.ok(words.join(' ').startsWith(transcript[1][1]), 'no word is lost before the end, and none is there twice');
		assert.ok(transcript[1][1].length > 0);
		await visitor.page.locator('#send:enabled').click();
		for (const each of [visitor, tab]) {
			await each.reads('You said: typed meanwhile');
			await each.idle();
			each.wasCalm({ except: [UNREACHABLE] });
		}
	}));

test('the server goes down in order: the answer under way is finished, and a message sent meanwhile waits for the new server', () =>
	withStand({}, async (stand) => {
		const visitor = await stand.user('grace');
		const words = wordsOf('drain', 120);
		const held = gate();
		stand.upstream.on('drain me', flows(words, { holdAt: integer(10, 100), held }));
		await visitor.send('drain me');
		await visitor.hasWords(5);
		stand.server.signal('SIGTERM');
		await stand.server.logged((line) => line.event === 'draining');
		await visitor.page.locator('#new-chat').click();
		await visitor.send('for the next server');
		await visitor.page.locator('.answer.waiting').waitFor();
		held.open();
		assert.deepEqual(await stand.server.exited, { code: 0, signal: null });
		await comeBack(stand);
		await visitor.reads('You said: for the next server');
		await visitor.idle();
		assert.equal(stand.upstream.asked('for the next server').length, 1);
		// The new chat comes to the top of the list: not between looking for the other one and clicking on it.
		await visitor.page.locator('.conversations a', { hasText: 'for the next server' }).waitFor();
		await visitor.page.locator('.conversations a', { hasText: 'drain me' }).click();
		await visitor.reads(words.join(' '));
		assert.deepEqual(await visitor.kept(), await visitor.transcript());
		assert.equal(await visitor.page.locator('.note').count(), 0, 'nothing is marked as cut short');
		visitor.wasCalm({ except: [UNREACHABLE] });
	}));

test('an answer that takes longer than the server may wait is marked, and what came of it stays', () =>
	withStand({ server: { drain_timeout: '300ms' } }, async (stand) => {
		const visitor = await stand.user('joan');
		const words = wordsOf('long', 60);
		stand.upstream.on('endless', flows(words, { holdAt: 40 }));
		await visitor.send('endless');
		await visitor.reads(words.slice(0, 40).join(' '));
		await stand.server.stop();
		await comeBack(stand);
		await visitor.notes('the server was restarted');
		await visitor.idle();
		await visitor.reads(words.slice(0, 40).join(' '));
		assert.deepEqual(await visitor.kept(), await visitor.transcript());
		visitor.wasCalm({ except: [UNREACHABLE] });
	}));
