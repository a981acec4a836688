// The invariants of one response's event stream, written out by hand.
import assert from 'node:assert/strict';

const TERMINAL = { 'response.completed': 'completed', 'response.failed': 'failed', 'response.incomplete': 'incomplete' };

const FIELDS = {
	'response.created': ['response'],
	'response.in_progress': ['response'],
	'response.queued': ['response'],
	'response.output_item.added': ['output_index', 'item'],
	'response.output_item.done': ['output_index', 'item'],
	'response.content_part.added': ['item_id', 'output_index', 'content_index', 'part'],
	'response.content_part.done': ['item_id', 'output_index', 'content_index', 'part'],
	'response.output_text.delta': ['item_id', 'output_index', 'content_index', 'delta'],
	'response.output_text.done': ['item_id', 'output_index', 'content_index', 'text', 'logprobs'],
	'response.output_text.annotation.added': ['item_id', 'output_index', 'content_index', 'annotation_index', 'annotation'],
	'response.refusal.delta': ['item_id', 'output_index', 'content_index', 'delta'],
	'response.refusal.done': ['item_id', 'output_index', 'content_index', 'refusal'],
	'response.reasoning.delta': ['item_id', 'output_index', 'content_index', 'delta'],
	'response.reasoning.done': ['item_id', 'output_index', 'content_index', 'text'],
	'response.function_call_arguments.delta': ['item_id', 'output_index', 'delta'],
	'response.function_call_arguments.done': ['item_id', 'output_index', 'arguments'],
	'response.completed': ['response'],
	'response.failed': ['response'],
	'response.incomplete': ['response'],
};

const RESPONSE_FIELDS = [
	'id object created_at completed_at status incomplete_details model previous_response_id instructions output error',
	'tools tool_choice truncation parallel_tool_calls text top_p presence_penalty frequency_penalty top_logprobs',
	'temperature reasoning usage max_output_tokens max_tool_calls store background service_tier metadata',
	'safety_identifier prompt_cache_key',
]
	.join(' ')
	.split(' ');

const has = (object, field) => Object.prototype.hasOwnProperty.call(object, field);

export const isTerminal = (event) => has(TERMINAL, event.type);

/** The text of a response's messages. */
export const outputText = (response) =>
	response.output
		.filter((item) => item.type === 'message')
		.flatMap((item) => item.content)
		.filter((part) => part.type === 'output_text')
		.map((part) => part.text)
		.join('');

const IDS = { message: /^msg_[A-Za-z0-9_-]+$/, reasoning: /^rs_[A-Za-z0-9_-]+$/, function_call: /^fc_[A-Za-z0-9_-]+$/ };

function checkOutputItem(item, where) {
	assert.ok(has(IDS, item.type), `${where}: type ${item.type}`);
	assert.match(item.id, IDS[item.type], `${where}: id`);
	if (item.type !== 'reasoning') {
		assert.ok(['in_progress', 'completed', 'incomplete'].includes(item.status), `${where}: status ${item.status}`);
	}
	if (item.type === 'function_call') {
		assert.match(item.call_id, /^\S+$/, `${where}: call_id`);
		assert.match(item.name, /^[a-zA-Z0-9_-]+$/, `${where}: name`);
		assert.equal(typeof item.arguments, 'string', `${where}: arguments`);
		return;
	}
	if (item.type === 'message') {
		assert.equal(item.role, 'assistant', `${where}: role`);
	} else {
		assert.deepEqual(item.summary, [], `${where}: summary`);
	}
	assert.ok(Array.isArray(item.content), `${where}: content is a list`);
	for (const part of item.content) {
		checkPart(part, item.type, where);
	}
}

const PARTS = { message: ['output_text', 'refusal'], reasoning: ['reasoning_text'] };
/** The text of a part. */
const wordsOf = (part) => (part.type === 'refusal' ? part.refusal : part.text);

function checkPart(part, kind, where) {
	assert.ok(PARTS[kind]?.includes(part.type), `${where}: part type ${part.type}`);
	assert.equal(typeof wordsOf(part), 'string', `${where}: part text`);
	if (part.type === 'output_text') {
		assert.ok(Array.isArray(part.annotations), `${where}: part annotations`);
		assert.ok(Array.isArray(part.logprobs), `${where}: part logprobs`);
	}
}

/** Checks one response object by itself, wherever it came from. */
export function checkResponse(response, where = 'response') {
	for (const field of RESPONSE_FIELDS) {
		assert.ok(has(response, field), `${where}: field ${field} is missing`);
	}
	assert.match(response.id, /^resp_[A-Za-z0-9_-]+$/, `${where}: id`);
	assert.equal(response.object, 'response', `${where}: object`);
	assert.ok(Number.isInteger(response.created_at) && response.created_at > 1.6e9, `${where}: created_at in seconds`);
	assert.ok(Array.isArray(response.output), `${where}: output`);
	assert.equal(typeof response.model, 'string', `${where}: model`);
	for (const field of ['top_p', 'temperature', 'presence_penalty', 'frequency_penalty']) {
		assert.equal(typeof response[field], 'number', `${where}: ${field}`);
	}
	for (const field of ['store', 'background', 'parallel_tool_calls']) {
		assert.equal(typeof response[field], 'boolean', `${where}: ${field}`);
	}
	assert.equal(typeof response.metadata, 'object', `${where}: metadata`);
	response.output.forEach((item, at) => checkOutputItem(item, `${where}.output[${at}]`));
	switch (response.status) {
		case 'completed':
			assert.ok(response.completed_at >= response.created_at, `${where}: completed_at`);
			assert.equal(response.error, null, `${where}: error of a completed response`);
			assert.equal(response.incomplete_details, null, `${where}: incomplete_details of a completed response`);
			break;
		case 'failed':
			assert.equal(typeof response.error?.code, 'string', `${where}: error.code of a failed response`);
			assert.equal(typeof response.error?.message, 'string', `${where}: error.message of a failed response`);
			assert.equal(response.completed_at, null, `${where}: completed_at of a failed response`);
			break;
		case 'incomplete':
		case 'cancelled':
			assert.equal(typeof response.incomplete_details?.reason, 'string', `${where}: incomplete_details.reason`);
			assert.equal(response.completed_at, null, `${where}: completed_at of an incomplete response`);
			break;
		default:
			assert.ok(['in_progress', 'queued'].includes(response.status), `${where}: status ${response.status}`);
			assert.equal(response.completed_at, null, `${where}: completed_at of a running response`);
	}
	if (response.usage !== null) {
		checkUsage(response.usage, where);
	}
}

function checkUsage(usage, where) {
	for (const field of ['input_tokens', 'output_tokens', 'total_tokens']) {
		assert.ok(Number.isInteger(usage[field]) && usage[field] >= 0, `${where}: usage.${field}`);
	}
	assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens, `${where}: usage adds up`);
	assert.ok(Number.isInteger(usage.input_tokens_details?.cached_tokens), `${where}: usage.input_tokens_details`);
	assert.ok(Number.isInteger(usage.output_tokens_details?.reasoning_tokens), `${where}: usage.output_tokens_details`);
}

/** All that a model said, of whatever kind, one item behind the other. */
export const streamedText = (response) =>
	response.output.map((item) => item.arguments ?? item.content.map(wordsOf).join('')).join('');

/** What an item goes through, as a text: each event that names it, in order. */
const framed = (body) => ` response\\.content_part\\.added${body} response\\.content_part\\.done`;
const told = (name, beside = '') => `( ${name}\\.delta${beside})* ${name}\\.done`;
const WORDS = told('response\\.output_text', '| response\\.output_text\\.annotation\\.added');
const story = (body) => new RegExp(`^response\\.output_item\\.added${body} response\\.output_item\\.done$`);
const ITEM_STORIES = {
	message: story(`(${framed(`(${WORDS}|${told('response\\.refusal')})`)})*`),
	reasoning: story(`(${framed(told('response\\.reasoning'))})*`),
	function_call: story(told('response\\.function_call_arguments')),
};

/**
 * Checks the events of one response, whole: the numbers, the order, the required fields, that the deltas add up to
 * the done texts and these to the final object, and that it ends exactly once. Returns the final response and its text.
 * `from`: the number of the first event, for a replay that starts in the middle (then only the tail is checked).
 */
export function checkStream(events, { from = 0 } = {}) {
	assert.ok(events.length > 0, 'no events');
	const names = events.map((event) => event.type);
	const where = (at) => `event ${at} (${names[at]})`;
	events.forEach((event, at) => {
		assert.ok(has(FIELDS, event.type), `${where(at)}: an unknown type`);
		assert.equal(event.sequence_number, from + at, `${where(at)}: sequence_number in ${names.join(' ')}`);
		for (const field of FIELDS[event.type]) {
			assert.ok(has(event, field), `${where(at)}: field ${field} is missing`);
		}
		if (event.response) {
			checkResponse(event.response, where(at));
		}
	});
	const endings = events.filter(isTerminal);
	assert.equal(endings.length, 1, `one terminal event, not ${endings.length}: ${names.join(' ')}`);
	const last = events.at(-1);
	assert.ok(isTerminal(last), `the terminal event is the last one: ${names.join(' ')}`);
	assert.equal(last.response.status, TERMINAL[last.type], 'the status fits the terminal event');
	if (from > 0) {
		return { response: last.response, text: outputText(last.response) };
	}
	assert.equal(names[0], 'response.created');
	assert.equal(names[1], 'response.in_progress');
	const ids = new Set(events.filter((event) => event.response).map((event) => event.response.id));
	assert.equal(ids.size, 1, 'one response id throughout');
	assert.equal(events[0].response.status, 'in_progress', 'created: status');
	assert.deepEqual(events[0].response.output, [], 'created: output is empty');
	checkItems(events.slice(2, -1), last.response);
	return { response: last.response, text: outputText(last.response) };
}

function checkItems(events, response) {
	const stories = new Map();
	for (const event of events) {
		const index = event.output_index;
		if (!stories.has(index)) {
			assert.equal(index, stories.size, 'output_index counts up from 0');
			stories.set(index, []);
		}
		stories.get(index).push(event);
	}
	assert.equal(response.output.length, stories.size, 'the final output has every item that was streamed');
	for (const [index, story] of stories) {
		const { type } = story[0].item ?? {};
		assert.ok(has(ITEM_STORIES, type), `item ${index} begins as an item, not with ${story[0].type}`);
		assert.match(story.map((event) => event.type).join(' '), ITEM_STORIES[type], `item ${index}: order of its events`);
		checkItem(story, response.output[index]);
	}
}

/** What a part is when an event has said that it begins. */
const EMPTY = {
	output_text: { type: 'output_text', text: '', annotations: [], logprobs: [] },
	refusal: { type: 'refusal', refusal: '' },
	reasoning_text: { type: 'reasoning_text', text: '' },
};

/** Adds to what was built of an item so far what one event says. */
function build(built, event) {
	const part = built.content?.[event.content_index];
	switch (event.type) {
		case 'response.content_part.added':
			assert.equal(event.content_index, built.content.length, 'content_index counts up from 0');
			checkPart(event.part, built.type, event.type);
			assert.deepEqual(event.part, EMPTY[event.part.type], 'content_part.added: the part is empty');
			built.content.push(structuredClone(event.part));
			break;
		case 'response.output_text.delta':
			part.text += event.delta;
			part.logprobs.push(...event.logprobs);
			break;
		case 'response.reasoning.delta':
			part.text += event.delta;
			break;
		case 'response.refusal.delta':
			part.refusal += event.delta;
			break;
		case 'response.function_call_arguments.delta':
			built.arguments += event.delta;
			break;
		case 'response.output_text.annotation.added':
			assert.equal(event.annotation_index, part.annotations.length, 'annotation_index counts up from 0');
			part.annotations.push(event.annotation);
			break;
		case 'response.output_text.done':
			assert.deepEqual(event.logprobs, part.logprobs, 'output_text.done: the deltas add up to the logprobs');
			assert.equal(event.text, part.text, 'output_text.done: the deltas add up to the text');
			break;
		case 'response.reasoning.done':
			assert.equal(event.text, part.text, 'reasoning.done: the deltas add up to the text');
			break;
		case 'response.refusal.done':
			assert.equal(event.refusal, part.refusal, 'refusal.done: the deltas add up to the text');
			break;
		case 'response.function_call_arguments.done':
			assert.equal(event.arguments, built.arguments, 'function_call_arguments.done: the deltas add up to the arguments');
			break;
		default:
			assert.deepEqual(event.part, part, 'content_part.done: the part as it was told');
	}
}

function checkItem(story, final) {
	const added = story[0].item;
	checkOutputItem(added, 'output_item.added');
	if (added.type !== 'reasoning') {
		assert.equal(added.status, 'in_progress', 'output_item.added: status');
	}
	assert.deepEqual(added.content ?? [], [], 'output_item.added: content is empty');
	assert.equal(added.arguments ?? '', '', 'output_item.added: arguments are empty');
	const built = structuredClone(added);
	for (const event of story.slice(1, -1)) {
		assert.equal(event.item_id, added.id, `${event.type}: item_id`);
		if (has(event, 'delta')) {
			assert.ok(event.delta !== '' || event.logprobs?.length, 'a delta is not empty');
			assert.ok(!event.delta.includes('\uFFFD'), 'a delta does not cut a character in two');
		}
		build(built, event);
	}
	const done = story.at(-1).item;
	checkOutputItem(done, 'output_item.done');
	assert.notEqual(done.status, 'in_progress', 'output_item.done: status');
	const { status: _, encrypted_content: __, ...rest } = done;
	const { status: ___, ...told } = built;
	assert.deepEqual(rest, told, 'output_item.done: the item as it was told');
	assert.deepEqual(final, done, 'the final output holds the item as it was done');
}

/** Checks an error event of the WebSocket or, without `type`, the body of an HTTP error. */
export function checkError(envelope, { status, code, param, type } = {}) {
	const { error } = envelope;
	assert.equal(typeof error, 'object', `an error envelope, not ${JSON.stringify(envelope)}`);
	assert.equal(typeof error.type, 'string', 'error.type');
	assert.ok(typeof error.message === 'string' && error.message.length > 0, 'error.message');
	assert.ok(has(error, 'code') && has(error, 'param'), 'error.code and error.param are there, if only null');
	const seen = `${JSON.stringify(envelope)}`;
	if (envelope.type !== undefined) {
		assert.equal(envelope.type, 'error', seen);
		assert.ok(Number.isInteger(envelope.status) && envelope.status >= 400, `status in ${seen}`);
	}
	if (status !== undefined && envelope.type !== undefined) {
		assert.equal(envelope.status, status, seen);
	}
	if (code !== undefined) {
		assert.equal(error.code, code, seen);
	}
	if (param !== undefined) {
		assert.equal(error.param, param, seen);
	}
	if (type !== undefined) {
		assert.equal(error.type, type, seen);
	}
	return error;
}
