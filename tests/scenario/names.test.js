// The events of reasoning under the names that OpenAI's service and most SDKs use, where an operator wants them.
import assert from 'node:assert/strict';
import { createOpenResponses } from '@ai-sdk/open-responses';
import { streamText } from 'ai';
import { openai } from '../lib/sdk.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { reply } from '../lib/upstream.js';

let client;
let vercel;
const stage = setup({ settings: { server: { openai_event_names: 'yes' } } }, async ({ server, key }) => {
	const headers = { Authorization: `Bearer ${key}` };
	client = openai(server, key);
	vercel = createOpenResponses({ name: 'sluice', url: `${server.url}/v1/responses`, headers })('fake');
});

const thinks = async (x) => {
	await x.write(x.event({ reasoning_content: 'so ' }));
	await x.write(x.event({ reasoning_content: 'it is' }));
	await reply.says('Yes.')(x);
};

const typesOf = async (stream) => {
	const types = [];
	for await (const { type } of stream) {
		types.push(type);
	}
	return types.filter((type) => type.startsWith('response.reasoning'));
};

test('reasoning streams under the names of OpenAI, live and replayed', async () => {
	stage.upstream.on('think', thinks);
	const stream = await client.responses.create({ model: 'fake', input: 'think', stream: true });
	let id;
	const live = await typesOf((async function* () {
		for await (const event of stream) {
			id ??= event.response?.id;
			yield event;
		}
	})());
	assert.equal(live.at(-1), 'response.reasoning_text.done');
	assert.ok(live.includes('response.reasoning_text.delta'), `${live}`);
	assert.deepEqual(await typesOf(await client.responses.retrieve(id, { stream: true })), live);
});

test('the AI SDK shows reasoning while it comes', async () => {
	stage.upstream.on('vercel thinks aloud', thinks);
	const { fullStream } = streamText({ model: vercel, prompt: 'vercel thinks aloud' });
	let reasoning = '';
	for await (const part of fullStream) {
		reasoning += part.type === 'reasoning-delta' ? part.text : '';
	}
	assert.equal(reasoning, 'so it is');
});
