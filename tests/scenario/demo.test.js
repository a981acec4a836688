// The demo model, as a program that speaks the Chat Completions API.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import OpenAI from 'openai';
import { program, within } from '../lib/server.js';
import { after, before, test } from '../lib/test.js';

/** The program, listening: its address and a client. */
async function start(...options) {
	const child = spawn(program('sluice-demo-model'), ['-p', '0', ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
	const output = [];
	child.stderr.on('data', (bytes) => output.push(bytes));
	const ended = once(child, 'close');
	const lines = createInterface({ input: child.stdout });
	const line = await within(
		20_000,
		Promise.race([once(lines, 'line').then(([text]) => text), ended.then(() => Promise.reject(new Error(`${output}`)))]),
		'the demo model does not listen',
	);
	const [, url] = /^listening on (http:\/\/\S+)/.exec(line) ?? assert.fail(line);
	const client = new OpenAI({ apiKey: 'none', baseURL: url, maxRetries: 0 });
	const stop = async () => {
		child.kill('SIGTERM');
		const [code, signal] = await within(20_000, ended, 'the demo model does not stop');
		assert.deepEqual({ code, signal, output: `${output}` }, { code: 0, signal: null, output: '' });
	};
	return { url, client, line, stop };
}

let demo;
before(async () => (demo = await start('-s', '5000')));
after(() => demo.stop());

/** The answer to the last of some messages of the user; the demo's own answers stand between them. */
async function ask(...questions) {
	const messages = [];
	let answer;
	for (const content of questions) {
		messages.push({ role: 'user', content });
		const completion = await demo.client.chat.completions.create({ model: 'demo', messages });
		answer = completion.choices[0].message.content;
		messages.push({ role: 'assistant', content: answer });
	}
	return answer;
}

async function stream(request) {
	const events = await demo.client.chat.completions.create({ model: 'demo', stream: true, ...request });
	const chunks = [];
	for await (const chunk of events) {
		chunks.push(chunk);
	}
	return chunks;
}

const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
const user = (content) => [{ role: 'user', content }];

// The question or questions, and what the answer to the last of them must be or contain.
const DIALOGUES = [
	[['Hello!'], /^Hello! I am sluice's demo model/],
	[['hi, I am Ada', 'hello'], /^Hello, Ada!/],
	[['My name is Ada', 'What is my name?'], 'Your name is Ada.'],
	[["My name's Ada Lovelace and I like tea.", 'whats my name'], 'Your name is Ada Lovelace.'],
	[['My name’s Ada', 'do you know my name?'], 'Your name is Ada.'],
	[['Call me Ishmael.', 'Who am I?'], 'Your name is Ishmael.'],
	[['My name is Ada', 'No, my name is Grace.', 'What is my name?'], 'Your name is Grace.'],
	[['What is my name?'], 'You have not told me your name in this conversation.'],
	[['Is my name Ada?', 'What is my name?'], 'You have not told me your name in this conversation.'],
	[['I am tired', 'what is my name?'], 'You have not told me your name in this conversation.'],
	[['I like tea and I love rain', 'What do I like?'], 'You told me that you like tea and rain.'],
	[['What do I like?'], /have not told me what you like/],
	[['I live in Oslo.', 'Where do I live?'], 'You told me that your place is Oslo.'],
	[['I am from New York', 'where am I from?'], 'You told me that your place is New York.'],
	[['My dog is called Rex.', "What is my dog's name?"], 'You told me that your dog is Rex.'],
	[['My favourite colour is blue', 'What is my favourite colour?'], 'You told me that your favourite colour is blue.'],
	[['What is my shoe size?'], 'You have not told me your shoe size in this conversation.'],
	[['Remember that the key is under the mat.', 'What did I ask you to remember?'], /the key is under the mat/],
	[['I live in Oslo. My cat is called Tom.', 'What do you know about me?'], /Oslo[^]*cat is Tom/],
	[['What do you know about me?'], /^Nothing/],
	[['One', 'What was my previous question?'], 'Your previous message was: “One”'],
	[['What was my previous question?'], /first message/],
	[['a', 'b', 'How many messages have I sent?'], /sent 3 messages/],
	[['Repeat after me: ünï  cödé ✓'], 'ünï  cödé ✓'],
	[['What is 12 * (3 + 4)?'], '12 * (3 + 4) = 84'],
	[['12 times 3'], '12 times 3 = 36'],
	[['What is -2 minus 5?'], '-2 minus 5 = -7'],
	[['calculate 2 + 3 * 4'], '2 + 3 * 4 = 14'],
	[['1.5 / 2'], '1.5 / 2 = 0.75'],
	[['what is 7 / 0?'], /divides by zero/],
	[['what is 999999999 * 999999999'], /too large/],
	[['count to 5'], '1, 2, 3, 4, 5'],
	[['Count from 3 to 1, please'], '3, 2, 1'],
	[['count to 100000'], /too far/],
	[['Are you a language model?'], /not a language model/],
	[['What time is it?'], /neither a clock/],
	[['What can you do?'], /demo, not a language model/],
	[['Thank you'], 'You are welcome.'],
	[['Explain the monads of Leibniz'], /^I have no rule for “Explain the monads of Leibniz”\. I am a demo, not a language model/],
	[[''], /is empty/],
];

for (const [questions, expected] of DIALOGUES) {
	test(`the demo, told ${JSON.stringify(questions)}, answers as its rules say`, async () => {
		const answer = await ask(...questions);
		if (typeof expected === 'string') {
			assert.equal(answer, expected);
		} else {
			assert.match(answer, expected);
		}
	});
}

test('the demo says on its first line that it is no language model, and lists one model', async () => {
	assert.match(demo.line, /demo .* not a language model/);
	const { data } = await demo.client.models.list();
	assert.deepEqual(data.map(({ id }) => id), ['demo']);
	assert.match(data[0].owned_by, /demo/);
});

test('the demo tells a story of exactly as many words as were asked for', async () => {
	for (const words of [1, 2, 116, 117, 118, 500]) {
		const answer = await ask(`Tell me a story of ${words} words`);
		assert.equal(answer.split(/\s+/).length, words, answer);
		assert.match(answer, /\.$/);
	}
});

test('the demo shows Markdown with a list, a table and a code block', async () => {
	const answer = await ask('Show me some Markdown');
	assert.match(answer, /^## /m);
	assert.match(answer, /^1\. /m);
	assert.match(answer, /^```c\n[^]*^```$/m);
	assert.match(answer, /^\|---/m);
});

test('the demo repeats the instructions of the conversation when asked for them', async () => {
	const messages = [{ role: 'system', content: 'Be brief.' }, ...user('What are your instructions?')];
	const { choices } = await demo.client.chat.completions.create({ model: 'demo', messages });
	assert.match(choices[0].message.content, /Be brief\.$/);
});

test('the demo streams word by word, the same text as without a stream, and says what it used', async () => {
	const request = { messages: user('What can you do?'), stream_options: { include_usage: true } };
	const whole = await demo.client.chat.completions.create({ model: 'demo', messages: request.messages });
	const chunks = await stream(request);
	assert.equal(textOf(chunks), whole.choices[0].message.content);
	assert.equal(chunks[0].choices[0].delta.role, 'assistant');
	assert.ok(chunks.length > 50, `${chunks.length} chunks`);
	assert.equal(chunks.at(-2).choices[0].finish_reason, 'stop');
	assert.deepEqual(chunks.at(-1).choices, []);
	assert.deepEqual(chunks.at(-1).usage, whole.usage);
	assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
	assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
	assert.ok((await stream({ messages: request.messages })).every((chunk) => !chunk.usage), 'usage only when asked for');
});

test('the demo stops at max_tokens and says so', async () => {
	for (const limit of ['max_tokens', 'max_completion_tokens']) {
		const chunks = await stream({ messages: user('count to 10'), [limit]: 3, stream_options: { include_usage: true } });
		assert.equal(textOf(chunks), '1, 2, 3,');
		assert.equal(chunks.at(-2).choices[0].finish_reason, 'length');
		assert.equal(chunks.at(-1).usage.completion_tokens, 3);
	}
	const { choices } = await demo.client.chat.completions.create({ messages: user('count to 3'), max_tokens: 3 });
	assert.deepEqual([choices[0].message.content, choices[0].finish_reason], ['1, 2, 3', 'stop']);
});

test('the demo reasons before it answers, when a reasoning effort is asked for', async () => {
	const request = { model: 'demo', messages: user('What is a sluice?'), reasoning_effort: 'low' };
	const { choices } = await demo.client.chat.completions.create(request);
	assert.match(choices[0].message.content, /channel with a gate/);
	assert.match(choices[0].message.reasoning_content, /What is a sluice\?\nI look for a rule/);
	const chunks = await stream(request);
	const thoughts = chunks.map((chunk) => chunk.choices[0]?.delta.reasoning_content ?? '');
	assert.equal(thoughts.join(''), choices[0].message.reasoning_content);
	assert.equal(textOf(chunks), choices[0].message.content);
	const first = chunks.findIndex((chunk) => chunk.choices[0]?.delta.content);
	assert.ok(thoughts.slice(first).every((thought) => thought === ''), 'it thinks first');
	const plain = await stream({ ...request, reasoning_effort: 'none' });
	assert.ok(plain.every((chunk) => chunk.choices[0]?.delta.reasoning_content === undefined));
});

const tool = (name, description, properties, required) => ({
	type: 'function',
	function: { name, description, parameters: { type: 'object', properties, required } },
});
const WEATHER = tool(
	'get_weather',
	'The weather forecast of a city',
	{
		city: { type: 'string' },
		days: { type: 'integer' },
		unit: { type: 'string', enum: ['celsius', 'fahrenheit'] },
		note: { type: 'string' },
	},
	['city', 'days'],
);
const MAIL = tool('sendMail', 'Sends a letter', { subject: { type: 'string' }, urgent: { type: 'boolean' } }, ['subject', 'urgent']);

/** The call that the demo makes, whole and streamed, which must be the same; undefined if it makes none. */
async function called(content, { tools = [MAIL, WEATHER], ...more } = {}) {
	const request = { model: 'demo', messages: user(content), tools, ...more };
	const whole = await demo.client.chat.completions.create(request);
	const chunks = await stream(request);
	const deltas = chunks.flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? []);
	const [choice] = whole.choices;
	const call = choice.message.tool_calls?.[0];
	assert.equal(choice.finish_reason, call ? 'tool_calls' : 'stop');
	assert.equal(chunks.at(-1).choices[0].finish_reason, choice.finish_reason);
	assert.equal(deltas.map((delta) => delta.function.arguments).join(''), call?.function.arguments ?? '');
	if (!call) {
		return undefined;
	}
	assert.equal(deltas[0].function.name, call.function.name);
	assert.match(deltas[0].id, /^call_/);
	assert.deepEqual(deltas.slice(1).map(({ id }) => id).filter(Boolean), []);
	return { name: call.function.name, ...JSON.parse(call.function.arguments) };
}

test('the demo calls the tool that fits, with arguments that fit its parameters', async () => {
	assert.deepEqual(await called('What will the weather be in New York for 3 days, in fahrenheit?'), {
		name: 'get_weather',
		city: 'New York',
		days: 3,
		unit: 'fahrenheit',
	});
	assert.deepEqual(await called('Send a mail about "late trains"'), { name: 'sendMail', subject: 'late trains', urgent: true });
});

test('the demo calls no tool when none fits or tool_choice is none', async () => {
	assert.equal(await called('Hello'), undefined);
	assert.equal(await called('What is the weather in Oslo?', { tool_choice: 'none' }), undefined);
	assert.equal(await called('What is the weather in Oslo?', { tools: [] }), undefined);
});

test('the demo calls what tool_choice demands', async () => {
	assert.equal((await called('Hello', { tool_choice: 'required' })).name, 'sendMail');
	assert.equal((await called('The weather in Oslo?', { tool_choice: 'required' })).name, 'get_weather');
	const named = { type: 'function', function: { name: 'get_weather' } };
	assert.deepEqual(await called('Hello', { tool_choice: named }), { name: 'get_weather', city: 'Hello', days: 0 });
	await assert.rejects(called('Hello', { tool_choice: { type: 'function', function: { name: 'other' } } }), { status: 400 });
	await assert.rejects(called('Hello', { tools: [], tool_choice: 'required' }), { status: 400 });
});

test('the demo answers from what a tool gave', async () => {
	const call = { id: 'call_1', type: 'function', function: { name: 'get_weather', arguments: '{"city":"Oslo"}' } };
	const messages = [
		...user('What is the weather in Oslo?'),
		{ role: 'assistant', content: null, tool_calls: [call] },
		{ role: 'tool', tool_call_id: 'call_1', content: '{"sky":"clear","degrees":7}' },
	];
	const { choices } = await demo.client.chat.completions.create({ model: 'demo', messages, tools: [WEATHER] });
	assert.equal(choices[0].message.content, 'The tool get_weather says: \n\n- sky: clear\n- degrees: 7');
});

test('the demo refuses what it cannot read, with a plain error', async () => {
	const post = (body) => fetch(`${demo.url}/chat/completions`, { method: 'POST', body });
	for (const [body, complaint] of [
		['{', /byte/],
		['[]', /object/],
		['{"messages":[]}', /at least one/],
		['{"messages":[{"role":"bard","content":"x"}]}', /messages\[0\]\.role/],
		['{"messages":[{"role":"user","content":"x"}],"max_tokens":0}', /max_tokens/],
		['{"messages":[{"role":"user","content":"x"}],"tools":{}}', /tools/],
	]) {
		const answer = await post(body);
		assert.equal(answer.status, 400, body);
		assert.match((await answer.json()).error.message, complaint);
	}
	assert.equal((await fetch(`${demo.url}/nothing`)).status, 404);
	assert.equal((await fetch(`${demo.url}/chat/completions`)).status, 405);
	assert.equal((await post('x'.repeat(5 << 20))).status, 413);
	assert.equal(await ask('count to 2'), '1, 2', 'and lives on');
});

test('the demo speaks at the pace it was given', async () => {
	const slow = await start('-s', '50');
	const began = performance.now();
	const events = await slow.client.chat.completions.create({ model: 'demo', stream: true, messages: user('count to 25') });
	let text = '';
	for await (const chunk of events) {
		text += chunk.choices[0]?.delta.content ?? '';
	}
	assert.match(text, /, 25$/);
	assert.ok(performance.now() - began >= 450, 'twenty-five words at fifty a second take half a second');
	await slow.stop();
});

test('the demo gives up an answer whose reader has left, and lives on', async () => {
	const slow = await start('-s', '20');
	const events = await slow.client.chat.completions.create({ model: 'demo', stream: true, messages: user('Tell me a story of 9000 words') });
	for await (const chunk of events) {
		if (chunk.choices[0]?.delta.content) {
			break; // leaving the loop closes the connection
		}
	}
	assert.equal((await slow.client.models.list()).data.length, 1);
	await slow.stop();
});
