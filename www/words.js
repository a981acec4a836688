/**
 * What a reader is told of messages, endings and errors, in plain words.
 * @module
 */

import { duration } from './transcript.js';

/** The text of a message item. */
export function itemText(item) {
	const parts = typeof item.content === 'string' ? [{ text: item.content }] : item.content;
	return parts.map((part) => part.text ?? part.refusal ?? '').filter(Boolean).join('\n\n');
}

/** What an answer says to its reader: its messages, and neither thoughts nor function calls. */
export function answerText(output) {
	return output.filter(({ type }) => type === 'message').map(itemText).join('\n\n');
}

const NOTES = {
	cancelled: 'You stopped this answer.',
	max_output_tokens: 'This answer ends here because it reached its length limit.',
	content_filter: 'The model’s filter ended this answer here.',
	server_restart: 'This answer ends here because the server was restarted.',
	upstream_cut: 'The model broke off here.',
	upstream_stalled: 'The model broke off here.',
	max_tool_calls: 'This answer ends here because it called as many functions as it may.',
	steered: 'Something was added to the question here.',
	abandoned: 'This answer ends here because nobody was there to read it.',
};

/** Whether somebody stopped it. */
export function wasCancelled(response) {
	return response.status === 'cancelled' || response.incomplete_details?.reason === 'cancelled';
}

/** What to say at the end of an answer, or nothing. */
export function endNote(response) {
	if (response.status === 'completed') {
		return '';
	}
	const reason = wasCancelled(response) ? 'cancelled' : response.incomplete_details?.reason;
	return NOTES[reason] ?? 'This answer is not complete.';
}

/** What a reader is told of an error. */
export function describe(error, title) {
	if (error.status === 429 || error.code === 'rate_limit_exceeded') {
		const wait = error.retryAfterMs ?? 5_000;
		return {
			title: 'One moment, please',
			text: `More messages came than the server takes. It takes the next in ${duration(Math.ceil(wait / 1000))}.`,
			retryAt: Date.now() + wait,
		};
	}
	if (error.code === 'connection_lost') {
		return { title: 'The message may not have arrived', text: 'The connection ended before the server answered.', button: 'Send again' };
	}
	if (error.code === 'previous_response_not_ready') {
		return { title: 'One moment, please', text: 'The answer before this message is still being written.' };
	}
	return { title, text: error.message ?? 'The server gave no reason.', code: error.code };
}
