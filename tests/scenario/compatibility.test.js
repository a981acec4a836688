// docs/compatibility.md: every row of it is tried. A passed-through field reaches the model's server, a refused one is refused
// with the code and param that stand there, and /openapi.json says the same of each.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { checkError } from '../lib/check.js';
import { fits, openapi } from '../lib/schema.js';
import { setup } from '../lib/setup.js';
import { test } from '../lib/test.js';

const stage = setup();
const text = await readFile(fileURLToPath(new URL('../../docs/compatibility.md', import.meta.url)), 'utf8');

/** The rows of a table of the document: [field, verdict, detail]. */
function rows(table) {
	const [, block] = new RegExp(`<!-- ${table}:begin -->\n(.*?)\n<!-- ${table}:end -->`, 's').exec(text);
	const lines = block.split('\n').slice(2);
	return lines.map((line) => line.slice(2, -1).split(' | ').map((cell) => cell.trim()));
}

const FUNCTION = { type: 'function', name: 'look', description: 'Looks.', parameters: { type: 'object' }, strict: true };
const SCHEMA = { type: 'object', properties: { a: { type: 'number' } } };
const PNG = 'data:image/png;base64,iVBORw0KGgo=';
const [HELLO, PDF] = [`data:text/plain;base64,${btoa('Hello file')}`, `data:application/pdf;base64,${btoa('%PDF-1.7\0')}`];

const user = (...content) => ({ role: 'user', content });
const says = (content) => ({ type: 'message', role: 'assistant', content });
const CALL = { type: 'function_call', call_id: 'call_1', name: 'look', arguments: '{}' };
const output = (more) => ({ type: 'function_call_output', call_id: 'call_1', output: more });
const last = (body) => body.messages.at(-1);

/**
 * By the first cell of its row: `send` in the request beside an input, or a list of what is tried one after another; `seen` of
 * the upstream's request body; `shown` of the response; `static: false` where only the server can know.
 */
const REQUEST = {
	'`model`': { send: { model: 'fake-large' }, seen: ({ model }) => model === 'fake-large' },
	'`input`: a text': { send: { input: 'a text' }, seen: (body) => last(body).content === 'a text' },
	'`input`: items': { send: { input: [user({ type: 'input_text', text: 'an item' })] }, seen: (body) => last(body).content === 'an item' },
	'`instructions`': {
		send: { instructions: 'Be brief.' },
		seen: ({ messages: [{ role, content }] }) => role === 'system' && content === 'Be brief.',
	},
	'`previous_response_id`': {
		send: async () => ({ previous_response_id: (await ask({ input: 'before' })).id }),
		seen: ({ messages }) => messages[0].content === 'before',
	},
	'`conversation`': {
		send: async () => [
			{ conversation: (await ask({ input: 'before' })).conversation.id },
			{ conversation: { id: (await ask({ input: 'before' })).conversation.id } },
		],
		seen: ({ messages }) => messages[0].content === 'before',
	},
	'`store`': { send: { store: false }, shown: ({ store, conversation }) => store === false && conversation === null },
	'`metadata`': { send: { metadata: { a: 'b' } }, shown: ({ metadata }) => metadata.a === 'b' },
	'`stream`': { send: [{ stream: false }, { stream: true }] },
	'`stream_options.include_obfuscation`': {
		send: [
			{ stream: true, stream_options: { include_obfuscation: true } },
			{ stream: true, stream_options: { include_obfuscation: false } },
		],
	},
	'`background`': { send: { background: true }, shown: ({ background }) => background === true },
	'`truncation`': { send: { truncation: 'auto' }, shown: ({ truncation }) => truncation === 'auto' },
	'`max_output_tokens`': { send: { max_output_tokens: 17 }, seen: (body) => body.max_tokens === 17 },
	'`temperature`': { send: { temperature: 0.5 }, seen: ({ temperature }) => temperature === 0.5 },
	'`top_p`': { send: { top_p: 0.5 }, seen: ({ top_p: p }) => p === 0.5 },
	'`presence_penalty`': { send: { presence_penalty: 0.5 }, seen: (body) => body.presence_penalty === 0.5 },
	'`frequency_penalty`': { send: { frequency_penalty: -0.5 }, seen: (body) => body.frequency_penalty === -0.5 },
	'`top_logprobs`': {
		send: { top_logprobs: 3, include: ['message.output_text.logprobs'] },
		seen: (body) => body.top_logprobs === 3,
	},
	'`include`: `message.output_text.logprobs`': {
		send: { include: ['message.output_text.logprobs'] },
		seen: ({ logprobs }) => logprobs === true,
	},
	'`include`: `reasoning.encrypted_content`': { send: { include: ['reasoning.encrypted_content'] } },
	'`include`: anything else': { send: { include: ['file_search_call.results'] } },
	'`tools`: `function`': {
		send: { tools: [FUNCTION] },
		seen: ({ tools: [{ function: { name } }] }) => name === 'look',
		shown: ({ tools }) => tools[0].name === 'look',
	},
	'`tools`: anything else': { send: [{ tools: [{ type: 'web_search' }] }, { tools: [{ type: 'mcp', server_label: 'a' }] }] },
	'`tool_choice`: `none`, `auto`, `required`': {
		send: ['none', 'auto', 'required'].map((choice) => ({ tools: [FUNCTION], tool_choice: choice })),
		seen: (body, { tool_choice: choice }) => body.tool_choice === choice,
		shown: (response, { tool_choice: choice }) => response.tool_choice === choice,
	},
	'`tool_choice`: a function': {
		send: { tools: [FUNCTION], tool_choice: { type: 'function', name: 'look' } },
		seen: (body) => body.tool_choice.function.name === 'look',
	},
	'`tool_choice`: `allowed_tools`': {
		send: { tools: [FUNCTION], tool_choice: { type: 'allowed_tools', tools: [{ type: 'function', name: 'look' }] } },
		shown: (response) => response.tool_choice.mode === 'auto',
	},
	'`tool_choice`: anything else': { send: { tool_choice: { type: 'web_search' } } },
	'`parallel_tool_calls`': {
		send: { tools: [FUNCTION], parallel_tool_calls: false },
		seen: (body) => body.parallel_tool_calls === false,
	},
	'`max_tool_calls`': { send: { max_tool_calls: 1 }, shown: (response) => response.max_tool_calls === 1 },
	'`text.format`: `text`': { send: { text: { format: { type: 'text' } } }, seen: (body) => body.response_format === undefined },
	'`text.format`: `json_object`': {
		send: { text: { format: { type: 'json_object' } } },
		seen: (body) => body.response_format.type === 'json_object',
	},
	'`text.format`: `json_schema`': {
		send: [
			{ text: { format: { type: 'json_schema', name: 'a', schema: SCHEMA } } },
			{ text: { format: { type: 'json_schema', name: 'a', schema: SCHEMA, strict: true, description: 'b' } } },
		],
		seen: ({ response_format: { json_schema: schema } }) => schema.schema.properties.a.type === 'number',
	},
	'`text.verbosity`': { send: { text: { verbosity: 'low' } }, seen: ({ verbosity }) => verbosity === 'low' },
	'`reasoning.effort`': { send: { reasoning: { effort: 'low' } }, seen: (body) => body.reasoning_effort === 'low' },
	'`reasoning.summary`: `auto`': {
		send: { reasoning: { summary: 'auto' } },
		shown: ({ reasoning }) => reasoning.summary === 'auto',
	},
	'`reasoning.summary`: `concise`, `detailed`': {
		send: [{ reasoning: { summary: 'concise' } }, { reasoning: { summary: 'detailed' } }],
	},
	'`service_tier`: `auto`, `default`': {
		send: [{ service_tier: 'auto' }, { service_tier: 'default' }],
		seen: (body) => body.service_tier === undefined,
	},
	'`service_tier`: `flex`, `priority`': {
		send: [{ service_tier: 'flex' }, { service_tier: 'priority' }],
		seen: (body, { service_tier: tier }) => body.service_tier === tier,
	},
	'`safety_identifier`': { send: { safety_identifier: 'a' }, seen: (body) => body.safety_identifier === 'a' },
	'`prompt_cache_key`': { send: { prompt_cache_key: 'a' }, seen: (body) => body.prompt_cache_key === 'a' },
	'`client_metadata`': { send: { client_metadata: { turn_id: '' } }, seen: (body) => body.client_metadata === undefined },
	'`user`': { send: { user: 'a' } },
	'`prompt`': { send: { prompt: { id: 'a' } } },
	'`prompt_cache_retention`': { send: { prompt_cache_retention: '24h' } },
	'`context_management`': { send: { context_management: [{ type: 'compaction' }] } },
	'any other field': { send: { inptu: 'a' }, param: 'inptu' },
};

const item = (...input) => ({ send: { input } });
const ITEMS = {
	'`message` of `user`': { ...item({ role: 'user', content: 'a' }), seen: (body) => last(body).role === 'user' },
	'`message` of `system`, `developer`': {
		send: ['system', 'developer'].map((role) => ({ input: [{ role, content: 'a' }] })),
		seen: (body) => last(body).role === 'system',
	},
	'`message` of `assistant`': { ...item(says('a'), user({ type: 'input_text', text: 'b' })), seen: ({ messages: [{ role }] }) => role === 'assistant' },
	'`message.phase`': item({ ...says('a'), phase: 'commentary' }),
	'`input_text`, `output_text`': {
		...item(says([{ type: 'output_text', text: 'a' }]), user({ type: 'input_text', text: 'b' })),
		seen: ({ messages }) => messages.map(({ content }) => content).join() === 'a,b',
	},
	'`output_text.annotations`, `output_text.logprobs`': item(
		says([{ type: 'output_text', text: 'a', annotations: [], logprobs: [] }]),
		says([
			{
				type: 'output_text',
				text: 'a',
				annotations: [{ type: 'url_citation', url: 'https://a.example', start_index: 0, end_index: 1, title: 'A' }],
				logprobs: [{ token: 'a', logprob: -0.5, bytes: [97], top_logprobs: [] }],
			},
		]),
	),
	'`refusal`': { ...item(says([{ type: 'refusal', refusal: 'No.' }])), seen: (body) => last(body).content === 'No.' },
	'`input_image.image_url`': {
		send: [PNG, 'https://images.example/a.png'].map((url) => ({ input: [user({ type: 'input_image', image_url: url })] })),
		seen: (body, { input: [{ content }] }) => last(body).content[0].image_url.url === content[0].image_url,
	},
	'`input_image.detail`': {
		...item(user({ type: 'input_image', image_url: PNG, detail: 'low' })),
		seen: (body) => last(body).content[0].image_url.detail === 'low',
	},
	'`input_image.file_id`': item(user({ type: 'input_image', file_id: 'file_1' })),
	'`input_file.file_data`: text': {
		...item(user({ type: 'input_file', filename: 'a.txt', file_data: HELLO })),
		seen: (body) => last(body).content.includes('a.txt') && last(body).content.includes('Hello file'),
	},
	'`input_file.file_data`: another file': {
		...item(user({ type: 'input_file', filename: 'a.pdf', file_data: PDF })),
		static: false,
	},
	'`input_file.file_url`': item(user({ type: 'input_file', file_url: 'https://files.example/a.txt' })),
	'`input_file.file_id`': item(user({ type: 'input_file', file_id: 'file_1' })),
	'`input_audio`': item(user({ type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } })),
	'`function_call`': { ...item(CALL, output('a')), seen: ({ messages: [{ tool_calls: [call] }] }) => call.function.name === 'look' },
	'`function_call_output`: a text': {
		...item(CALL, output('a')),
		seen: (body) => last(body).role === 'tool' && last(body).content === 'a' && last(body).tool_call_id === 'call_1',
	},
	'`function_call_output`: parts': {
		...item(CALL, output([{ type: 'input_text', text: 'a' }])),
		seen: (body) => last(body).role === 'tool' && last(body).content === 'a',
	},
	'`reasoning`': {
		...item(
			user({ type: 'input_text', text: 'b' }),
			{ type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text: 'thought' }] },
			CALL,
			output('a'),
		),
		seen: (body) => JSON.stringify(body.messages).includes('thought'),
	},
	'`reasoning.encrypted_content`': {
		send: async () => {
			stage.upstream.on('sealed thought', async (x) => {
				await x.write(x.event({ reasoning_content: 'a secret thought' }));
				await x.say('said');
				await x.finish();
				await x.done();
			});
			const include = ['reasoning.encrypted_content'];
			const [thought] = (await ask({ input: 'sealed thought', store: false, include })).output;
			const { id, type, summary, encrypted_content: sealed } = thought;
			return { input: [user({ type: 'input_text', text: 'b' }), { id, type, summary, encrypted_content: sealed }, CALL, output('a')] };
		},
		seen: (body) => JSON.stringify(body.messages).includes('a secret thought'),
	},
	'`compaction`': {
		send: async () => {
			const first = await ask({ input: 'to be compacted' });
			const compacted = await stage.fetch('/v1/responses/compact', { body: { previous_response_id: first.id } });
			return { input: [...(await compacted.json()).output, user({ type: 'input_text', text: 'b' })] };
		},
		seen: ({ messages }) => messages.length === 2 && messages[0].content.includes('You said: '),
	},
	'`item_reference`': {
		send: async () => {
			const [{ id }] = (await ask({ input: 'to be referred to' })).output;
			return [{ input: [{ type: 'item_reference', id }] }, { input: [{ id }] }];
		},
		seen: (body) => last(body).content === 'You said: to be referred to',
	},
	'`vendor:name`': { ...item({ type: 'vendor:name', any: 1 }, user({ type: 'input_text', text: 'b' })), seen: ({ messages }) => messages.length === 1 },
	"items of OpenAI's hosted tools": item({ type: 'web_search_call', id: 'ws_1', status: 'completed' }),
};

async function ask(body) {
	const answer = await stage.fetch('/v1/responses', { body });
	assert.equal(answer.status, 200, await answer.clone().text());
	return answer.json();
}

async function checkRefused(body, row, { param, static: known = true }) {
	const [, , detail] = row;
	const [code, named] = [...detail.matchAll(/`([^`]+)`/g)].map(([, word]) => word);
	const answer = await stage.fetch('/v1/responses', { body });
	assert.equal(answer.status, 400, JSON.stringify(body));
	checkError(await answer.json(), { code, param: param ?? named });
	if (known) {
		assert.ok(!fits('CreateResponse', body), '/openapi.json refuses it too');
	}
}

async function checkTaken(body, { seen = () => true, shown = () => true }) {
	assert.ok(fits('CreateResponse', body), `/openapi.json takes it too: ${JSON.stringify(body)}`);
	const answer = await stage.fetch('/v1/responses', { body });
	const got = await answer.text();
	assert.equal(answer.status, 200, got);
	const asked = await stage.upstream.request('');
	if (!body.stream) {
		assert.ok(shown(JSON.parse(got), body), got);
	}
	assert.ok(seen(asked.body, body), asked.text);
}

for (const [table, cases] of [
	['request', REQUEST],
	['items', ITEMS],
]) {
	test(`${table}: every row is tried, and everything tried is a row`, () => {
		assert.deepEqual(rows(table).map(([field]) => field), Object.keys(cases));
	});
	for (const row of rows(table)) {
		const [field, verdict] = row;
		test(`${table}: ${field} is ${verdict}`, async () => {
			const tried = cases[field];
			const send = typeof tried.send === 'function' ? await tried.send() : tried.send;
			for (const more of [send].flat()) {
				stage.upstream.requests.length = 0;
				const body = { input: 'a', ...more };
				await (verdict === 'refused' ? checkRefused(body, row, tried) : checkTaken(body, tried));
			}
		});
	}
}

test('every field of a request is in the table', () => {
	const fields = Object.keys(openapi.components.schemas.CreateResponse.properties);
	const listed = rows('request').map(([field]) => /`([^`.]+)/.exec(field)?.[1]);
	// Of a WebSocket, and here for clients that send it.
	assert.deepEqual(fields.filter((field) => !listed.includes(field)), ['generate']);
});

test('what is said not to occur is not described', () => {
	const described = Object.keys(openapi.components.schemas.ServerMessage.discriminator.mapping);
	for (const [name] of rows('absent')) {
		assert.ok(!described.includes(name.replaceAll('`', '')), name);
	}
});
