// Items in: every kind and every part, over both transports, judged by what the model's server is really shown.
import assert from 'node:assert/strict';
import { calls, transports } from '../lib/ask.js';
import { startServer } from '../lib/server.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { reply } from '../lib/upstream.js';

let other; // the key of another user
const stage = setup({}, async ({ server }) => {
	other = await server.createKey('bob');
});

const overHttp = (request) => transports.HTTP(stage, request);

/** The response, which must be had. */
async function answered(request, ask = overHttp) {
	const outcome = await ask(request);
	assert.equal(outcome.status, 200, JSON.stringify(outcome.error));
	return outcome.response;
}

const lastMessages = () => stage.upstream.requests.at(-1).body.messages;
const get = async (target, options) => (await stage.fetch(target, options)).json();
const user = (content) => ({ role: 'user', content });
const base64 = (text) => Buffer.from(text).toString('base64');
const PIXEL = 'data:image/png;base64,iVBORw0KGgo=';

const message = (role, content, more) => ({ type: 'message', role, content, ...more });
const part = (type, more) => ({ type, ...more });
const call = (id, name, args) => ({ id, type: 'function', function: { name, arguments: args } });
const functionCall = (call_id, name, args, more) => ({ type: 'function_call', call_id, name, arguments: args, ...more });
const output = (call_id, value, more) => ({ type: 'function_call_output', call_id, output: value, ...more });

// What it is, the input, the messages that the model's server gets.
const SHOWN = [
	['a text', 'hello', [user('hello')]],
	['a message without a type', [{ role: 'user', content: 'hello' }], [user('hello')]],
	[
		'every role, developer as system',
		[message('system', 'be kind'), message('developer', 'be brief'), message('user', 'hi'), message('assistant', 'ho'), message('user', 'so?')],
		[{ role: 'system', content: 'be kind' }, { role: 'system', content: 'be brief' }, user('hi'), { role: 'assistant', content: 'ho' }, user('so?')],
	],
	['text in parts, joined', [message('user', [part('input_text', { text: 'one ' }), part('input_text', { text: 'two' })])], [user('one two')]],
	[
		'a message of the assistant with a phase, an annotation and logprobs',
		[
			message('assistant', [part('output_text', { text: 'looking', annotations: [], logprobs: [] })], { id: 'msg_1', status: 'completed', phase: 'commentary' }),
			message('user', 'go on'),
		],
		[{ role: 'assistant', content: 'looking' }, user('go on')],
	],
	[
		'a refusal, as words',
		[message('user', 'a bomb'), message('assistant', [part('refusal', { refusal: 'I will not.' })]), message('user', 'a cake then')],
		[user('a bomb'), { role: 'assistant', content: 'I will not.' }, user('a cake then')],
	],
	[
		'images: a data URL, a URL, a detail',
		[
			message('user', [
				part('input_text', { text: 'compare' }),
				part('input_image', { image_url: PIXEL }),
				part('input_image', { image_url: 'https://images.test/a.png', detail: 'low' }),
			]),
		],
		[
			user([
				{ type: 'text', text: 'compare' },
				{ type: 'image_url', image_url: { url: PIXEL } },
				{ type: 'image_url', image_url: { url: 'https://images.test/a.png', detail: 'low' } },
			]),
		],
	],
	[
		'text files, unpacked',
		[
			message('user', [
				part('input_file', { filename: 'a.txt', file_data: `data:text/plain;base64,${base64('alpha ü')}` }),
				part('input_file', { filename: 'b.json', file_data: `data:application/json;base64,${base64('{"b":1}')}` }),
				part('input_file', { filename: 'c.md', file_data: base64('# bare') }),
				part('input_file', { file_data: base64('nameless') }),
			]),
		],
		[user('File a.txt:\n\nalpha üFile b.json:\n\n{"b":1}File c.md:\n\n# bareFile without a name:\n\nnameless')],
	],
	[
		'a function call and its output',
		[message('user', 'weather?'), functionCall('call_1', 'weather', '{"in":"Rome"}'), output('call_1', 'sunny')],
		[
			user('weather?'),
			{ role: 'assistant', content: null, tool_calls: [call('call_1', 'weather', '{"in":"Rome"}')] },
			{ role: 'tool', tool_call_id: 'call_1', content: 'sunny' },
		],
	],
	[
		'an output of parts',
		[
			message('user', 'look'),
			functionCall('call_1', 'look', '{}'),
			output('call_1', [part('input_text', { text: 'seen: ' }), part('input_image', { image_url: PIXEL }), part('input_file', { filename: 'l.txt', file_data: base64('log') })]),
		],
		[
			user('look'),
			{ role: 'assistant', content: null, tool_calls: [call('call_1', 'look', '{}')] },
			{
				role: 'tool',
				tool_call_id: 'call_1',
				content: [
					{ type: 'text', text: 'seen: ' },
					{ type: 'image_url', image_url: { url: PIXEL } },
					{ type: 'text', text: 'File l.txt:\n\nlog' },
				],
			},
		],
	],
	[
		'reasoning, a message and two calls as one message of the assistant, then their outputs',
		[
			message('user', 'both?'),
			{ type: 'reasoning', id: 'rs_1', summary: [], content: [part('reasoning_text', { text: 'I need two. ' })] },
			message('assistant', 'Looking.', { phase: 'commentary' }),
			functionCall('call_1', 'weather', '{"in":"Rome"}'),
			functionCall('call_2', 'weather', '{"in":"Oslo"}'),
			output('call_1', 'sunny'),
			output('call_2', 'snow'),
		],
		[
			user('both?'),
			{
				role: 'assistant',
				content: 'Looking.',
				reasoning_content: 'I need two. ',
				tool_calls: [call('call_1', 'weather', '{"in":"Rome"}'), call('call_2', 'weather', '{"in":"Oslo"}')],
			},
			{ role: 'tool', tool_call_id: 'call_1', content: 'sunny' },
			{ role: 'tool', tool_call_id: 'call_2', content: 'snow' },
		],
	],
	[
		'reasoning in two items, as one thought',
		[
			message('user', 'think twice'),
			{ type: 'reasoning', id: 'rs_1', summary: [], content: [part('reasoning_text', { text: 'once, ' })] },
			{ type: 'reasoning', id: 'rs_2', summary: [], content: [part('reasoning_text', { text: 'twice' })] },
			functionCall('call_1', 'f', '{}'),
			output('call_1', 'done'),
		],
		[
			user('think twice'),
			{ role: 'assistant', content: null, reasoning_content: 'once, twice', tool_calls: [call('call_1', 'f', '{}')] },
			{ role: 'tool', tool_call_id: 'call_1', content: 'done' },
		],
	],
	[
		'reasoning alone, of a turn that was cut off, not at all',
		[message('user', 'q'), { type: 'reasoning', id: 'rs_1', summary: [], content: [part('reasoning_text', { text: 'hm' })] }, message('developer', 'go on')],
		[user('q'), { role: 'system', content: 'go on' }],
	],
	[
		'reasoning from before the last question not at all',
		[
			message('user', 'first'),
			{ type: 'reasoning', id: 'rs_1', summary: [part('summary_text', { text: 'short' })], content: [part('reasoning_text', { text: 'old' })] },
			message('assistant', 'answer'),
			message('user', 'second'),
		],
		[user('first'), { role: 'assistant', content: 'answer' }, user('second')],
	],
	[
		'calls of two rounds, each with its output, as two messages',
		[message('user', 'q'), functionCall('call_1', 'f', '{}'), output('call_1', 'a'), functionCall('call_2', 'f', '{}'), output('call_2', 'b'), message('assistant', 'c'), message('user', 'd')],
		[
			user('q'),
			{ role: 'assistant', content: null, tool_calls: [call('call_1', 'f', '{}')] },
			{ role: 'tool', tool_call_id: 'call_1', content: 'a' },
			{ role: 'assistant', content: null, tool_calls: [call('call_2', 'f', '{}')] },
			{ role: 'tool', tool_call_id: 'call_2', content: 'b' },
			{ role: 'assistant', content: 'c' },
			user('d'),
		],
	],
	['items of a vendor not at all', [{ type: 'acme:note', id: 'note_1', nested: { a: [1, 2.5, null] } }, message('user', 'hello')], [user('hello')]],
];

for (const [name, ask] of Object.entries(transports)) {
	for (const [what, input, messages] of SHOWN) {
		test(`over ${name} the model is shown ${what}`, async () => {
			await answered({ input, store: false }, (request) => ask(stage, request));
			assert.deepEqual(lastMessages(), messages);
		});
	}
}

for (const [what, input, messages] of SHOWN) {
	test(`a stored turn is shown again: ${what}`, async () => {
		const first = await answered({ input });
		await answered({ input: 'and next', previous_response_id: first.id });
		// What the model thought before the user last spoke is of no use any more.
		const kept = messages.map(({ reasoning_content: _, ...rest }) => rest);
		const said = { role: 'assistant', content: first.output[0].content[0].text };
		assert.deepEqual(lastMessages(), [...kept, said, user('and next')]);
	});
}

// --- what is kept ----------------------------------------------------------------------------------------------------

test('every item is returned as it was sent: input items, conversation items, also after a restart', async () => {
	const input = [
		message('developer', [part('input_text', { text: 'be brief' })], { id: 'msg_dev', status: 'completed' }),
		message('assistant', [part('output_text', { text: 'hm', annotations: [], logprobs: [] })], { id: 'msg_hm', status: 'completed', phase: 'commentary' }),
		message('assistant', [part('output_text', { text: 'so', annotations: [], logprobs: [] })], { id: 'msg_so', status: 'incomplete', phase: 'final_answer' }),
		message('assistant', [part('refusal', { refusal: 'no' })], { id: 'msg_no', status: 'completed' }),
		message(
			'user',
			[
				part('input_text', { text: 'see' }),
				part('input_image', { image_url: PIXEL, detail: 'high' }),
				part('input_file', { filename: 'a.txt', file_data: `data:text/plain;base64,${base64('alpha')}` }),
			],
			{ id: 'msg_see', status: 'completed' },
		),
		{ type: 'reasoning', id: 'rs_r', summary: [part('summary_text', { text: 'short' })], content: [part('reasoning_text', { text: 'long' })] },
		functionCall('call_r', 'f', '{"a":1}', { id: 'fc_r', status: 'completed' }),
		output('call_r', [part('input_text', { text: 'done' })], { id: 'fco_r', status: 'completed' }),
		functionCall('call_s', 'f', '{}', { id: 'fc_s', status: 'completed' }),
		output('call_s', 'text', { id: 'fco_s', status: 'completed' }),
		{ type: 'acme:note', id: 'note_r', nested: { a: [1, 2.5, null, 'ü'] }, 'odd key "': true },
	];
	const first = await answered({ input });
	const check = async () => {
		const asked = await get(`/v1/responses/${first.id}/input_items?order=asc`);
		assert.deepEqual(asked.data, input);
		const kept = await get(`/v1/conversations/${first.conversation.id}/items`);
		const plain = kept.data.map(({ 'sluice:response_id': _, ...item }) => item);
		assert.deepEqual(plain, [...input, ...first.output]);
		const one = await get(`/v1/conversations/${first.conversation.id}/items/note_r`);
		delete one['sluice:response_id'];
		assert.deepEqual(one, input.at(-1));
	};
	await check();
	await stage.server.restart();
	await check();
});

// --- refused, by name --------------------------------------------------------------------------------------------------

const PDF = base64('%PDF-1.4\n%\u0000\u0001binary');
const inside = (...parts) => [message('user', 'before'), message('user', [part('input_text', { text: 'x' }), ...parts])];

const REFUSED = [
	[inside(part('input_file', { filename: 'a.pdf', file_data: `data:application/pdf;base64,${PDF}` })), 'unsupported_parameter', 'input[1].content[1]'],
	[inside(part('input_file', { file_data: PDF })), 'unsupported_parameter', 'input[1].content[1]'],
	[[message('user', 'q'), functionCall('c', 'f', '{}'), output('c', [part('input_video', { video_url: 'https://v.test/a.mp4' })])], 'unsupported_parameter', 'input[2].output[0]'],
	[inside(part('input_file', { file_id: 'file_1' })), 'unsupported_parameter', 'input[1].content[1].file_id'],
	[inside(part('input_file', { file_url: 'https://f.test/a' })), 'unsupported_parameter', 'input[1].content[1].file_url'],
	[inside(part('input_file', { filename: 'a' })), 'missing_required_parameter', 'input[1].content[1].file_data'],
	[inside(part('input_file', { file_data: '!!' })), 'invalid_value', 'input[1].content[1].file_data'],
	[inside(part('input_image', { image_url: 'ftp://a.test/x' })), 'invalid_value', 'input[1].content[1].image_url'],
	[inside(part('input_image', { image_url: PIXEL, detail: 'huge' })), 'invalid_value', 'input[1].content[1].detail'],
	[inside(part('input_image', { file_id: 'file_1' })), 'unsupported_parameter', 'input[1].content[1].file_id'],
	[inside(part('input_audio', {})), 'unsupported_parameter', 'input[1].content[1].type'],
	[inside(part('output_text', { text: 'x' })), 'invalid_value', 'input[1].content[1].type'],
	[[message('user', 'x', { phase: 'commentary' })], 'invalid_value', 'input[0].phase'],
	[[message('assistant', 'x', { phase: 'later' })], 'invalid_value', 'input[0].phase'],
	[[{ type: 'web_search_call', id: 'ws_1' }], 'unsupported_parameter', 'input[0].type'],
	[[{ type: 'nonsense' }], 'invalid_value', 'input[0].type'],
	[[{ type: 'function_call', name: 'f', arguments: '{}' }], 'missing_required_parameter', 'input[0].call_id'],
	[[functionCall('c', 'not a name', '{}')], 'invalid_value', 'input[0].name'],
	[[{ type: 'function_call_output', call_id: 'c' }], 'missing_required_parameter', 'input[0].output'],
	[[{ type: 'reasoning', id: 'rs_1' }], 'missing_required_parameter', 'input[0].summary'],
	[[{ type: 'compaction', encrypted_content: 'made up' }], 'invalid_value', 'input[0].encrypted_content'],
	[[{ type: 'acme:note', id: 'note_alone' }], 'invalid_value', 'input'],
	[[{ type: 'reasoning', summary: [], content: [part('reasoning_text', { text: 'alone' })] }], 'invalid_value', 'input'],
	[[functionCall('c', 'f', '{"cut', { status: 'incomplete' })], 'invalid_value', 'input'],
	[[message('user', 'x'), { type: 'item_reference', id: 'msg_unknown' }], 'item_not_found', 'input[1].id'],
	[[{ id: 'msg_unknown' }], 'item_not_found', 'input[0].id'],
];

for (const [name, ask] of Object.entries(transports)) {
	for (const [input, code, param] of REFUSED) {
		const shown = JSON.stringify(input.at(-1)).slice(0, 90);
		test(`over ${name} ${shown} is ${code} of ${param}, and the model hears of nothing`, async () => {
			const before = stage.upstream.requests.length;
			const { status, error } = await ask(stage, { input });
			assert.deepEqual([status, error?.code, error?.param], [code === 'item_not_found' ? 404 : 400, code, param]);
			assert.equal(stage.upstream.requests.length, before);
		});
	}
}

test('what upstreams are declared to take decides: files, images, tools, reasoning', async () => {
	const server = await startServer({ upstream: stage.upstream, settings: { upstream: { files: 'yes', images: 'no', tools: 'no', reasoning: 'no' } } });
	try {
		const key = await server.createKey('ada');
		const post = async (body) => {
			const answer = await server.fetch('/v1/responses', { key, body });
			return { status: answer.status, body: await answer.json() };
		};
		const pdf = `data:application/pdf;base64,${PDF}`;
		const taken = await post({ input: inside(part('input_file', { filename: 'a.pdf', file_data: pdf })) });
		assert.equal(taken.status, 200, JSON.stringify(taken.body));
		assert.deepEqual(lastMessages()[1].content, [
			{ type: 'text', text: 'x' },
			{ type: 'file', file: { filename: 'a.pdf', file_data: pdf } },
		]);
		for (const [request, param] of [
			[{ input: inside(part('input_image', { image_url: PIXEL })) }, 'input[1].content[1]'],
			[{ input: 'x', tools: [{ type: 'function', name: 'f', parameters: null, strict: null }] }, 'tools'],
			[{ input: 'x', reasoning: { effort: 'low' } }, 'reasoning.effort'],
		]) {
			const { status, body } = await post(request);
			assert.deepEqual([status, body.error?.code, body.error?.param], [400, 'unsupported_parameter', param]);
		}
		// Reasoning of another model does no harm: it is only not shown.
		const { status } = await post({ input: [message('user', 'q'), { type: 'reasoning', summary: [], content: [part('reasoning_text', { text: 'r' })] }, functionCall('c', 'f', '{}'), output('c', 'o')] });
		assert.equal(status, 200);
		assert.equal(lastMessages()[1].reasoning_content, undefined);
	} finally {
		await server.stop();
		await server.remove();
	}
});

test('an earlier item that the model cannot be shown is blamed on the field through which it came', async () => {
	const items = inside(part('input_file', { filename: 'a.pdf', file_data: `data:application/pdf;base64,${PDF}` }));
	const conversation = await get('/v1/conversations', { body: { items } });
	const by = async (field, value) => {
		const { status, error } = await overHttp({ input: 'x', [field]: value });
		assert.deepEqual([status, error?.code, error?.param], [400, 'unsupported_parameter', field]);
	};
	await by('conversation', conversation.id);
	const { data } = await get('/v1/conversations?limit=1');
	assert.equal(data[0].id, conversation.id);
	await by('previous_response_id', data[0].last_response_id);
});

// --- references --------------------------------------------------------------------------------------------------------

for (const [name, ask] of Object.entries(transports)) {
	test(`over ${name} an item_reference stands for an item of an earlier response`, async () => {
		const first = await answered({ input: 'to be named later' });
		const [item] = first.output;
		const asked = await get(`/v1/responses/${first.id}/input_items`);
		const input = [{ type: 'item_reference', id: asked.data[0].id }, { id: item.id }, message('user', 'as was said')];
		const second = await answered({ input }, (request) => ask(stage, request));
		assert.deepEqual(lastMessages(), [user('to be named later'), { role: 'assistant', content: 'You said: to be named later' }, user('as was said')]);
		const kept = await get(`/v1/responses/${second.id}/input_items?order=asc`);
		assert.deepEqual(kept.data.slice(0, 2), [asked.data[0], item]);
		// The newer conversation goes, the item of the older one stays.
		await stage.fetch(`/v1/conversations/${second.conversation.id}`, { method: 'DELETE' });
		await answered({ input: [{ type: 'item_reference', id: item.id }, message('user', 'again')] });
		assert.equal(lastMessages()[0].content, 'You said: to be named later');
	});

	test(`over ${name} a reference to what is shown anyway is refused, whether it is of the chain or of the same input`, async () => {
		const first = await answered({ input: 'in the chain' });
		const { id } = first.output[0];
		const chained = await ask(stage, { input: [message('user', 'x'), { type: 'item_reference', id }], previous_response_id: first.id });
		assert.deepEqual([chained.status, chained.error?.code, chained.error?.param], [400, 'invalid_value', 'input[1].id']);
		const twice = await ask(stage, { input: [{ type: 'item_reference', id }, message('user', 'x'), { type: 'item_reference', id }] });
		assert.deepEqual([twice.status, twice.error?.code, twice.error?.param], [400, 'invalid_value', 'input[2].id']);
	});
}

test("another user's item, and one that was not stored, is not found", async () => {
	const first = await answered({ input: 'mine' });
	const theirs = await stage.fetch('/v1/responses', { key: other, body: { input: [{ type: 'item_reference', id: first.output[0].id }] } });
	assert.equal(theirs.status, 404);
	assert.deepEqual((({ code, param }) => [code, param])((await theirs.json()).error), ['item_not_found', 'input[0].id']);
	const unstored = await answered({ input: 'nowhere', store: false });
	const { status, error } = await overHttp({ input: [{ type: 'item_reference', id: unstored.output[0].id }] });
	assert.deepEqual([status, error.code], [404, 'item_not_found']);
});

test('a reference keeps its place between the items, whatever kind it stands for', async () => {
	stage.upstream.queue(calls([{ id: 'call_k', name: 'f', arguments: '{"k":1}' }], { text: 'Calling.' }));
	const first = await answered({ input: 'call f', tools: [{ type: 'function', name: 'f', parameters: {}, strict: false }] });
	const [said, called] = first.output;
	await answered({ input: [message('user', 'q'), { type: 'item_reference', id: said.id }, { type: 'item_reference', id: called.id }, output('call_k', 'v')] });
	assert.deepEqual(lastMessages(), [
		user('q'),
		{ role: 'assistant', content: 'Calling.', tool_calls: [call('call_k', 'f', '{"k":1}')] },
		{ role: 'tool', tool_call_id: 'call_k', content: 'v' },
	]);
});

// --- output as input -----------------------------------------------------------------------------------------------------

const TOOLS = [{ type: 'function', name: 'weather', parameters: { type: 'object', properties: {} }, strict: false }];
const TWO = [
	{ id: 'call_rome', name: 'weather', arguments: '{"in":"Rome"}' },
	{ id: 'call_oslo', name: 'weather', arguments: '{"in":"Oslo"}' },
];

for (const store of [true, false]) {
	for (const include of [[], ['reasoning.encrypted_content']]) {
		test(`the output of a response is the input of the next, whole (store: ${store}, include: ${include})`, async () => {
			stage.upstream.queue(calls(TWO, { text: 'Looking.', reasoning: 'Two towns.' }));
			const question = message('user', 'both towns');
			const first = await answered({ input: [question], tools: TOOLS, store, include });
			assert.deepEqual(first.output.map(({ type }) => type), ['reasoning', 'message', 'function_call', 'function_call']);
			const outputs = [output('call_rome', 'sunny'), output('call_oslo', 'snow')];
			await answered({ input: [question, ...first.output, ...outputs], tools: TOOLS, store, include });
			assert.deepEqual(lastMessages(), [
				user('both towns'),
				{
					role: 'assistant',
					content: 'Looking.',
					reasoning_content: 'Two towns.',
					tool_calls: TWO.map(({ id, name, arguments: args }) => call(id, name, args)),
				},
				{ role: 'tool', tool_call_id: 'call_rome', content: 'sunny' },
				{ role: 'tool', tool_call_id: 'call_oslo', content: 'snow' },
			]);
		});
	}
}

test('what only this server can read of reasoning is shown to the model, and to nobody else', async () => {
	stage.upstream.queue(calls(TWO.slice(0, 1), { reasoning: 'A secret thought.' }));
	const include = ['reasoning.encrypted_content'];
	const first = await answered({ input: 'one town', tools: TOOLS, store: false, include });
	const { content: _, ...sealed } = first.output[0];
	assert.match(sealed.encrypted_content, /^\S{20,}$/);
	const input = [message('user', 'one town'), sealed, first.output[1], output('call_rome', 'sunny')];
	await answered({ input, tools: TOOLS, store: false, include });
	assert.equal(lastMessages()[1].reasoning_content, 'A secret thought.');
	const theirs = await stage.fetch('/v1/responses', { key: other, body: { input, tools: TOOLS, store: false } });
	assert.equal(theirs.status, 400);
	assert.equal((await theirs.json()).error.param, 'input[1].encrypted_content');
});

test('previous_response_id after function calls: outputs alone are an input', async () => {
	stage.upstream.queue(calls(TWO, { reasoning: 'Two towns.' }));
	const first = await answered({ input: 'both again', tools: TOOLS });
	await answered({ previous_response_id: first.id, input: [output('call_rome', 'sunny'), output('call_oslo', 'snow')], tools: TOOLS });
	assert.deepEqual(lastMessages(), [
		user('both again'),
		{ role: 'assistant', content: null, reasoning_content: 'Two towns.', tool_calls: TWO.map(({ id, name, arguments: args }) => call(id, name, args)) },
		{ role: 'tool', tool_call_id: 'call_rome', content: 'sunny' },
		{ role: 'tool', tool_call_id: 'call_oslo', content: 'snow' },
	]);
});

test('store: false on one socket: what the model called is remembered there, outputs alone go on', async () => {
	stage.upstream.queue(calls(TWO, { text: 'Looking.', reasoning: 'Two towns.' }));
	const chat = await stage.chat();
	const turn = async (request) => {
		const from = chat.events.length;
		chat.send({ type: 'response.create', store: false, tools: TOOLS, ...request });
		return (await chat.type('response.completed', { from })).response;
	};
	const first = await turn({ input: 'on this socket' });
	await turn({ previous_response_id: first.id, input: [output('call_rome', 'sunny'), output('call_oslo', '')] });
	chat.drop();
	assert.deepEqual(lastMessages(), [
		user('on this socket'),
		{
			role: 'assistant',
			content: 'Looking.',
			reasoning_content: 'Two towns.',
			tool_calls: TWO.map(({ id, name, arguments: args }) => call(id, name, args)),
		},
		{ role: 'tool', tool_call_id: 'call_rome', content: 'sunny' },
		{ role: 'tool', tool_call_id: 'call_oslo', content: '' },
	]);
});

test('who watches a conversation is told the items that were asked, whole', async () => {
	const { id: conversation } = await get('/v1/conversations', { body: {} });
	const chat = await stage.chat();
	chat.send({ type: 'sluice:conversation.subscribe', conversation });
	await chat.type('sluice:conversation.subscribed');
	const first = await answered({ input: 'to be referred to' });
	const input = [
		message('assistant', [part('output_text', { text: 'hm', annotations: [], logprobs: [] })], { id: 'msg_w', status: 'completed', phase: 'commentary' }),
		functionCall('call_w', 'f', '{}', { id: 'fc_w', status: 'completed' }),
		output('call_w', [part('input_image', { image_url: PIXEL, detail: 'auto' })], { id: 'fco_w', status: 'completed' }),
		{ type: 'acme:note', id: 'note_w', text: 'ü' },
	];
	await answered({ input: [...input, { type: 'item_reference', id: first.output[0].id }], conversation });
	const told = await chat.type('sluice:conversation.turn');
	assert.deepEqual(told.input, [...input, first.output[0]]);
	chat.drop();
});

// --- turns that went wrong -------------------------------------------------------------------------------------------------

test('a conversation goes on over a failed turn and over one that was cancelled in mid-word', async () => {
	const first = await answered({ input: 'well' });
	stage.upstream.queue(reply.fails(400));
	const failed = await stage.fetch('/v1/responses', { body: { input: 'badly', previous_response_id: first.id } });
	assert.equal(failed.status, 400);
	const { data } = await get('/v1/conversations?limit=1');
	const failure = await get(`/v1/responses/${data[0].last_response_id}`);
	assert.equal(failure.status, 'failed');
	stage.upstream.on('cut short', reply.stalls('half a'));
	const chat = await stage.chat();
	const turn = chat.begin({ input: 'cut short', previous_response_id: failure.id });
	await chat.type('response.output_text.delta', { from: turn.from });
	chat.send({ type: 'response.cancel' });
	const { response } = await turn.end;
	chat.drop();
	await answered({ input: 'and now', previous_response_id: response.id });
	assert.deepEqual(lastMessages(), [
		user('well'),
		{ role: 'assistant', content: 'You said: well' },
		user('badly'),
		user('cut short'),
		{ role: 'assistant', content: 'half a' },
		user('and now'),
	]);
});

test('a function call that was cut off in the middle is not shown again, a whole one before it is', async () => {
	stage.upstream.queue(async (x) => {
		const begun = (index, id) => ({ index, id, type: 'function', function: { name: 'weather', arguments: '' } });
		await x.write(x.event({ tool_calls: [begun(0, 'call_whole')] }));
		await x.write(x.event({ tool_calls: [{ index: 0, function: { arguments: '{}' } }] }));
		await x.write(x.event({ tool_calls: [begun(1, 'call_half')] }));
		await x.write(x.event({ tool_calls: [{ index: 1, function: { arguments: '{"in":' } }] }));
		await x.finish('length');
		await x.done();
	});
	const first = await answered({ input: 'too long', tools: TOOLS });
	assert.equal(first.status, 'incomplete');
	assert.deepEqual(first.output.map(({ status }) => status), ['completed', 'incomplete']);
	await answered({ previous_response_id: first.id, input: [output('call_whole', 'fine')], tools: TOOLS });
	assert.deepEqual(lastMessages(), [
		user('too long'),
		{ role: 'assistant', content: null, tool_calls: [call('call_whole', 'weather', '{}')] },
		{ role: 'tool', tool_call_id: 'call_whole', content: 'fine' },
	]);
});
