// Between the browser and the server, for a network that fails: passes bytes on until it is told not to.
import { once } from 'node:events';
import net from 'node:net';

export class Relay {
	#pairs = new Set();
	#server = net.createServer((near) => this.#join(near));
	/** Whether new connections are refused. */
	down = false;

	async start() {
		this.#server.listen(0, '127.0.0.1');
		await once(this.#server, 'listening');
		this.origin = `http://127.0.0.1:${this.#server.address().port}`;
		return this;
	}

	#join(near) {
		if (this.down) {
			near.destroy();
			return;
		}
		const far = net.connect(this.port, '127.0.0.1');
		const pair = { near, far };
		this.#pairs.add(pair);
		const end = () => {
			this.#pairs.delete(pair);
			near.destroy();
			far.destroy();
		};
		for (const socket of [near, far]) {
			socket.on('error', end);
			socket.on('close', end);
		}
		near.pipe(far).pipe(near);
	}

	/** Ends every connection in mid-sentence and takes no new one. */
	cut() {
		this.down = true;
		for (const { near, far } of this.#pairs) {
			near.destroy();
			far.destroy();
		}
	}

	/** What stands open carries nothing any more and does not know it, as after a change of networks. */
	stall() {
		this.mute();
		for (const { near, far } of this.#pairs) {
			near.unpipe(far).resume();
		}
	}

	/** What stands open carries nothing from the server to the browser any more. */
	mute() {
		for (const { near, far } of this.#pairs) {
			far.unpipe(near).resume();
		}
	}

	mend() {
		this.down = false;
	}

	async stop() {
		this.cut();
		await new Promise((resolve) => this.#server.close(resolve));
	}
}
