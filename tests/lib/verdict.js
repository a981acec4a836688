// What must hold of every schedule when it is over, whatever happened in it.
import assert from 'node:assert/strict';
import { checkResponse, checkStream, isTerminal, streamedText } from './check.js';
import { parseStream } from './reader.js';
import { messageText } from './upstream.js';

/** What a reader may be refused with, and when. */
const REFUSALS = {
	server_draining: ({ world }) => world.drains > 0,
	previous_response_not_ready: ({ reading }) => reading.answer.parent !== undefined,
	response_not_found: ({ reading }) => !reading.answer.store && reading !== reading.answer.first,
};

/** An item is closed when the next one opens, or at the end. */
const isOpening = ({ type }) => type.endsWith('.delta') || type.endsWith('.added');

/**
 * The events of a response that a killed server left, up to the last that was stored; those behind were made when it was
 * read again. In all others every event was stored.
 */
function storedEvents(log, killed) {
	const { incomplete_details: details } = log.at(-1).response;
	if (!killed || details?.reason !== 'server_restart') {
		return log.length;
	}
	return Math.max(2, log.findLastIndex(isOpening) + 1);
}

async function read(play, path) {
	const answer = await play.world.server.fetch(path, { key: play.key });
	return { status: answer.status, body: answer.headers.get('content-type')?.includes('json') ? await answer.json() : await answer.text() };
}

/** A response's log, as a replay from its first event tells it. */
async function replay(play, id) {
	const { status, body } = await read(play, `/v1/responses/${id}?stream=true`);
	assert.equal(status, 200, `the replay of ${id}: ${JSON.stringify(body)}`);
	const events = parseStream(body);
	assert.equal(events.pop().data, '[DONE]', 'the replay ends with [DONE]');
	return events.map(({ data }) => JSON.parse(data));
}

/** A terminal event tells of a cancelled response as the specification has it: incomplete. */
const asEvent = (response) => (response.status === 'cancelled' ? { ...response, status: 'incomplete' } : response);

/** How it ended must have a cause, and every cause its end. */
function checkStatus(play, answer, response) {
	const restarted = answer.epoch < play.world.epoch;
	const ends = { stop: 'completed', length: 'max_output_tokens', cut: 'upstream_cut' };
	const end = response.status === 'completed' ? 'completed' : response.incomplete_details?.reason;
	const allowed = [ends[answer.finish], answer.cancelled && 'cancelled', restarted && 'server_restart'];
	assert.ok(allowed.includes(end), `it ended as ${end}; it may as ${allowed.filter(Boolean)}`);
	if (end === 'completed' || end === 'max_output_tokens' || end === 'upstream_cut') {
		assert.equal(streamedText(response), answer.text(answer.said), 'the whole text');
	}
}

/** One reading beside the log. Gives how many of its events were not stored: shown in the moment before a kill. */
function checkReading(play, reading, log, stored) {
	const { answer, events, from } = reading;
	assert.deepEqual(reading.complaints, [], `${reading}`);
	if (reading.error) {
		const allowed = REFUSALS[reading.error.code];
		assert.ok(allowed?.({ ...play, reading }), `${reading}: ${JSON.stringify(reading.error)}`);
		assert.equal(events.length, 0, `${reading}: an error behind events`);
		return 0;
	}
	const before = reading.epoch === answer.epoch && reading.epoch < play.world.epoch;
	if (reading.ahead || (!before && from > 0 && from >= log.length)) {
		// Its client saw more than a killed server left, and is told how it ended.
		assert.ok(stored < log.length && from >= log.length, `${reading}: behind the end of what was stored`);
		assert.deepEqual(events, reading.over && !reading.ended ? [] : [log.at(-1)], `${reading}: the terminal event alone`);
		return 0;
	}
	const bound = before ? stored : log.length;
	const kept = events.filter((event) => event.sequence_number < bound);
	assert.deepEqual(kept, log.slice(from, from + kept.length), `${reading}: its events are those of the log`);
	assert.ok(bound < log.length || events.length === kept.length, `${reading}: events behind the end of the log`);
	assert.ok(events.filter(isTerminal).length <= 1, `${reading}: one terminal event`);
	if (reading.ended) {
		assert.deepEqual(events.at(-1), log.at(-1), `${reading}: the terminal event stays what it was`);
	}
	return events.length - kept.length;
}

/** What clients saw in the moment before a kill, and is not stored, was at least the same for all, and was said. */
function checkSeen(answer, readings) {
	const seen = new Map();
	for (const event of readings.flatMap(({ events }) => events)) {
		assert.deepEqual(event, seen.get(event.sequence_number) ?? event, 'two readers see the same event');
		seen.set(event.sequence_number, event);
	}
	if (readings.some(({ from }) => from === 0)) {
		const deltas = [...seen.values()].filter(({ delta }) => delta !== undefined);
		const told = deltas.sort((a, b) => a.sequence_number - b.sequence_number).map(({ delta }) => delta);
		assert.ok(answer.text().startsWith(told.join('')), 'what was seen was said');
	}
}

/** Milliseconds of the stream between the last text that is stored and the last that a client saw. */
function lossWindow(answer, stored) {
	if (answer.seen <= stored) {
		return 0;
	}
	const at = (end) => answer.leftAt[answer.ends.findIndex((one) => one >= end)];
	return (at(answer.seen) ?? answer.leftAt.at(-1)) - (stored ? at(stored) : answer.leftAt[0]);
}

async function checkStored(play, answer, tally) {
	const log = await replay(play, answer.id);
	const { response } = checkStream(log);
	const text = streamedText(response);
	const killed = play.killed && answer.epoch < play.world.epoch;
	const stored = storedEvents(log, killed);
	const readings = play.readings.filter((reading) => reading.answer === answer);
	checkStatus(play, answer, response);
	assert.equal(response.metadata.answer, String(answer.number), 'its metadata');
	assert.ok(answer.text().startsWith(text), 'its text is what was said');
	assert.ok(stored >= (play.world.kept.get(answer.id) ?? 0), 'what a checkpoint kept is there');
	const lost = readings.map((reading) => checkReading(play, reading, log, stored));
	checkSeen(answer, readings.filter(({ epoch }) => epoch === answer.epoch));
	const { status, body } = await read(play, `/v1/responses/${answer.id}`);
	assert.equal(status, 200);
	checkResponse(body);
	assert.deepEqual(asEvent(body), response, 'GET and the terminal event tell the same');
	for (const done of [...play.cancels, ...play.posts].filter((one) => one.answer === answer && one.status === 200)) {
		assert.deepEqual(done.body, body, 'what a cancel or POST was answered stays so');
	}
	tally.events += readings.reduce((sum, { events }) => sum + events.length, log.length);
	tally.readings += readings.length;
	if (stored < log.length) {
		tally.torn++;
		tally.kept += text === '' ? 0 : 1;
		tally.unkept += Math.max(0, ...lost);
		tally.windows.push(lossWindow(answer, text.length));
	}
	const followed = play.devices.flatMap((device) => [...(device?.follows.values() ?? [])]);
	tally.followed += followed.filter((one) => one.answer === answer).length;
	return { answer, response: body };
}

/** Not stored: only the connection that asked for it reads it, and nothing is left. */
async function checkUnstored(play, answer, tally) {
	const { first } = answer;
	const readings = play.readings.filter((one) => one.answer === answer);
	const own = readings.filter(({ device }) => device === first?.device);
	for (const reading of readings.filter((one) => !own.includes(one))) {
		assert.equal(reading.events.length, 0, `${reading}: nobody else reads what is not stored`);
	}
	const seen = new Map(own.flatMap((reading) => reading.events).map((event) => [event.sequence_number, event]));
	const log = [...seen.values()].sort((a, b) => a.sequence_number - b.sequence_number);
	own.filter(({ events, error }) => events.length > 0 || error).forEach((reading) => checkReading(play, reading, log, log.length));
	checkSeen(answer, own);
	tally.events += own.reduce((sum, reading) => sum + reading.events.length, 0);
	if (first?.ended) {
		const { response } = checkStream(log);
		checkStatus(play, answer, response);
		assert.ok(answer.text().startsWith(streamedText(response)), 'its text is what was said');
	}
	if (answer.id) {
		assert.equal((await read(play, `/v1/responses/${answer.id}`)).status, 404, 'nothing is kept');
	}
}

/** Every item of a conversation, page by page. */
async function listItems(play, conversation) {
	const items = [];
	for (let more = true; more; ) {
		const after = items.length ? `&after=${items.at(-1).id}` : '';
		const { body } = await read(play, `/v1/conversations/${conversation}/items?limit=1000${after}`);
		items.push(...body.data);
		more = body.has_more;
	}
	return items;
}

/** What a model is shown of an earlier answer: its words, and, if it was not cut off, its calls, which nobody answers here. */
function shownOf({ output, status } = { output: [] }) {
	const messages = output.filter(({ type }) => type === 'message');
	const calls = output.filter(({ type }) => type === 'function_call' && status === 'completed');
	const content = messages.flatMap((item) => item.content.map((part) => part.text)).join('');
	const shown = { role: 'assistant', content, calls: calls.map(({ call_id, arguments: args }) => [call_id, args]) };
	return messages.length + calls.length > 0 ? [shown] : [];
}

const asShown = ({ role, tool_calls: calls = [], ...message }) => ({
	role,
	content: messageText(message),
	calls: calls.map((call) => [call.id, call.function.arguments]),
});

/** What the model was shown, and what the conversation's list of messages has: the turns up to this one. */
async function checkConversation(play, { answer, response }, judged) {
	const path = [];
	for (let one = answer; one; one = one.parent) {
		path.unshift(one);
	}
	const responses = path.map((one) => judged.get(one)?.response);
	const outputs = responses.map((one) => one?.output ?? []);
	const asked = (question) => ({ role: 'user', content: question, calls: [] });
	const told = path.flatMap(({ question }, at) => [asked(question), ...(at === path.length - 1 ? [] : shownOf(responses[at]))]);
	for (const x of answer.exchanges) {
		assert.deepEqual(x.messages.map(asShown), told, `what the model was shown for answer ${answer.number}`);
	}
	const data = await listItems(play, response.conversation.id);
	const questions = data.filter(({ role }) => role === 'user').map((item) => item.content[0].text);
	if (questions.at(-1) !== answer.question) {
		return; // another branch is the latest
	}
	assert.deepEqual(questions, path.map(({ question }) => question), 'the questions of the conversation');
	const listed = path.flatMap((one, at) => outputs[at].map((item) => ({ ...item, 'sluice:response_id': one.id })));
	assert.deepEqual(data.filter(({ role }) => role !== 'user'), listed, 'the answers of the conversation');
}

/** Responses whose clients never learned their ids have ended too. */
async function checkOrphans(play) {
	const { body } = await read(play, '/v1/conversations?limit=100');
	for (const { last_response_id: id } of body.data) {
		const { response } = checkStream(await replay(play, id));
		const answer = play.answers[Number(response.metadata.answer)];
		assert.ok(answer.text().startsWith(streamedText(response)), `${id}: its text is what was said`);
	}
}

/** Judges a schedule that was carried out; adds what it counted to `tally`. Throws at the first thing that is wrong. */
export async function judge(play, tally) {
	const judged = new Map();
	assert.deepEqual(play.complaints, []);
	for (const answer of play.answers.filter(({ asked }) => asked)) {
		try {
			if (!answer.store) {
				await checkUnstored(play, answer, tally);
			} else if (answer.id) {
				judged.set(answer, await checkStored(play, answer, tally));
			}
		} catch (error) {
			error.message = `answer ${answer.number} (${answer.id}): ${error.message}`;
			throw error;
		}
		tally.responses++;
	}
	for (const one of judged.values()) {
		await checkConversation(play, one, judged);
	}
	await checkOrphans(play);
	tally.schedules++;
	return [...judged.values()].map(({ response }) => response);
}

/** What is counted over many schedules. */
export const newTally = () => ({
	schedules: 0,
	responses: 0,
	readings: 0,
	followed: 0, // those of them that came to a device because it watches the conversation
	events: 0,
	kills: 0,
	drains: 0, // ends by SIGTERM
	torn: 0, // responses that a kill left without an end
	kept: 0, // those of them that have text
	unkept: 0, // events of them that a client saw and no checkpoint had
	windows: [], // milliseconds of stream that this was, for each of them
});
