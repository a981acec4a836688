// What the relays in JavaScript share: the model server's answer, read as it comes and sent on token by token.

/** The payloads of an event stream. */
async function* payloads(body) {
	const decoder = new TextDecoder();
	let rest = '';
	for await (const bytes of body) {
		rest += decoder.decode(bytes, { stream: true });
		const events = rest.split('\n\n');
		rest = events.pop();
		for (const event of events) {
			yield event.slice('data: '.length);
		}
	}
}

async function answer(upstream, { model, input }, send) {
	const { body } = await fetch(upstream, {
		method: 'POST',
		headers: { 'content-type': 'application/json' },
		body: JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: input }] }),
	});
	send({ type: 'response.created' });
	for await (const payload of payloads(body)) {
		const delta = payload === '[DONE]' ? undefined : JSON.parse(payload).choices[0].delta.content;
		if (delta !== undefined) {
			send({ type: 'response.output_text.delta', item_id: 'msg_1', output_index: 0, content_index: 0, delta });
		}
	}
	send({ type: 'response.completed' });
}

/** Answers one message of a client on its socket. */
export async function relay(upstreamPort, socket, message) {
	let number = 0;
	const send = (event) => socket.send(JSON.stringify({ ...event, sequence_number: number++ }));
	try {
		await answer(`http://127.0.0.1:${upstreamPort}/v1/chat/completions`, JSON.parse(message), send);
	} catch (error) {
		send({ type: 'error', message: String(error) });
	}
}
