// node:test with a deadline for every test: one that hangs fails by itself and names itself.
import nodeTest, { after, before } from 'node:test';

const DEADLINE_MS = 90_000;

export function test(name, options, body) {
	if (typeof options === 'function') {
		return test(name, {}, options);
	}
	return nodeTest(name, { timeout: DEADLINE_MS, ...options }, body);
}

export { after, before };
