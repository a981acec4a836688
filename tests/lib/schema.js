// www/openapi.json as a judge: what the server sends must be what the document says. Each schema is compiled once.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';

export const openapi = JSON.parse(readFileSync(fileURLToPath(new URL('../../www/openapi.json', import.meta.url)), 'utf8'));

/** How much was validated in this process. */
export const tally = { answers: 0, events: 0 };

const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false });
ajv.addKeyword('discriminator');

/** What a "#/…" of the document points to. */
const resolve = (node) =>
	node?.$ref === undefined
		? node
		: resolve(
				node.$ref
					.slice(2)
					.split('/')
					.reduce((at, name) => at[name.replaceAll('~1', '/').replaceAll('~0', '~')], openapi),
			);

/** A schema of the document whose references are the names of the component schemas, under which the validator knows them. */
const named = (schema) =>
	JSON.parse(JSON.stringify(schema), (key, value) => (key === '$ref' ? value.replace('#/components/schemas/', '') : value));

for (const [name, schema] of Object.entries(openapi.components.schemas)) {
	ajv.addSchema(named(schema), name);
}

const compiled = new Map();

/** A validator of this schema. */
function validator(schema) {
	if (!compiled.has(schema)) {
		compiled.set(schema, ajv.compile(named(schema)));
	}
	return compiled.get(schema);
}

/** Of all that a oneOf complains about: what is wrong deepest inside the value, where its right branch was left. */
function explain(errors) {
	const depth = ({ instancePath }) => instancePath.split('/').length;
	const meant = errors.filter(({ keyword, instancePath }) => keyword !== 'const' || !instancePath.endsWith('/type'));
	const list = meant.length > 0 ? meant : errors;
	const deepest = Math.max(...list.map(depth));
	return list
		.filter((error) => depth(error) === deepest)
		.map(({ instancePath, message, params }) => `${instancePath || 'it'} ${message} ${JSON.stringify(params)}`)
		.join('; ');
}

/** Throws when the value does not fit. `what` it is, for people. */
function check(schema, value, what) {
	const validate = validator(schema);
	if (!validate(value)) {
		throw new Error(`${what} is not what /openapi.json says: ${explain(validate.errors)}\n${JSON.stringify(value)}`);
	}
}

/** Whether a value fits the component schema of this name. */
export const fits = (name, value) => validator(openapi.components.schemas[name])(value);

// --- events ---------------------------------------------------------------------------------------------------------

/** For each type of a union the schema of that type, with what the union says beside it. */
function byType(union, beside) {
	const { mapping } = union.discriminator;
	return new Map(Object.entries(mapping).map(([type, $ref]) => [type, { allOf: [{ $ref }], ...beside }]));
}

const { StreamEvent, ServerMessage } = openapi.components.schemas;
const streamEvents = byType(StreamEvent.allOf[0], { properties: StreamEvent.properties });
const serverMessages = byType(ServerMessage, { not: ServerMessage.not });

function checkOf(types, value, what) {
	const schema = types.get(value?.type);
	if (!schema) {
		throw new Error(`${what} is of no type that /openapi.json knows: ${JSON.stringify(value)}`);
	}
	check(schema, value, `${what} ${value.type}`);
	tally.events++;
}

/** A message of the server on a WebSocket. */
export const checkMessage = (message) => checkOf(serverMessages, message, 'the message');

/** The data of an event of a text/event-stream; `schema` is what the document says of that stream. */
export function checkEvent(event, schema) {
	if (resolve(schema) === StreamEvent) {
		checkOf(streamEvents, event, 'the event');
	} else {
		check(schema, event, 'the event');
		tally.events++;
	}
}

// --- answers --------------------------------------------------------------------------------------------------------

/** What may stand in place of a path's parameters. */
const takesSlashes = (name) =>
	Object.values(openapi.components.parameters).some((param) => param.name === name && param['x-sluice-slashes']);

const paths = Object.keys(openapi.paths)
	.map((template) => ({
		template,
		fixed: !template.includes('{'),
		pattern: new RegExp(
			`^${template.replaceAll('.', '\\.').replace(/\{(\w+)\}/g, (_, name) => (takesSlashes(name) ? '.+' : '[^/]+'))}$`,
		),
	}))
	.sort((a, b) => b.fixed - a.fixed);

const { Refused } = openapi.components.responses;
const PAGE_FILE = { headers: {} }; // of whatever type

/** What the document says of this method of a path; undefined when it says nothing. */
function operationOf(method, path) {
	const found = paths.find(({ pattern }) => pattern.test(path));
	return found && openapi.paths[found.template][method.toLowerCase()];
}

/** What the document says of an answer with this status. */
function describe({ method, path, status }) {
	const operation = operationOf(method, path);
	if (operation) {
		return resolve(operation.responses[status] ?? operation.responses[`${String(status)[0]}XX`]);
	}
	// A path or method that is not there, a question for permission, or a file of the page.
	if (status >= 400) {
		return Refused;
	}
	return method === 'OPTIONS' || method === 'HEAD' || !path.startsWith('/v1/') ? PAGE_FILE : undefined;
}

function checkHeaders(described, headers, what) {
	for (const [name, reference] of Object.entries(described.headers ?? {})) {
		const header = resolve(reference);
		const value = headers.get(name);
		if (value !== null) {
			check(header.schema, value, `${what}: its header ${name}`);
		} else if (header.required) {
			throw new Error(`${what} has no header ${name}, which /openapi.json promises`);
		}
	}
}

/**
 * What is to be checked of an answer whose head is there: { schema, events } of its body, `events` for a stream; null when it
 * has none to check. `headers` is a Headers. Throws when the head is not as described.
 */
export function checkHead({ method, path, status, headers }) {
	const what = `${method} ${path}: the answer ${status}`;
	const described = describe({ method, path, status });
	if (!described) {
		throw new Error(`${what} is not in /openapi.json`);
	}
	checkHeaders(described, headers, what);
	tally.answers++;
	if (described === PAGE_FILE || method === 'HEAD') {
		return null;
	}
	const media = headers.get('content-type')?.split(';')[0];
	if (!described.content) {
		if (media) {
			throw new Error(`${what} has a body, ${media}, of which /openapi.json says nothing`);
		}
		return null;
	}
	if (!described.content[media]) {
		throw new Error(`${what} is ${media}, not ${Object.keys(described.content)}`);
	}
	return { schema: described.content[media].schema, media, what };
}

/** The whole body of an answer, as checkHead() has described it. */
export function checkBody({ schema, media, what }, text) {
	check(schema, media === 'application/json' ? JSON.parse(text) : text, what);
}

// --- requests -------------------------------------------------------------------------------------------------------

/** Errors that say that a body has a form which it must not have, whatever the server knows beside. */
const ABOUT_FORM = ['invalid_type', 'missing_required_parameter', 'unknown_parameter'];

/** The server and the document agree about a request: what it took fits, what it refused for its form does not. */
export function checkRequest({ method, path, body, status }, answer) {
	const schema = operationOf(method, path)?.requestBody?.content['application/json'].schema;
	if (!schema) {
		return;
	}
	const validate = validator(schema);
	const fitting = validate(body);
	const what = () => `${method} ${path}: the request ${JSON.stringify(body)}`;
	if (status === 200 && !fitting) {
		throw new Error(`${what()} was taken, and /openapi.json refuses it: ${explain(validate.errors)}`);
	}
	const code = status === 400 ? JSON.parse(answer).error.code : undefined;
	if (fitting && ABOUT_FORM.includes(code)) {
		throw new Error(`${what()} was refused, and /openapi.json takes it: ${answer}`);
	}
}
