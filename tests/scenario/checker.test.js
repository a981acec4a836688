// The checker itself: it passes a right stream and refuses each way in which one can be wrong.
import assert from 'node:assert/strict';
import { checkError, checkStream } from '../lib/check.js';
import { test } from '../lib/test.js';

const response = (more = {}) => ({
	id: 'resp_1',
	object: 'response',
	created_at: 1790000000,
	completed_at: null,
	status: 'in_progress',
	incomplete_details: null,
	model: 'fake',
	previous_response_id: null,
	instructions: null,
	output: [],
	error: null,
	tools: [],
	tool_choice: 'auto',
	truncation: 'disabled',
	parallel_tool_calls: true,
	text: { format: { type: 'text' } },
	top_p: 1,
	presence_penalty: 0,
	frequency_penalty: 0,
	top_logprobs: 0,
	temperature: 1,
	reasoning: null,
	usage: null,
	max_output_tokens: null,
	max_tool_calls: null,
	store: true,
	background: false,
	service_tier: 'default',
	metadata: {},
	safety_identifier: null,
	prompt_cache_key: null,
	...more,
});
const part = (text) => ({ type: 'output_text', text, annotations: [], logprobs: [] });
const item = (status, content) => ({ type: 'message', id: 'msg_1', status, role: 'assistant', content });
const renumber = (events) => events.forEach((event, number) => (event.sequence_number = number));
const place = { item_id: 'msg_1', output_index: 0, content_index: 0 };

function right() {
	const done = item('completed', [part('ab')]);
	const events = [
		{ type: 'response.created', response: response() },
		{ type: 'response.in_progress', response: response() },
		{ type: 'response.output_item.added', output_index: 0, item: item('in_progress', []) },
		{ type: 'response.content_part.added', ...place, part: part('') },
		{ type: 'response.output_text.delta', ...place, delta: 'a', logprobs: [] },
		{ type: 'response.output_text.delta', ...place, delta: 'b', logprobs: [] },
		{ type: 'response.output_text.done', ...place, text: 'ab', logprobs: [] },
		{ type: 'response.content_part.done', ...place, part: part('ab') },
		{ type: 'response.output_item.done', output_index: 0, item: done },
		{
			type: 'response.completed',
			response: response({ status: 'completed', completed_at: 1790000001, output: [structuredClone(done)] }),
		},
	];
	events.forEach((event, number) => (event.sequence_number = number));
	return events;
}

/** Reasoning, text with what is beside it, and two calls whose arguments come interleaved. */
function rich() {
	const one = { token: 'a', logprob: -1, bytes: [97], top_logprobs: [] };
	const citation = { type: 'url_citation', url: 'https://example.org', title: 'x', start_index: 0, end_index: 1 };
	const text = { type: 'output_text', text: 'a', annotations: [citation], logprobs: [one] };
	const thought = { type: 'reasoning_text', text: 'hm' };
	const call = (id, status, args) => ({ type: 'function_call', id, status, call_id: `call_${id}`, name: 'f', arguments: args });
	const output = [
		{ type: 'reasoning', id: 'rs_1', summary: [], content: [thought] },
		item('completed', [text]),
		call('fc_1', 'completed', '{}'),
		call('fc_2', 'completed', '[]'),
	];
	const at = (output_index, item_id) => ({ output_index, item_id });
	const events = [
		{ type: 'response.created', response: response() },
		{ type: 'response.in_progress', response: response() },
		{ type: 'response.output_item.added', output_index: 0, item: { type: 'reasoning', id: 'rs_1', summary: [], content: [] } },
		{ type: 'response.content_part.added', ...at(0, 'rs_1'), content_index: 0, part: { type: 'reasoning_text', text: '' } },
		{ type: 'response.reasoning.delta', ...at(0, 'rs_1'), content_index: 0, delta: 'hm' },
		{ type: 'response.reasoning.done', ...at(0, 'rs_1'), content_index: 0, text: 'hm' },
		{ type: 'response.content_part.done', ...at(0, 'rs_1'), content_index: 0, part: thought },
		{ type: 'response.output_item.done', output_index: 0, item: output[0] },
		{ type: 'response.output_item.added', output_index: 1, item: item('in_progress', []) },
		{ type: 'response.content_part.added', ...at(1, 'msg_1'), content_index: 0, part: part('') },
		{ type: 'response.output_text.delta', ...at(1, 'msg_1'), content_index: 0, delta: 'a', logprobs: [one] },
		{
			type: 'response.output_text.annotation.added',
			...at(1, 'msg_1'),
			content_index: 0,
			annotation_index: 0,
			annotation: citation,
		},
		{ type: 'response.output_text.done', ...at(1, 'msg_1'), content_index: 0, text: 'a', logprobs: [one] },
		{ type: 'response.content_part.done', ...at(1, 'msg_1'), content_index: 0, part: text },
		{ type: 'response.output_item.done', output_index: 1, item: output[1] },
		{ type: 'response.output_item.added', output_index: 2, item: call('fc_1', 'in_progress', '') },
		{ type: 'response.output_item.added', output_index: 3, item: call('fc_2', 'in_progress', '') },
		{ type: 'response.function_call_arguments.delta', ...at(3, 'fc_2'), delta: '[]' },
		{ type: 'response.function_call_arguments.delta', ...at(2, 'fc_1'), delta: '{}' },
		{ type: 'response.function_call_arguments.done', ...at(2, 'fc_1'), arguments: '{}' },
		{ type: 'response.output_item.done', output_index: 2, item: output[2] },
		{ type: 'response.function_call_arguments.done', ...at(3, 'fc_2'), arguments: '[]' },
		{ type: 'response.output_item.done', output_index: 3, item: output[3] },
		{ type: 'response.completed', response: response({ status: 'completed', completed_at: 1790000001, output }) },
	];
	renumber(events);
	return structuredClone(events);
}

test('the checker passes a stream that is right, and gives its text', () => {
	assert.equal(checkStream(right()).text, 'ab');
	assert.equal(checkStream(right().slice(6), { from: 6 }).text, 'ab');
	assert.equal(checkStream(rich()).text, 'a');
});

// What is done to a right stream, each of which must be noticed.
const WRONGS = {
	'a gap in the numbers': (events) => events.splice(4, 1),
	'a number twice': (events) => (events[5].sequence_number = 4),
	'numbers that start at 1': (events) => events.forEach((event) => event.sequence_number++),
	'a lost delta': (events) => events.splice(4, 1) && renumber(events),
	'a delta twice': (events) => events.splice(4, 0, structuredClone(events[4])) && renumber(events),
	'deltas in the wrong order': (events) => ([events[4].delta, events[5].delta] = ['b', 'a']),
	'an empty delta': (events) => events.splice(4, 0, { ...events[4], delta: '' }) && renumber(events),
	'half a character in a delta': (events) => (events[4].delta = '\uFFFD'),
	'no terminal event': (events) => events.pop(),
	'two terminal events': (events) => events.push(structuredClone(events.at(-1))) && renumber(events),
	'an event behind the terminal one': (events) => events.push(structuredClone(events[4])) && renumber(events),
	'no created event': (events) => events.shift() && renumber(events),
	'no in_progress event': (events) => events.splice(1, 1) && renumber(events),
	'a part that is never done': (events) => events.splice(7, 1) && renumber(events),
	'an item that is never added': (events) => events.splice(2, 1) && renumber(events),
	'a text in done that differs from the deltas': (events) => (events[6].text = 'abc'),
	'a final text that differs': (events) => (events[9].response.output[0].content[0].text = 'abc'),
	'a final output that lacks the item': (events) => (events[9].response.output = []),
	'another item id': (events) => (events[5].item_id = 'msg_2'),
	'another response id': (events) => (events[9].response.id = 'resp_2'),
	'a missing field of an event': (events) => delete events[4].content_index,
	'a missing field of the response': (events) => delete events[0].response.metadata,
	'a status that does not fit the event': (events) => (events[9].response.status = 'in_progress'),
	'a completed response with an error': (events) => (events[9].response.error = { code: 'x', message: 'y' }),
	'an unknown event': (events) => (events[4].type = 'response.surprise'),
	'usage that does not add up': (events) =>
		(events[9].response.usage = {
			input_tokens: 1,
			output_tokens: 1,
			total_tokens: 3,
			input_tokens_details: { cached_tokens: 0 },
			output_tokens_details: { reasoning_tokens: 0 },
		}),
};

const RICH_WRONGS = {
	'lost reasoning': (events) => (events[4].delta = 'h'),
	'reasoning that is told as text': (events) => (events[4].type = 'response.output_text.delta'),
	'a lost logprob': (events) => (events[10].logprobs = []),
	'a logprob that the end lacks': (events) => (events[12].logprobs = []),
	'an annotation that the part lacks': (events) => (events[13].part.annotations = []),
	'an annotation with a wrong number': (events) => (events[11].annotation_index = 1),
	'arguments of another call': (events) => ([events[17].delta, events[18].delta] = ['{}', '[]']),
	'a lost piece of arguments': (events) => events.splice(17, 1) && renumber(events),
	'a call that never ends': (events) => events.splice(22, 1) && renumber(events),
	'a call with another name at its end': (events) => (events[20].item.name = 'g'),
	'a part in a call': (events) => events.splice(16, 0, { ...events[9], output_index: 2, item_id: 'fc_1' }) && renumber(events),
	'an item of no known kind': (events) => (events[2].item.type = 'thought'),
};

for (const [name, spoil] of Object.entries(RICH_WRONGS)) {
	test(`the checker refuses ${name}`, () => {
		const events = rich();
		spoil(events);
		assert.throws(() => checkStream(events), assert.AssertionError);
	});
}

for (const [name, spoil] of Object.entries(WRONGS)) {
	test(`the checker refuses ${name}`, () => {
		const events = right();
		spoil(events);
		assert.throws(() => checkStream(events), assert.AssertionError);
	});
}

test('the checker refuses an error envelope that lacks a field or has another code', () => {
	const error = { type: 'invalid_request_error', code: 'invalid_json', message: 'no', param: null };
	const envelope = { type: 'error', status: 400, error };
	checkError(envelope, { status: 400, code: 'invalid_json', param: null });
	assert.throws(() => checkError(envelope, { code: 'other' }));
	assert.throws(() => checkError(envelope, { status: 404 }));
	assert.throws(() => checkError({ ...envelope, status: undefined }));
	for (const field of ['type', 'code', 'message', 'param']) {
		const { [field]: _, ...less } = error;
		assert.throws(() => checkError({ ...envelope, error: less }), field);
	}
});
