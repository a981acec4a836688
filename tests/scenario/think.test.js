// Reasoning that a model's server leaves in the text, between <think> and </think>, where a setting says so.
import assert from 'node:assert/strict';
import { checkStream } from '../lib/check.js';
import { connect } from '../lib/chat.js';
import { startServer } from '../lib/server.js';
import { test } from '../lib/test.js';
import { reply, startUpstream } from '../lib/upstream.js';

/** What a server with this setting makes of an answer: [type, text] of each item. */
async function itemsOf(think, pieces) {
	const upstream = await startUpstream();
	const server = await startServer({ upstream, settings: { upstream: { think } } });
	try {
		upstream.on('think', reply.says(pieces));
		const chat = await connect(server, { key: await server.createKey('ada') });
		await chat.turn('think');
		const { response } = checkStream(chat.events);
		await chat.close();
		return response.output.map(({ type, content }) => [type, content.map(({ text }) => text).join('')]);
	} finally {
		await server.stop();
		await server.remove();
		await upstream.stop();
	}
}

const TAGGED = ['\n<th', 'ink>so it', ' is</', 'think>\n\nYes', ', <think> is a word.'];

test('tags: what stands between them at the beginning is a reasoning item, wherever the pieces are cut', async () => {
	assert.deepEqual(await itemsOf('tags', TAGGED), [['reasoning', 'so it is'], ['message', 'Yes, <think> is a word.']]);
	assert.deepEqual(await itemsOf('tags', ['No <think>', 'thought</think>']), [['message', 'No <think>thought</think>']]);
});

test('open: the answer begins within the block', async () => {
	assert.deepEqual(await itemsOf('open', ['so it is</thi', 'nk>Yes']), [['reasoning', 'so it is'], ['message', 'Yes']]);
});

test('off: text is text', async () => {
	assert.deepEqual(await itemsOf('off', TAGGED), [['message', TAGGED.join('')]]);
});
