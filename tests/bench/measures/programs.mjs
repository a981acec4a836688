// Bench programs that stand alone and print a line of JSON: run as they are. One row each.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { BUILD, HERE } from '../lib/programs.mjs';

function run(file, args) {
	return new Promise((resolve, reject) => {
		const child = spawn(process.execPath, [path.join(HERE, file), ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, BUILD } });
		let out = '';
		let complaint = '';
		child.stdout.on('data', (data) => (out += data));
		child.stderr.on('data', (data) => (complaint += data));
		child.on('error', reject);
		child.on('close', (code) => {
			const line = out.split('\n').findLast((one) => one.startsWith('{'));
			if (code === 0 && line) {
				resolve({ result: JSON.parse(line), text: out.split('\n').filter((one) => one && !one.startsWith('{')) });
			} else {
				reject(new Error(`${file} ended with ${code}: ${complaint.slice(-600)}`));
			}
		});
	});
}

const measure = (file, args, smokeArgs) => async (options, say) => {
	const { result, text } = await run(file, options.smoke ? smokeArgs : args);
	(text.length > 0 ? text : [JSON.stringify(result)]).forEach(say);
	return result;
};

const ROWS = [
	['turns', 'turns that are durable before they are over', 'turns.mjs', ['--seconds', '5'], ['--seconds', '1', '--rounds', '1', '--connections', '8']],
	['growth', 'a turn in a conversation of 10 to 10,000 turns', 'growth.mjs', [], ['--most', '10', '--turns', '3']],
	['start', 'start on a database of a million items', 'start.mjs', [], ['--conversations', '20', '--rounds', '1']],
];

export const PROGRAMS = Object.fromEntries(
	ROWS.filter(([, , file]) => existsSync(path.join(HERE, file))).map(([name, title, file, args, smokeArgs]) => [name, { title, run: measure(file, args, smokeArgs) }]),
);
