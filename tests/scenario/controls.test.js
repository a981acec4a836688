// Controls: every setting reaches the model's server as it should, or is done here; the response object repeats it.
import assert from 'node:assert/strict';
import { calls, transports } from '../lib/ask.js';
import { checkStream } from '../lib/check.js';
import { openai } from '../lib/sdk.js';
import { startServer } from '../lib/server.js';
import { eventually, setup } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, reply } from '../lib/upstream.js';

let other; // the key of another user
const stage = setup({ settings: { limits: { unwatched_time: '50ms', max_unwatched: 3 } } }, async ({ server }) => {
	other = await server.createKey('bob');
});

const overHttp = (request) => transports.HTTP(stage, request);

async function answered(request, ask = overHttp) {
	const outcome = await ask(request);
	assert.equal(outcome.status, 200, JSON.stringify(outcome.error));
	return outcome.response;
}

const read = async (id) => (await stage.fetch(`/v1/responses/${id}`)).json();

/** What the model's server was sent beside what every request has. */
function sent() {
	const { model: _model, messages: _messages, stream, stream_options: usage, ...rest } = stage.upstream.requests.at(-1).body;
	assert.deepEqual([stream, usage], [true, { include_usage: true }]);
	return rest;
}

const SCHEMA = { type: 'object', properties: { a: { type: 'number' } }, required: ['a'], additionalProperties: false };
const tool = (name, more) => ({ type: 'function', name, description: null, parameters: null, strict: null, ...more });
const onWire = (name, more) => ({ type: 'function', function: { name, ...more } });
const FG = { tools: [tool('f'), tool('g')] };
const FG_WIRE = { tools: [onWire('f'), onWire('g')] };
const named = (name) => ({ type: 'function', name });
const allowed = (mode, ...names) => ({ type: 'allowed_tools', tools: names.map(named), ...(mode ? { mode } : {}) });
const PLAIN = { format: { type: 'text' } };

const DEFAULTS = {
	instructions: null,
	metadata: {},
	temperature: 1,
	top_p: 1,
	presence_penalty: 0,
	frequency_penalty: 0,
	top_logprobs: 0,
	max_output_tokens: null,
	max_tool_calls: null,
	safety_identifier: null,
	prompt_cache_key: null,
	tools: [],
	tool_choice: 'auto',
	parallel_tool_calls: true,
	text: PLAIN,
	reasoning: null,
	truncation: 'disabled',
	service_tier: 'default',
	background: false,
	store: true,
	previous_response_id: null,
	error: null,
	incomplete_details: null,
};

// What is asked, what the model's server gets, what the response repeats differently than it was asked.
const CONTROLS = [
	[{}, {}],
	[{ temperature: 0.25 }, { temperature: 0.25 }],
	[{ temperature: 0 }, { temperature: 0 }],
	[{ top_p: 0.5 }, { top_p: 0.5 }],
	[{ presence_penalty: -2 }, { presence_penalty: -2 }],
	[{ frequency_penalty: 1.5 }, { frequency_penalty: 1.5 }],
	[{ max_output_tokens: 16 }, { max_tokens: 16 }],
	[{ top_logprobs: 5 }, { logprobs: true, top_logprobs: 5 }],
	[{ top_logprobs: 0 }, {}],
	[{ include: ['message.output_text.logprobs'] }, { logprobs: true }, { include: undefined }],
	[{ include: ['reasoning.encrypted_content'] }, {}, { include: undefined }],
	[{ metadata: { topic: 'demo', 'odd "key"': 'ü' } }, {}],
	[{ safety_identifier: 'user-1' }, { safety_identifier: 'user-1' }],
	[{ prompt_cache_key: 'ü'.repeat(64) }, { prompt_cache_key: 'ü'.repeat(64) }],
	[{ service_tier: 'auto' }, {}, { service_tier: 'default' }],
	[{ service_tier: 'default' }, {}],
	[{ service_tier: 'flex' }, { service_tier: 'flex' }],
	[{ service_tier: 'priority' }, { service_tier: 'priority' }],
	[{ reasoning: { effort: 'high' } }, { reasoning_effort: 'high' }, { reasoning: { effort: 'high', summary: null } }],
	[{ reasoning: { effort: 'none', summary: 'auto' } }, { reasoning_effort: 'none' }],
	[{ reasoning: { summary: 'auto' } }, {}, { reasoning: { effort: null, summary: 'auto' } }],
	[{ text: { verbosity: 'low' } }, { verbosity: 'low' }, { text: { ...PLAIN, verbosity: 'low' } }],
	[{ text: PLAIN }, {}],
	[{ text: { format: { type: 'json_object' } } }, { response_format: { type: 'json_object' } }],
	[
		{ text: { format: { type: 'json_schema', name: 'thing', description: 'a thing', schema: SCHEMA, strict: true }, verbosity: 'high' } },
		{ response_format: { type: 'json_schema', json_schema: { name: 'thing', description: 'a thing', schema: SCHEMA, strict: true } }, verbosity: 'high' },
	],
	[
		{ text: { format: { type: 'json_schema', name: 'thing', schema: SCHEMA } } },
		{ response_format: { type: 'json_schema', json_schema: { name: 'thing', schema: SCHEMA, strict: false } } },
		{ text: { format: { type: 'json_schema', name: 'thing', description: null, schema: SCHEMA, strict: false } } },
	],
	[{ truncation: 'auto' }, {}],
	[{ truncation: 'disabled' }, {}],
	[{ max_tool_calls: 3 }, {}],
	[{ tools: [] }, {}],
	[{ tools: [tool('f', { description: 'does f', parameters: SCHEMA, strict: true })] }, { tools: [onWire('f', { description: 'does f', parameters: SCHEMA, strict: true })] }],
	[{ tools: [tool('f', { strict: false })] }, { tools: [onWire('f', { strict: false })] }],
	[{ tools: [named('f')] }, { tools: [onWire('f')] }, { tools: [tool('f')] }],
	[{ ...FG, tool_choice: 'auto' }, { ...FG_WIRE, tool_choice: 'auto' }],
	[{ ...FG, tool_choice: 'none' }, { ...FG_WIRE, tool_choice: 'none' }],
	[{ ...FG, tool_choice: 'required' }, { ...FG_WIRE, tool_choice: 'required' }],
	[{ ...FG, tool_choice: named('g') }, { ...FG_WIRE, tool_choice: onWire('g') }],
	[{ ...FG, tool_choice: allowed('auto', 'g') }, { tools: [onWire('g')], tool_choice: 'auto' }],
	[{ ...FG, tool_choice: allowed('required', 'f', 'g') }, { ...FG_WIRE, tool_choice: 'required' }],
	[{ ...FG, tool_choice: allowed(null, 'f') }, { tools: [onWire('f')], tool_choice: 'auto' }, { tool_choice: allowed('auto', 'f') }],
	[{ ...FG, tool_choice: allowed('none', 'f') }, {}],
	[{ ...FG, parallel_tool_calls: false }, { ...FG_WIRE, parallel_tool_calls: false }],
	[{ ...FG, parallel_tool_calls: true }, { ...FG_WIRE, parallel_tool_calls: true }],
	[{ parallel_tool_calls: false }, {}],
];

const repeated = (asked, shown) => {
	const all = { ...DEFAULTS, ...asked, ...shown };
	return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
};
const pick = (response, fields) => Object.fromEntries(Object.keys(fields).map((name) => [name, response[name]]));

const kept = []; // over HTTP

for (const [name, ask] of Object.entries(transports)) {
	for (const [asked, wire, shown = {}] of CONTROLS) {
		test(`over ${name} ${JSON.stringify(asked).slice(0, 100)} reaches the model's server and is repeated`, async () => {
			const response = await answered({ input: 'x', ...asked }, (request) => ask(stage, request));
			assert.deepEqual(sent(), wire);
			const echo = repeated(asked, shown);
			assert.deepEqual(pick(response, echo), echo);
			kept.push(response);
		});
	}
}

test('instructions hold for one turn, before the conversation', async () => {
	const first = await answered({ input: 'one', instructions: 'be brief' });
	const brief = { role: 'system', content: 'be brief' };
	assert.deepEqual(stage.upstream.requests.at(-1).messages, [brief, { role: 'user', content: 'one' }]);
	assert.equal(first.instructions, 'be brief');
	const second = await answered({ input: 'two', previous_response_id: first.id });
	assert.equal(stage.upstream.requests.at(-1).messages[0].content, 'one');
	assert.equal(second.instructions, null);
});

test('what was repeated is read back the same, also after a restart', async () => {
	assert.ok(kept.length > 80, `${kept.length} responses were kept`);
	for (const response of kept) {
		assert.deepEqual(await read(response.id), response);
	}
	await stage.server.restart();
	for (const response of kept) {
		assert.deepEqual(await read(response.id), response);
	}
});

// --- what the model may call -------------------------------------------------------------------------------------------

const f = (id, args = '{}') => ({ id, name: 'f', arguments: args });
const g = (id) => ({ id, name: 'g', arguments: '{}' });

test('a call that tool_choice does not allow fails the response and is not shown', async () => {
	for (const tool_choice of ['none', allowed('auto', 'f'), named('f')]) {
		stage.upstream.queue(calls([g('call_g')]));
		const { status, error } = await overHttp({ input: 'call g', ...FG, tool_choice });
		assert.deepEqual([status, error?.code], [502, 'tool_call_not_allowed'], JSON.stringify(tool_choice));
	}
});

test('max_tool_calls: one call more ends the response, the calls before it stand', async () => {
	stage.upstream.queue(calls([f('call_1'), f('call_2'), f('call_3')]));
	const response = await answered({ input: 'call often', ...FG, max_tool_calls: 2 });
	assert.deepEqual([response.status, response.incomplete_details], ['incomplete', { reason: 'max_tool_calls' }]);
	assert.deepEqual(response.output.map(({ call_id, status }) => [call_id, status]), [
		['call_1', 'completed'],
		['call_2', 'completed'],
	]);
});

test('parallel_tool_calls: false makes the first call the only one, whatever the model does', async () => {
	stage.upstream.queue(calls([f('call_1'), g('call_2')]));
	const response = await answered({ input: 'call both', ...FG, parallel_tool_calls: false });
	assert.deepEqual([response.status, response.output.map(({ call_id }) => call_id)], ['completed', ['call_1']]);
});

// --- errors --------------------------------------------------------------------------------------------------------------

const NAME = 'n'.repeat(65);
const ERRORS = [
	[{ tools: {} }, 'invalid_type', 'tools'],
	[{ tools: [5] }, 'invalid_type', 'tools[0]'],
	[{ tools: [{ type: 'web_search' }] }, 'unsupported_parameter', 'tools[0].type'],
	[{ tools: [{ name: 'f' }] }, 'missing_required_parameter', 'tools[0].type'],
	[{ tools: [tool('f'), { type: 'function' }] }, 'missing_required_parameter', 'tools[1].name'],
	[{ tools: [tool('a b')] }, 'invalid_value', 'tools[0].name'],
	[{ tools: [tool(NAME)] }, 'invalid_value', 'tools[0].name'],
	[{ tools: [tool('f'), tool('f')] }, 'invalid_value', 'tools[1].name'],
	[{ tools: [tool('f', { parameters: [] })] }, 'invalid_type', 'tools[0].parameters'],
	[{ tools: [tool('f', { strict: 'yes' })] }, 'invalid_type', 'tools[0].strict'],
	[{ tools: [tool('f', { extra: 1 })] }, 'unknown_parameter', 'tools[0].extra'],
	[{ tools: Array.from({ length: 129 }, (_, at) => tool(`f${at}`)) }, 'invalid_value', 'tools'],
	[{ tool_choice: 'sometimes' }, 'invalid_value', 'tool_choice'],
	[{ tool_choice: 5 }, 'invalid_type', 'tool_choice'],
	[{ tool_choice: 'required' }, 'invalid_value', 'tool_choice'],
	[{ tool_choice: named('f') }, 'invalid_value', 'tool_choice.name'],
	[{ ...FG, tool_choice: named('h') }, 'invalid_value', 'tool_choice.name'],
	[{ ...FG, tool_choice: { type: 'mcp' } }, 'unsupported_parameter', 'tool_choice.type'],
	[{ ...FG, tool_choice: allowed('auto') }, 'invalid_value', 'tool_choice.tools'],
	[{ ...FG, tool_choice: allowed('auto', 'f', 'h') }, 'invalid_value', 'tool_choice.tools[1].name'],
	[{ ...FG, tool_choice: allowed('often', 'f') }, 'invalid_value', 'tool_choice.mode'],
	[{ parallel_tool_calls: 1 }, 'invalid_type', 'parallel_tool_calls'],
	[{ max_tool_calls: 0 }, 'invalid_value', 'max_tool_calls'],
	[{ max_output_tokens: 15 }, 'invalid_value', 'max_output_tokens'],
	[{ presence_penalty: 2.5 }, 'invalid_value', 'presence_penalty'],
	[{ frequency_penalty: '1' }, 'invalid_type', 'frequency_penalty'],
	[{ top_logprobs: 21 }, 'invalid_value', 'top_logprobs'],
	[{ top_logprobs: -1 }, 'invalid_value', 'top_logprobs'],
	[{ text: { format: { type: 'grammar' } } }, 'invalid_value', 'text.format.type'],
	[{ text: { format: { type: 'json_schema', name: 'a b', schema: {} } } }, 'invalid_value', 'text.format.name'],
	[{ text: { verbosity: 'huge' } }, 'invalid_value', 'text.verbosity'],
	[{ reasoning: { effort: 'enormous' } }, 'invalid_value', 'reasoning.effort'],
	[{ reasoning: { summary: 'detailed' } }, 'unsupported_parameter', 'reasoning.summary'],
	[{ reasoning: 'high' }, 'invalid_type', 'reasoning'],
	[{ truncation: 'some' }, 'invalid_value', 'truncation'],
	[{ include: 'all' }, 'invalid_type', 'include'],
	[{ include: ['message.output_text.logprobs', 'everything'] }, 'invalid_value', 'include[1]'],
	[{ service_tier: 'gold' }, 'invalid_value', 'service_tier'],
	[{ safety_identifier: 's'.repeat(65) }, 'invalid_value', 'safety_identifier'],
	[{ prompt_cache_key: 5 }, 'invalid_type', 'prompt_cache_key'],
	[{ background: 'yes' }, 'invalid_type', 'background'],
	[{ prompt: { id: 'p' } }, 'unsupported_parameter', 'prompt'],
	[{ user: 'u' }, 'unsupported_parameter', 'user'],
	[{ conversation: 5 }, 'invalid_type', 'conversation'],
	[{ conversation: {} }, 'missing_required_parameter', 'conversation.id'],
	[{ conversation: { id: 'conv_x', more: 1 } }, 'unknown_parameter', 'conversation.more'],
	[{ conversation: 'conv_x', previous_response_id: 'resp_x' }, 'invalid_value', 'conversation'],
	[{ conversation: 'conv_unknown' }, 'conversation_not_found', 'conversation'],
	[{ conversation: { id: 'conv_unknown' } }, 'conversation_not_found', 'conversation'],
	[{ conversation: 'no id!' }, 'conversation_not_found', 'conversation'],
];

const STATUS = { conversation_not_found: 404 };

for (const [name, ask] of Object.entries(transports)) {
	test(`over ${name} every bad control is refused with its code and param, and the model hears of nothing`, async () => {
		const before = stage.upstream.requests.length;
		for (const [fields, code, param] of ERRORS) {
			const { status, error } = await ask(stage, { input: 'x', ...fields });
			assert.deepEqual([status, error?.code, error?.param], [STATUS[code] ?? 400, code, param], JSON.stringify(fields).slice(0, 200));
		}
		assert.equal(stage.upstream.requests.length, before);
	});
}

test('each transport refuses what only the other has', async () => {
	for (const [ask, fields, code, param] of [
		[transports.HTTP, { background: true, store: false }, 'invalid_value', 'background'],
		[transports.HTTP, { generate: false }, 'unsupported_parameter', 'generate'],
		[transports.HTTP, { stream_id: 'a' }, 'unsupported_parameter', 'stream_id'],
		[transports.HTTP, { idempotency_key: 'a' }, 'unknown_parameter', 'idempotency_key'],
		[transports.HTTP, { stream: true, stream_options: { include_obfuscation: 1 } }, 'invalid_type', 'stream_options.include_obfuscation'],
		[transports.HTTP, { stream: true, stream_options: { include_usage: true } }, 'unknown_parameter', 'stream_options.include_usage'],
		[transports.WebSocket, { background: true }, 'unsupported_parameter', 'background'],
		[transports.WebSocket, { stream_options: {} }, 'unsupported_parameter', 'stream_options'],
		[transports.WebSocket, { stream: false }, 'unsupported_parameter', 'stream'],
	]) {
		const { status, error } = await ask(stage, { input: 'x', ...fields });
		assert.deepEqual([status, error?.code, error?.param], [400, code, param], JSON.stringify(fields));
	}
});

// --- truncation ------------------------------------------------------------------------------------------------------------


async function narrow(settings, body) {
	const server = await startServer({ upstream: stage.upstream, settings });
	try {
		const key = await server.createKey('ada');
		await body(async (request) => {
			const answer = await server.fetch('/v1/responses', { key, body: request });
			const value = await answer.json();
			return answer.status === 200 ? { response: value } : { status: answer.status, error: value.error };
		});
	} finally {
		await server.stop();
		await server.remove();
	}
}

const contents = () => stage.upstream.requests.at(-1).messages.map(({ role, content }) => `${role}: ${(content ?? '').trim().slice(0, 12)}`);

// The declared context of the model in tokens, or the server's bound in bytes.
for (const [what, settings, bounded] of [
	['context', { upstream: { context: 400 } }, { max_output_tokens: 100 }],
	['max_context', { limits: { max_context: '16KiB' } }, {}],
]) {
	// About a third of what there is room for.
	const LONG = 'word '.repeat(what === 'context' ? 80 : 1100);
	const share = (of) => LONG.slice(0, Math.floor(LONG.length * of));

	test(`truncation by ${what}: "auto" leaves the oldest turns out, "disabled" refuses`, async () => {
		await narrow(settings, async (post) => {
			let last;
			for (const number of [1, 2, 3, 4]) {
				stage.upstream.queue(reply.says(`answer ${number}`));
				const { response, error } = await post({ input: `q${number} ${LONG}`, previous_response_id: last, instructions: 'be brief', truncation: 'auto', ...bounded });
				assert.equal(response?.status, 'completed', JSON.stringify(error));
				assert.equal(response.truncation, 'auto');
				last = response.id;
			}
			const shown = contents();
			assert.equal(shown[0], 'system: be brief');
			assert.ok(!shown.some((text) => text.startsWith('user: q1')), `the first turn is gone: ${shown}`);
			assert.match(shown[1], /^user: q[23]/);
			assert.match(shown.at(-1), /^user: q4/);
			const before = stage.upstream.requests.length;
			const refused = await post({ input: `q5 ${LONG}`, previous_response_id: last, truncation: 'disabled', ...bounded });
			assert.deepEqual([refused.status, refused.error?.code, refused.error?.param], [400, 'context_length_exceeded', 'input']);
			const hopeless = await post({ input: LONG.repeat(9), truncation: 'auto', ...bounded });
			assert.deepEqual([hopeless.status, hopeless.error?.code], [400, 'context_length_exceeded']);
			assert.equal(stage.upstream.requests.length, before);
		});
	});

	test(`truncation by ${what}: turns that come as one input are trimmed too, instructions in front of them stay`, async () => {
		await narrow(settings, async (post) => {
			const input = [{ role: 'developer', content: 'be kind' }];
			for (const number of [1, 2, 3, 4]) {
				input.push({ role: 'user', content: `q${number} ${LONG}` }, { role: 'assistant', content: `a${number}` });
			}
			input.push({ role: 'user', content: 'last' });
			const { error } = await post({ input, truncation: 'auto', ...bounded });
			assert.equal(error, undefined);
			const shown = contents();
			assert.equal(shown[0], 'system: be kind');
			assert.match(shown[1], /^user: q[34]/);
			assert.equal(shown.at(-1), 'user: last');
		});
	});

	test(`truncation by ${what} never leaves the result of a call whose call is gone`, async () => {
		await narrow(settings, async (post) => {
			const ask = async (request) => {
				const { response, error } = await post({ truncation: 'auto', tools: [tool('f')], ...bounded, ...request });
				assert.equal(error, undefined, JSON.stringify(error));
				const known = new Set();
				for (const { tool_calls = [], tool_call_id } of stage.upstream.requests.at(-1).messages) {
					tool_calls.forEach(({ id }) => known.add(id));
					assert.ok(tool_call_id === undefined || known.has(tool_call_id), `${tool_call_id} has its call`);
				}
				return response.id;
			};
			let last;
			for (let round = 0; round < 6; round++) {
				stage.upstream.queue(calls([f(`call_${round}a`), f(`call_${round}b`)], { text: share(0.25 + round * 0.09) }));
				last = await ask({ previous_response_id: last, input: `q${round} ${share(0.12 + round * 0.15)}` });
				// One result at once, the other after the user has spoken again.
				const output = (id) => ({ type: 'function_call_output', call_id: `call_${round}${id}`, output: `${id} ${share(0.3)}` });
				last = await ask({ previous_response_id: last, input: [output('a'), { role: 'user', content: 'and?' }] });
				last = await ask({ previous_response_id: last, input: [output('b')] });
			}
			assert.ok(!contents().some((text) => text.startsWith('user: q0')), 'something was trimmed');
		});
	});
}

test('truncation "auto" with a max_output_tokens of more than the whole context asks the model all the same', async () => {
	await narrow({ upstream: { context: 400 } }, async (post) => {
		const { response, error } = await post({ input: 'short', truncation: 'auto', max_output_tokens: 4096 });
		assert.equal(response?.status, 'completed', JSON.stringify(error));
		const long = await post({ input: 'word '.repeat(400), truncation: 'auto', max_output_tokens: 4096 });
		assert.equal(long.error?.code, 'context_length_exceeded');
	});
});

// --- background --------------------------------------------------------------------------------------------------------------

/** The response as soon as it has ended. */
const ended = (id) => eventually(() => read(id), ({ status }) => status !== 'in_progress');

test('background: the answer is there at once, GET polls it to its end, though nobody watches for longer than is allowed', async () => {
	const held = gate();
	stage.upstream.on('in the background', reply.pauses('half ', held, 'whole'));
	const begun = await answered({ input: 'in the background', background: true });
	assert.deepEqual([begun.status, begun.background, begun.completed_at], ['in_progress', true, null]);
	await stage.upstream.request('in the background');
	const half = await eventually(() => read(begun.id), ({ output }) => output.length > 0);
	assert.equal(half.status, 'in_progress');
	// Another one, watched and left, is stopped for it: the bound has passed for both.
	stage.upstream.on('left alone', reply.stalls('x'));
	const stream = await openai(stage.server, stage.key).responses.create({ model: 'fake', input: 'left alone', stream: true });
	let left;
	for await (const event of stream) {
		left ??= event.response.id;
		if (event.type === 'response.output_text.delta') {
			break;
		}
	}
	assert.deepEqual((await ended(left)).incomplete_details, { reason: 'abandoned' });
	assert.equal((await read(begun.id)).status, 'in_progress');
	held.open();
	const whole = await ended(begun.id);
	assert.deepEqual([whole.status, whole.output[0].content[0].text, whole.background], ['completed', 'half whole', true]);
});

test('background: its events can be read live and from any of them on, and with stream: true from the start', async () => {
	const held = gate();
	stage.upstream.on('watched later', reply.pauses('half ', held, 'whole'));
	const client = openai(stage.server, stage.key);
	const begun = await client.responses.create({ model: 'fake', input: 'watched later', background: true });
	const seen = [];
	for await (const event of await client.responses.retrieve(begun.id, { stream: true })) {
		seen.push(event);
		if (event.type === 'response.output_text.delta') {
			held.open();
		}
	}
	assert.equal(checkStream(seen).text, 'half whole');
	stage.upstream.on('left and found', reply.pauses('one ', gate(), 'two'), reply.says('x'));
	const later = gate();
	stage.upstream.on('left and found', reply.pauses('one ', later, 'two'));
	const events = [];
	for await (const event of await client.responses.create({ model: 'fake', input: 'left and found', background: true, stream: true })) {
		events.push(event);
		if (event.type === 'response.output_text.delta') {
			break; // the reader leaves
		}
	}
	later.open();
	const { id } = events[0].response;
	await ended(id);
	for await (const event of await client.responses.retrieve(id, { stream: true, starting_after: events.at(-1).sequence_number })) {
		events.push(event);
	}
	assert.equal(checkStream(events).text, 'one two');
});

test('background: cancel stops it, a failure is told by GET, the SDK polls', async () => {
	const client = openai(stage.server, stage.key);
	stage.upstream.on('stop it', reply.stalls('partly'));
	const begun = await client.responses.create({ model: 'fake', input: 'stop it', background: true });
	await stage.upstream.request('stop it');
	const cancelled = await client.responses.cancel(begun.id);
	assert.equal(cancelled.status, 'cancelled');
	await stage.upstream.asked('stop it')[0].hungUp();
	stage.upstream.on('refuse it', reply.fails(400));
	const failing = await client.responses.create({ model: 'fake', input: 'refuse it', background: true });
	assert.deepEqual([(await ended(failing.id)).status, (await read(failing.id)).error.code], ['failed', 'upstream_rejected']);
	let polled = await client.responses.create({ model: 'fake', input: 'polled', background: true });
	while (polled.status === 'queued' || polled.status === 'in_progress') {
		polled = await client.responses.retrieve(polled.id);
	}
	assert.equal(polled.output_text, 'You said: polled');
});

test('background: what is there of a running answer is shown, and kept when the server is killed', async () => {
	const server = await startServer({ upstream: stage.upstream });
	try {
		const key = await server.createKey('ada');
		const get = async (id) => (await server.fetch(`/v1/responses/${id}`, { key })).json();
		stage.upstream.on('killed in the middle', async (x) => {
			await x.write(x.event({ reasoning_content: 'thinking' }));
			await x.say('Looking.');
			const begun = (index, id) => ({ index, id, type: 'function', function: { name: 'f', arguments: '' } });
			await x.write(x.event({ tool_calls: [begun(0, 'call_a')] }));
			await x.write(x.event({ tool_calls: [{ index: 0, function: { arguments: '{"whole":1}' } }] }));
			await x.write(x.event({ tool_calls: [begun(1, 'call_b')] }));
			await x.write(x.event({ tool_calls: [{ index: 1, function: { arguments: '{"ha' } }] }));
			await x.closed;
		});
		const answer = await server.fetch('/v1/responses', { key, body: { input: 'killed in the middle', background: true, ...FG } });
		const begun = await answer.json();
		const parts = ({ output }) =>
			output.map(({ type, status, content, arguments: args }) => [type, status, args ?? content.map(({ text }) => text).join('')]);
		const live = await eventually(() => get(begun.id), (response) => parts(response).at(-1)?.[2] === '{"ha');
		assert.equal(live.status, 'in_progress');
		assert.deepEqual(parts(live), [
			['reasoning', undefined, 'thinking'],
			['message', 'completed', 'Looking.'],
			['function_call', 'in_progress', '{"whole":1}'],
			['function_call', 'in_progress', '{"ha'],
		]);
		// As soon as a checkpoint has it, a killed server still has it.
		const listed = async () => (await server.fetch(`/v1/conversations/${begun.conversation.id}/items`, { key })).json();
		await eventually(listed, ({ data }) => data.at(-1)?.arguments === '{"ha');
		await server.kill();
		await server.start();
		const kept = await get(begun.id);
		assert.deepEqual([kept.status, kept.incomplete_details, kept.background], ['incomplete', { reason: 'server_restart' }, true]);
		assert.deepEqual(parts(kept), [
			['reasoning', undefined, 'thinking'],
			['message', 'completed', 'Looking.'],
			['function_call', 'completed', '{"whole":1}'],
			['function_call', 'incomplete', '{"ha'],
		]);
		assert.deepEqual(kept.output.map(({ id }) => id), live.output.map(({ id }) => id));
		const body = { previous_response_id: begun.id, input: [{ type: 'function_call_output', call_id: 'call_a', output: 'ok' }], ...FG };
		assert.equal((await server.fetch('/v1/responses', { key, body })).status, 200);
		assert.deepEqual(stage.upstream.requests.at(-1).messages.slice(1), [
			{
				role: 'assistant',
				content: 'Looking.',
				reasoning_content: 'thinking',
				tool_calls: [{ id: 'call_a', type: 'function', function: { name: 'f', arguments: '{"whole":1}' } }],
			},
			{ role: 'tool', tool_call_id: 'call_a', content: 'ok' },
		]);
	} finally {
		await server.stop();
		await server.remove();
	}
});

test('background: as many as may run at once for one user, no more; another user has as many', async () => {
	const held = gate();
	stage.upstream.on('one of many', reply.pauses('x', held));
	const ids = [];
	for (let n = 0; n < 3; n++) {
		ids.push((await answered({ input: 'one of many', background: true })).id);
	}
	const more = await overHttp({ input: 'one of many', background: true });
	assert.deepEqual([more.status, more.error?.code, more.error?.param], [429, 'background_limit_reached', 'background']);
	await answered({ input: 'in the foreground' });
	const theirs = await stage.fetch('/v1/responses', { key: other, body: { input: 'one of many', background: true } });
	assert.equal(theirs.status, 200);
	held.open();
	for (const id of ids) {
		assert.equal((await ended(id)).status, 'completed');
	}
	await ended((await answered({ input: 'room again', background: true })).id);
});

// --- obfuscation ---------------------------------------------------------------------------------------------------------------

/** The data of each event of a stream, as it came. */
async function streamed(target, body) {
	const answer = await stage.fetch(target, { body });
	assert.equal(answer.status, 200);
	const blocks = (await answer.text()).split('\n\n').filter((block) => block.startsWith('event: '));
	return blocks.map((block) => block.split('\n')[1].slice('data: '.length));
}

test('include_obfuscation: deltas are padded to whole blocks, live and again; nothing else changes', async () => {
	const words = Array.from({ length: 40 }, (_, at) => 'w'.repeat(at + 1));
	stage.upstream.on('padded', async (x) => {
		for (const word of words) {
			await x.say(word);
			await new Promise(setImmediate);
		}
		await x.finish();
		await x.done();
	});
	const padded = await streamed('/v1/responses', { input: 'padded', stream: true, stream_options: { include_obfuscation: true } });
	const { id } = JSON.parse(padded[0]).response;
	const plain = await streamed(`/v1/responses/${id}?stream=true`);
	const again = await streamed(`/v1/responses/${id}?stream=true&include_obfuscation=true&starting_after=1`);
	const bare = (text) => {
		const { obfuscation: _, ...event } = JSON.parse(text);
		return event;
	};
	assert.deepEqual(padded.map(bare), plain.map((text) => JSON.parse(text)));
	assert.deepEqual(again.map(bare), plain.slice(2).map((text) => JSON.parse(text)));
	for (const text of [...padded, ...again]) {
		const { type, obfuscation } = JSON.parse(text);
		if (type === 'response.output_text.delta') {
			assert.match(obfuscation, /^[\w-]+$/);
			assert.equal(Buffer.byteLength(text) % 32, 0);
		} else {
			assert.equal(obfuscation, undefined, type);
		}
	}
	const paddings = [...padded, ...again].map((text) => JSON.parse(text).obfuscation).filter(Boolean);
	assert.equal(new Set(paddings).size, paddings.length, 'no padding twice');
	const odd = await stage.fetch(`/v1/responses/${id}?stream=true&include_obfuscation=1`);
	assert.deepEqual([odd.status, (await odd.json()).error.param], [400, 'include_obfuscation']);
});

test('include_obfuscation pads the arguments of function calls and reasoning as well', async () => {
	stage.upstream.queue(calls([f('call_1', '{"some":"arguments"}')], { reasoning: 'a thought' }));
	const events = await streamed('/v1/responses', { input: 'pad all', ...FG, stream: true, stream_options: { include_obfuscation: true } });
	const deltas = events.filter((text) => JSON.parse(text).type.endsWith('.delta'));
	assert.deepEqual(deltas.map((text) => JSON.parse(text).type), ['response.reasoning.delta', 'response.function_call_arguments.delta']);
	for (const text of deltas) {
		assert.equal(Buffer.byteLength(text) % 32, 0, text);
	}
});

// --- conversation ----------------------------------------------------------------------------------------------------------------

const newConversation = async (body = {}) => (await stage.fetch('/v1/conversations', { body })).json();

for (const [name, ask] of Object.entries(transports)) {
	test(`over ${name} conversation goes on behind its latest response, named by its id or by an object`, async () => {
		const { id } = await newConversation();
		const asks = (request) => answered(request, (it) => ask(stage, it));
		const first = await asks({ input: 'first here', conversation: id });
		assert.deepEqual([first.conversation, first.previous_response_id], [{ id }, null]);
		const second = await asks({ input: 'second here', conversation: { id } });
		assert.deepEqual([second.conversation, second.previous_response_id], [{ id }, first.id]);
		assert.deepEqual(contents(), ['user: first here', 'assistant: You said: fi', 'user: second here']);
		const { data } = await (await stage.fetch(`/v1/conversations/${id}/items`)).json();
		assert.equal(data.length, 4);
		const theirs = await stage.fetch('/v1/responses', { key: other, body: { input: 'x', conversation: id } });
		assert.deepEqual([theirs.status, (await theirs.json()).error.code], [404, 'conversation_not_found']);
		// store: false reads it and leaves nothing in it.
		await asks({ input: 'unseen', conversation: id, store: false });
		assert.equal(contents().length, 5);
		const after = await asks({ input: 'third here', conversation: id });
		assert.equal(after.previous_response_id, second.id);
	});

	test(`over ${name} conversation begins with the items that it was made of`, async () => {
		const { id } = await newConversation({ items: [{ role: 'system', content: 'be kind' }, { role: 'user', content: 'earlier' }] });
		await answered({ input: 'now', conversation: id }, (it) => ask(stage, it));
		assert.deepEqual(contents(), ['system: be kind', 'user: earlier', 'user: now']);
	});

	test(`over ${name} a conversation is locked while a response of it runs`, async () => {
		const { id } = await newConversation();
		const held = gate();
		const input = `holds the lock of ${name}`;
		stage.upstream.on(input, reply.pauses('x', held, 'y'));
		const running = answered({ input, conversation: id });
		await stage.upstream.request(input);
		const locked = await ask(stage, { input: 'me too', conversation: id });
		assert.deepEqual([locked.status, locked.error?.code, locked.error?.param], [409, 'conversation_locked', 'conversation']);
		held.open();
		await running;
		await answered({ input: 'me now', conversation: id }, (it) => ask(stage, it));
	});
}

test('of two that go on with a conversation at once exactly one wins', async () => {
	for (let round = 0; round < 10; round++) {
		const { id } = await newConversation();
		const held = gate();
		stage.upstream.on(`race ${round}`, reply.pauses('x', held));
		const racers = [transports.HTTP, transports.WebSocket, transports.HTTP].map((ask) => ask(stage, { input: `race ${round}`, conversation: id }));
		// Those that lose are told while the winner still runs.
		const settled = [];
		racers.forEach((racer) => racer.then((outcome) => settled.push(outcome)));
		await eventually(async () => settled.length, (count) => count === 2);
		assert.deepEqual(settled.map(({ error }) => error?.code), ['conversation_locked', 'conversation_locked']);
		held.open();
		assert.equal((await Promise.all(racers)).filter(({ status }) => status === 200).length, 1);
		assert.equal(stage.upstream.asked(`race ${round}`).length, 1);
	}
});

test('of four lanes that go on with a conversation in the same moment exactly one wins', async () => {
	const { id } = await newConversation();
	const chat = await stage.chat();
	for (let round = 0; round < 10; round++) {
		const question = `lanes race ${round}`;
		const elsewhere = await answered({ input: 'elsewhere' });
		const reference = { type: 'item_reference', id: elsewhere.output[0].id };
		// What has to be looked up first takes longer to begin.
		const input = round % 2 ? question : [reference, { role: 'user', content: question }];
		const held = gate();
		stage.upstream.on(question, reply.pauses('x', held));
		const from = chat.events.length;
		const seen = (type) => chat.events.slice(from).filter((event) => event.type === type);
		for (const stream_id of ['a', 'b', 'c', 'd']) {
			chat.send({ type: 'response.create', stream_id, input, conversation: id });
		}
		await chat.wait(() => seen('error').length === 3, { from });
		assert.deepEqual(seen('error').map(({ error }) => error.code), Array(3).fill('conversation_locked'));
		held.open();
		await chat.type('response.completed', { from });
		assert.equal(seen('response.created').length, 1);
		assert.equal(stage.upstream.asked(question).length, 1);
	}
	chat.drop();
});
