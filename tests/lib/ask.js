// One request over either transport, and its outcome in one form.

/** Over HTTP without events: { status, response } or { status, error }. */
async function overHttp(stage, request) {
	const answer = await stage.fetch('/v1/responses', { body: request });
	const body = await answer.json();
	return answer.status === 200 ? { status: 200, response: body } : { status: answer.status, error: body.error };
}

const ENDS = ['response.completed', 'response.incomplete', 'response.failed'];

/** Over a WebSocket of its own; the response is that of the terminal event. */
async function overWebSocket(stage, request) {
	const chat = await stage.chat();
	try {
		chat.send({ type: 'response.create', ...request });
		const end = await chat.wait((event) => event.type === 'error' || ENDS.includes(event.type), { from: 0 });
		return end.type === 'error' ? { status: end.status, error: end.error } : { status: 200, response: end.response };
	} finally {
		chat.drop();
	}
}

export const transports = { HTTP: overHttp, WebSocket: overWebSocket };

/** Replies of the fake upstream that call functions: `calls` are { id, name, arguments }. */
export const calls =
	(list, { text = '', reasoning = '' } = {}) =>
	async (x) => {
		if (reasoning) {
			await x.write(x.event({ reasoning_content: reasoning }));
		}
		if (text) {
			await x.say(text);
		}
		for (const [index, call] of list.entries()) {
			const begun = { index, id: call.id, type: 'function', function: { name: call.name, arguments: '' } };
			await x.write(x.event({ tool_calls: [begun] }));
			await x.write(x.event({ tool_calls: [{ index, function: { arguments: call.arguments } }] }));
		}
		await x.finish('tool_calls', { input: 7, output: 3 });
		await x.done();
	};
