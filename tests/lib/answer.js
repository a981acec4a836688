// One answer of the fake upstream: its text is known beforehand, and leaves as the schedule orders. Its text is all that it
// says: words, reasoning, and the arguments of function calls, one behind the other.

const turn = () => new Promise(setImmediate);

export class Answer {
	/**
	 * `tokens`: its text in pieces; `kinds`: what each of them is: text, think, call (a function call begins), more of its
	 * arguments; `dice`: where a torn write breaks.
	 */
	constructor({ number, question, tokens, kinds, store, dice }) {
		Object.assign(this, { number, question, tokens, kinds, store, dice });
		this.ends = []; // where in the text each token ends
		tokens.reduce((end, token) => (this.ends.push(end + token.length), end + token.length), 0);
		this.orders = [];
		this.ordered = 0; // tokens that were ordered, and those that have left
		this.said = 0;
		this.leftAt = []; // when each token left
		this.exchanges = [];
		this.finish = undefined; // how it was ordered to end
	}

	/** The first `count` tokens as one text. */
	text(count = this.tokens.length) {
		return this.tokens.slice(0, count).join('');
	}

	/** The characters in the tokens ordered so far. */
	get reach() {
		return this.ordered ? this.ends[this.ordered - 1] : 0;
	}

	/** The next tokens leave. `style`: together in one write, apart, or torn anywhere. */
	say(count, style) {
		if (!this.finish) {
			this.ordered = Math.min(this.ordered + count, this.tokens.length);
			this.#order((x) => this.#say(x, this.ordered, style));
		}
	}

	/** It ends: `stop`, `length`, or `cut` in the middle of the stream. Before any text a cut would only be tried again. */
	end(how) {
		if (!this.finish) {
			this.finish = how === 'cut' && this.ordered === 0 ? 'stop' : how;
			this.#order((x) => this.#end(x));
		}
	}

	/** The reply to the request that asks for it. */
	async play(x) {
		this.exchanges.push(x);
		x.closed.then(() => this.wake?.());
		while (!x.gone && !x.ended) {
			const order = this.orders.shift();
			await (order ? order(x) : new Promise((resolve) => (this.wake = resolve)));
		}
	}

	/** What one chunk says for a token. */
	#delta(at) {
		const token = this.tokens[at];
		const index = this.kinds.slice(0, at + 1).filter((kind) => kind === 'call').length - 1;
		switch (this.kinds[at]) {
			case 'think':
				return { reasoning_content: token };
			case 'call':
				return { tool_calls: [{ index, id: `call_${index}`, type: 'function', function: { name: 'f', arguments: token } }] };
			case 'more':
				return { tool_calls: [{ index, function: { arguments: token } }] };
			default:
				return { content: token };
		}
	}

	#order(order) {
		this.orders.push(order);
		this.wake?.();
	}

	async #say(x, upTo, style) {
		const events = this.tokens.slice(this.said, upTo).map((_, at) => x.event(this.#delta(this.said + at)));
		const writes = style === 'together' ? [Buffer.from(events.join(''))] : events.map((event) => Buffer.from(event));
		for (const bytes of writes) {
			await this.#write(x, bytes, style === 'torn');
			if (x.gone) {
				return;
			}
			const left = style === 'together' ? upTo : this.said + 1;
			this.leftAt.push(...Array(left - this.said).fill(performance.now()));
			this.said = left;
		}
	}

	async #write(x, bytes, torn) {
		for (let at = 0; at < bytes.length && !x.gone; ) {
			const size = torn ? this.dice.integer(1, Math.max(1, bytes.length >> 1)) : bytes.length;
			await x.write(bytes.subarray(at, at + size));
			await turn();
			at += size;
		}
	}

	async #end(x) {
		if (this.finish === 'cut') {
			x.cut();
			return;
		}
		await x.finish(this.finish, { input: 7, output: this.said });
		await x.done();
	}
}
