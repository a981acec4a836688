// What the kernel says of a process, and what machine this is.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { ROOT } from './programs.mjs';

/** Memory of a process in KiB. `private` is what it alone has written: the honest count of what is allocated. */
export function memoryOf(pid) {
	const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
	const of = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
	return { rss: of('Rss'), pss: of('Pss'), private: of('Private_Dirty'), anonymous: of('Anonymous') };
}

/** Pages of all TCP sockets of the machine, in KiB: only their growth can be told. */
export function socketMemory() {
	const [, pages] = /^TCP:.* mem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'utf8'));
	return Number(pages) * 4;
}

/** Objects of the kernel's slab caches for sockets and what hangs from them, in KiB; undefined where only root may read it. */
export function socketSlabs() {
	let text;
	try {
		text = readFileSync('/proc/slabinfo', 'utf8');
	} catch {
		return undefined;
	}
	let bytes = 0;
	for (const line of text.split('\n')) {
		const [name, active, , size] = line.split(/\s+/);
		if (/^(TCP|TCPv6|sock_inode_cache|filp|dentry|eventpoll_epi|eventpoll_pwq|ep_head|request_sock_TCP|tw_sock_TCP|skbuff_.*)$/.test(name)) {
			bytes += Number(active) * Number(size);
		}
	}
	return bytes / 1024;
}

const quietly = (command, args) => {
	try {
		return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString().trim();
	} catch {
		return undefined;
	}
};

export function machine() {
	const [cpu] = os.cpus();
	const libraries = ['libwebsockets', 'libuv', 'libcurl', 'sqlite3', 'libsodium'];
	return {
		processors: os.cpus().length,
		processor: cpu.model,
		memory_gib: Math.round(os.totalmem() / 2 ** 30),
		kernel: `Linux ${os.release().replace(/-.*/, '')}`,
		compiler: quietly(process.env.CC ?? 'cc', ['-dumpfullversion']),
		libraries: Object.fromEntries(libraries.map((name) => [name, quietly('pkg-config', ['--modversion', name])]).filter(([, version]) => version)),
		sluice: `${readFileSync(`${ROOT}/VERSION`, 'utf8').trim()} (${quietly('git', ['-C', ROOT, 'rev-parse', '--short', 'HEAD']) ?? 'no commit'})`,
		node: process.version,
		date: new Date().toISOString().slice(0, 10),
	};
}
