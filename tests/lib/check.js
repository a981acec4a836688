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
	'response.output_text.done': ['item_id', 'output_index', 'content_index', 'text'],
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

function checkMessage(item, where) {
	assert.equal(item.type, 'message', `${where}: type`);
	assert.match(item.id, /^msg_[A-Za-z0-9_-]+$/, `${where}: id`);
	assert.ok(['in_progress', 'completed', 'incomplete'].includes(item.status), `${where}: status ${item.status}`);
	assert.equal(item.role, 'assistant', `${where}: role`);
	assert.ok(Array.isArray(item.content), `${where}: content is a list`);
	for (const part of item.content) {
		checkPart(part, where);
	}
}

function checkPart(part, where) {
	assert.equal(part.type, 'output_text', `${where}: part type`);
	assert.equal(typeof part.text, 'string', `${where}: part text`);
	assert.ok(Array.isArray(part.annotations), `${where}: part annotations`);
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
	response.output.forEach((item, at) => checkMessage(item, `${where}.output[${at}]`));
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

/** What an item went through, as a text: each event that names it, in order. */
const ITEM_STORY =
	/^response\.output_item\.added( response\.content_part\.added( response\.output_text\.delta)* response\.output_text\.done response\.content_part\.done)* response\.output_item\.done$/;

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
		const told = story.map((event) => event.type).join(' ');
		assert.match(told, ITEM_STORY, `item ${index}: order of its events`);
		checkItem(story, response.output[index]);
	}
}

function checkItem(story, final) {
	const added = story[0].item;
	checkMessage(added, 'output_item.added');
	assert.equal(added.status, 'in_progress', 'output_item.added: status');
	assert.deepEqual(added.content, [], 'output_item.added: content is empty');
	const texts = [];
	for (const event of story.slice(1, -1)) {
		assert.equal(event.item_id, added.id, `${event.type}: item_id`);
		const index = event.content_index;
		switch (event.type) {
			case 'response.content_part.added':
				assert.equal(index, texts.length, 'content_index counts up from 0');
				checkPart(event.part, event.type);
				assert.equal(event.part.text, '', 'content_part.added: text is empty');
				texts.push('');
				break;
			case 'response.output_text.delta':
				assert.notEqual(event.delta, '', 'a delta is not empty');
				assert.ok(!event.delta.includes('\uFFFD'), 'a delta does not cut a character in two');
				texts[index] += event.delta;
				break;
			case 'response.output_text.done':
				assert.equal(event.text, texts[index], 'output_text.done: the deltas add up to the text');
				break;
			default:
				checkPart(event.part, event.type);
				assert.equal(event.part.text, texts[index], 'content_part.done: text');
		}
	}
	const done = story.at(-1).item;
	checkMessage(done, 'output_item.done');
	assert.equal(done.id, added.id, 'output_item.done: id');
	assert.notEqual(done.status, 'in_progress', 'output_item.done: status');
	assert.deepEqual(done.content.map((part) => part.text), texts, 'output_item.done: text');
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
