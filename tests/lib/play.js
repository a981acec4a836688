// Carries out one schedule: every client of it is in this process.
import assert from 'node:assert/strict';
import { Answer } from './answer.js';
import { streamedText } from './check.js';
import { random } from './random.js';
import { Device, Reading, Stream } from './reader.js';
import { within } from './server.js';
import { eventually } from './setup.js';

/** The devices up to this one ask and resume; those behind it only watch conversations. */
const LAST_READER = 4;
const PATIENCE_MS = 20_000;
const turn = () => new Promise(setImmediate);

/** One schedule while it is carried out. */
export class Play {
	constructor(world, plan, key) {
		Object.assign(this, { world, plan, key });
		this.devices = [];
		this.readings = [];
		this.posts = []; // answers that were asked for without a stream
		this.cancels = [];
		this.work = []; // promises that end with the schedule
		this.complaints = [];
		this.answers = plan.answers.map((how) => this.#answer(how));
	}

	#answer(how) {
		const { seed } = this.plan;
		const question = `question ${how.number} of schedule ${seed}.${this.world.plays}`;
		const answer = new Answer({ ...how, question, dice: random(`answer ${how.number}`, seed) });
		Object.assign(answer, {
			parent: undefined, // the answer that it really continues
			how: how.how,
			asked: false,
			id: undefined,
			offsets: new Map(), // sequence number -> characters of the text up to there, as clients saw it
			ended: false, // a client saw the terminal event
			last: -1, // the last event that any client saw
			seen: 0, // characters that any client saw
			cancelled: false, // a cancel was sent
		});
		this.world.answers.set(question, answer);
		return answer;
	}

	async run() {
		for (const [at, step] of this.plan.steps.entries()) {
			this.at = at;
			await this[step.do](step);
		}
		this.at = 'the end';
		await this.#finish();
	}

	// --- steps --------------------------------------------------------------------------------------------------

	async ask({ answer: number }) {
		const answer = this.answers[number];
		const plan = this.plan.answers[number];
		const parent = this.answers[plan.parent];
		if (parent?.id && parent.store) {
			answer.parent = parent;
		}
		answer.asked = true;
		answer.epoch = this.world.epoch;
		const request = {
			input: answer.question,
			store: answer.store,
			metadata: { answer: String(number) },
			...(answer.parent ? { previous_response_id: answer.parent.id } : {}),
		};
		this.#makeDue(answer);
		if (plan.how === 'post') {
			this.#post(answer, request);
			return;
		}
		const reading = this.#reading({ answer, how: `ask over ${plan.how}` });
		answer.first = reading;
		if (plan.how === 'sse') {
			new Stream(this.world.server, this.key, reading, {
				method: 'POST',
				path: '/v1/responses',
				body: { ...request, stream: true },
			});
		} else {
			(await this.#device(plan.device)).read(reading, { type: 'response.create', ...request }, plan.lane);
		}
	}

	async say({ answer, tokens, style }) {
		this.answers[answer].say(tokens, style);
	}

	async end({ answer, how }) {
		this.answers[answer].end(how);
	}

	/** Waits until a reader has a part of what the upstream was told to say. */
	async seen({ reading: number, part }) {
		const reading = this.#numbered(number);
		const upTo = reading ? Math.floor(reading.answer.reach * part) : 0;
		await this.#caughtUp(reading, upTo);
	}

	async watch({ answer: number, how, device, lane, from }) {
		const answer = this.answers[number];
		if (!answer.id) {
			return;
		}
		// A client that has the terminal event has no reason to ask for what comes behind it.
		const most = answer.ended ? answer.last - 1 : answer.last;
		const after = from === 'start' ? -1 : from === 'last' ? most : Math.floor(from * (most + 1));
		const reading = this.#reading({ answer, how: `watch over ${how}`, from: after + 1 });
		if (how === 'sse') {
			const query = after < 0 ? '' : `&starting_after=${after}`;
			new Stream(this.world.server, this.key, reading, { path: `/v1/responses/${answer.id}?stream=true${query}` });
		} else {
			const message = { type: 'sluice:response.resume', response_id: answer.id };
			(await this.#device(device)).read(reading, after < 0 ? message : { ...message, starting_after: after }, lane);
		}
	}

	/** A device watches the conversation of an answer. Those that run now and those asked from now on must come to it. */
	async follow({ answer: number, device: which }) {
		const { conversation } = this.answers[number];
		const device = conversation && (await this.#device(which));
		if (!device || device.paused || device.subscriptions.has(conversation)) {
			return;
		}
		await within(PATIENCE_MS, device.subscribe(conversation), `device ${which} watches ${conversation}`);
		const due = this.answers.filter((one) => one.conversation === conversation && this.#runs(one));
		device.due = new Set([...(device.due ?? []), ...due]);
	}

	async cut({ reading: number, how }) {
		const reading = this.#numbered(number);
		if (!reading || reading.over) {
			return;
		}
		const lost = reading.device.readings ?? [reading];
		if (how === 'reset') {
			// What comes from now on is not read: then the kernel resets the connection that is closed.
			reading.device.pause();
			await turn();
			await turn();
		}
		reading.device.cut(how);
		for (const { answer } of lost) {
			// Nobody else may read what is not stored: its upstream is stopped.
			if (!answer.store && answer.first && lost.includes(answer.first) && answer.exchanges[0] && !answer.finish) {
				await within(PATIENCE_MS, answer.exchanges[0].closed, `answer ${answer.number}, not stored, is stopped`);
			}
		}
	}

	async pause({ reading }) {
		this.#numbered(reading)?.device.pause();
	}

	async resume({ reading }) {
		this.#numbered(reading)?.device.resume();
	}

	async cancel({ answer: number, how }) {
		const answer = this.answers[number];
		const { first } = answer;
		if (how === 'ws unnamed') {
			if (first && !first.over && first.device instanceof Device && !first.device.waits(first)) {
				// If this one has ended and the news is still on the way, it is the next in the lane that is stopped.
				first.device.lanes.get(first.lane).forEach((reading) => (reading.answer.cancelled = true));
				first.device.send({ type: 'response.cancel' }, first.lane);
			}
			return;
		}
		if (!answer.id) {
			return;
		}
		answer.cancelled = true;
		if (how !== 'http') {
			// Where nothing is read, an error about an id that is not kept is surely about the cancel.
			const device = await this.#device(answer.store ? 3 : 4);
			const message = { type: 'sluice:response.cancel', response_id: answer.id };
			device.send(message);
			if (how === 'twice') {
				device.send(message);
			}
			return;
		}
		const epoch = this.world.epoch;
		this.work.push(
			this.#json(`/v1/responses/${answer.id}/cancel`, { method: 'POST' }).then(
				({ status, body }) => this.cancels.push({ answer, status, body }),
				(error) => this.#lost(epoch, `a cancel of answer ${number}: ${error}`),
			),
		);
	}

	/** What the server says of it is what was said, and no less than its readers have. */
	async look({ answer: number }) {
		const answer = this.answers[number];
		if (!answer.id || !answer.store) {
			return;
		}
		const { epoch } = this.world;
		const atLeast = answer.epoch === epoch ? answer.seen : 0;
		const { status, body } = await this.#json(`/v1/responses/${answer.id}`);
		assert.equal(status, 200, `answer ${number} is there: ${JSON.stringify(body)}`);
		const text = streamedText(body);
		assert.ok(answer.text().startsWith(text), `answer ${number} is read as it was said`);
		assert.ok(text.length >= atLeast, `answer ${number} has ${text.length} characters, and a reader has ${atLeast}`);
	}

	/** Waits until what was said so far is in a checkpoint. */
	async keep({ answer: number }) {
		const answer = this.answers[number];
		const reading = this.readings.find((one) => one.answer === answer && !one.over && !one.device.paused);
		if (!reading || !answer.store || answer.finish || answer.cancelled || answer.epoch !== this.world.epoch) {
			return;
		}
		answer.say(1, 'together');
		await this.#caughtUp(reading, answer.reach);
		if (!reading.over && reading.offset >= answer.reach && answer.exchanges[0] && !answer.exchanges[0].gone) {
			const { last } = answer;
			await within(PATIENCE_MS, this.world.keeps(answer.id, last), `event ${last} of answer ${number} is kept by a checkpoint`);
		}
	}

	async kill({ turns }) {
		for (let n = 0; n < turns; n++) {
			await turn();
		}
		this.killed = true;
		await this.#restart(() => this.world.server.kill());
		this.world.kills++;
	}

	/** SIGTERM; what still runs is let finish, or not. */
	async drain({ finish }) {
		if (finish) {
			this.#finishAnswers();
			this.#unpause();
		}
		await this.#restart(() => this.world.server.stop());
		this.world.drains++;
	}

	#numbered(number) {
		return number === 'latest' ? this.readings.at(-1) : this.readings.at(-1 - (number % this.readings.length));
	}

	// --- help ---------------------------------------------------------------------------------------------------

	/** Surely: it was asked of this server, and nothing has ended it. */
	#runs(answer) {
		return answer.asked && answer.epoch === this.world.epoch && !answer.finish && !answer.cancelled;
	}

	/** A new turn comes to the devices that watch its conversation. */
	#makeDue(answer) {
		for (const device of this.devices) {
			if (answer.store && answer.parent && device?.subscriptions.get(answer.parent.conversation)) {
				device.due.add(answer);
			}
		}
	}

	/** The reading of a turn that a device hears of. */
	#announced({ input, conversation }) {
		const question = input.at(-1).content[0].text;
		const answer = this.answers.find((one) => one.question === question);
		answer.conversation ??= conversation;
		return this.#reading({ answer, how: 'follow' });
	}

	/** Devices that only watch, and still do, get every turn that is due to them. */
	async #followed() {
		for (const [number, device] of this.devices.entries()) {
			for (const answer of number > LAST_READER && !device?.over ? (device?.due ?? []) : []) {
				const there = device.until(() => device.over || device.follows.get(answer.id)?.ended);
				if (answer.id && answer.exchanges.length > 0) {
					await within(PATIENCE_MS, there, () => `device ${number} follows answer ${answer.number}`);
				}
			}
		}
	}

	#reading(how) {
		const reading = new Reading({ ...how, epoch: this.world.epoch });
		this.readings.push(reading);
		return reading;
	}

	/** The open WebSocket of that device; a new one when it has none. */
	async #device(number) {
		if (!this.devices[number] || this.devices[number].over) {
			this.devices[number] = new Device(this.world.server, this.key, (message) => this.#announced(message));
		}
		const device = this.devices[number];
		assert.ok(await within(PATIENCE_MS, device.open, `device ${number} connects`), `device ${number} connects`);
		return device;
	}

	async #json(path, options = {}) {
		const answer = await this.world.server.fetch(path, { key: this.key, ...options });
		return { status: answer.status, body: await answer.json() };
	}

	#post(answer, request) {
		const { epoch } = this.world;
		this.work.push(
			this.#json('/v1/responses', { body: request }).then(
				({ status, body }) => {
					this.posts.push({ answer, status, body });
					answer.id = body.id;
				},
				(error) => this.#lost(epoch, `the POST of answer ${answer.number}: ${error}`),
			),
		);
	}

	/** A request may fail when the server was killed under it, and only then. */
	#lost(epoch, what) {
		if (epoch === this.world.epoch && !this.world.falling) {
			this.complaints.push(`${what}, and the server was not killed`);
		}
	}

	async #caughtUp(reading, upTo) {
		const idle = () => reading.over || reading.device.paused || reading.device.waits(reading) || reading.offset === undefined;
		if (reading && !reading.over) {
			const there = reading.until(() => idle() || reading.offset >= upTo);
			await within(PATIENCE_MS, there, () => `${reading} has ${reading.offset} of ${upTo} characters`);
		}
	}

	async #restart(end) {
		const { world } = this;
		world.falling = true;
		await end();
		world.epoch++;
		await Promise.all(this.readings.map((reading) => this.#over(reading)));
		world.falling = false;
		await world.server.start();
	}

	#over(reading) {
		reading.device.resume();
		return within(PATIENCE_MS, reading.until(() => reading.over), () => `${reading} does not end`);
	}

	#unpause() {
		this.readings.forEach((reading) => reading.device.resume());
	}

	#finishAnswers() {
		for (const answer of this.answers) {
			if (answer.asked && !answer.finish) {
				answer.say(answer.tokens.length, 'together');
				answer.end('stop');
			}
		}
	}

	async #finish() {
		this.#unpause();
		this.#finishAnswers();
		await Promise.all(this.readings.map((reading) => this.#over(reading)));
		await within(PATIENCE_MS, Promise.all(this.work), 'every request is answered');
		const running = async () => Number(/^sluice_responses_live (\d+)/m.exec(await (await this.world.server.fetch('/metrics')).text())[1]);
		await eventually(running, (count) => count === 0, PATIENCE_MS);
		for (const { exchanges, number } of this.answers) {
			const closed = Promise.all(exchanges.map((x) => x.closed));
			await within(PATIENCE_MS, closed, `the upstream's side of answer ${number} is over`);
		}
		await this.#followed();
		this.devices.forEach((device) => device.over || device.cut('close'));
	}
}
