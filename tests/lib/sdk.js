// The OpenAI SDK, pointed at the server under test.
import OpenAI from 'openai';
import { ResponsesWS } from 'openai/resources/responses/ws';

/** The HTTP client. It does not retry unless a test says so: a test wants to see the first answer. */
export const openai = (server, key, options = {}) =>
	new OpenAI({ apiKey: key, baseURL: `${server.url}/v1`, maxRetries: 0, timeout: 60_000, ...options });

/** The SDK's own WebSocket client. */
export const responsesWS = (server, key, options) => new ResponsesWS(openai(server, key), options);
