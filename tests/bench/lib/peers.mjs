// Today's peers: relays that a WebSocket client asks and that ask the same upstream. One that can't be had says why.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { HERE, startListener } from './programs.mjs';

const folder = path.join(HERE, 'peers');

function bunProgram() {
	const packages = path.join(folder, 'node_modules/@oven');
	const programs = existsSync(packages) ? readdirSync(packages).map((name) => path.join(packages, name, 'bin/bun')) : [];
	return programs.find((program) => {
		try {
			execFileSync(program, ['--version'], { stdio: 'ignore' });
			return true;
		} catch {
			return false; // one that is built for processors that know AVX2, for example
		}
	});
}

/** Debian's packages are of Debian's own Python, which need not be the first on the path. */
const PYTHON = '/usr/bin/python3';

const firstLine = (command, args) => execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString().trim().split('\n')[0];

const KINDS = {
	node: {
		title: 'Node.js, `ws` + fetch',
		command: () => [process.execPath, path.join(folder, 'node.mjs')],
		version: () => `Node.js ${process.version}`,
	},
	bun: {
		title: 'Bun.serve + fetch',
		command: () => {
			const program = bunProgram();
			if (!program) {
				throw new Error("npm's package bun is not installed (tools/install-dependencies bench)");
			}
			return [program, path.join(folder, 'bun.js')];
		},
		version: () => `Bun ${firstLine(bunProgram(), ['--version'])}`,
		env: { BUN_CONFIG_MAX_HTTP_REQUESTS: '20000' },
	},
	fastapi: {
		title: 'FastAPI, uvicorn + httpx',
		command: () => {
			try {
				execFileSync(PYTHON, ['-c', 'import fastapi, uvicorn, httpx, websockets'], { stdio: 'ignore' });
			} catch {
				throw new Error('python3-fastapi, uvicorn, python3-httpx, python3-websockets are not installed');
			}
			return [PYTHON, path.join(folder, 'fastapi_relay.py')];
		},
		version: () =>
			firstLine(PYTHON, ['-c', 'import fastapi, uvicorn, httpx, sys; print(f"FastAPI {fastapi.__version__}, uvicorn {uvicorn.__version__}, httpx {httpx.__version__}, Python {sys.version.split()[0]}")']),
	},
};

export const peerTitle = (name) => KINDS[name].title;

/** Those that run, and for the others why not. */
export async function startPeers(upstream, names) {
	const peers = [];
	const missing = {};
	for (const name of names) {
		const kind = KINDS[name];
		try {
			const [command, ...args] = kind.command();
			const child = await startListener(command, [...args, String(upstream.port)], { env: kind.env });
			peers.push({ name, title: kind.title, version: kind.version(), mode: 'ws', port: child.port, pid: child.pid, end: () => child.end('SIGKILL') });
		} catch (error) {
			missing[name] = error.message.split('\n')[0];
		}
	}
	return { peers, missing };
}

/** In the smoke only the one that the tests' packages bring, and only where `smoke` asks for it. */
export const peerNames = (options, { smoke = [] } = {}) => (!options.peers ? [] : options.smoke ? smoke : ['node', 'bun', 'fastapi']);
