// Folds what `perf script` prints into a tree of call chains, and draws it as a flame graph.
import { escape, sheet } from './svg.mjs';

const node = (name) => ({ name, value: 0, children: new Map() });

function add(root, chain) {
	root.value++;
	let at = root;
	for (const name of chain) {
		if (!at.children.has(name)) {
			at.children.set(name, node(name));
		}
		at = at.children.get(name);
		at.value++;
	}
}

// What stands between main and the loop, and the kernel's way in, says nothing.
const NOISE = /^(_start|__libc_start_main.*|__libc_start_call_main|main|start_thread|clone3?|__clone3?|entry_SYSCALL_64.*|\[unknown\]|do_syscall_64|x64_sys_call|__x64_sys_.*|__sys_.*|syscall_.*)$/;

/** One sample is a line with the thread, then a line for each frame, the innermost first. */
export function fold(text, pid) {
	const root = node('sluiced');
	for (const block of text.split('\n\n')) {
		const [head, ...lines] = block.trim().split('\n');
		const thread = /\s(\d+)\s*$/.exec(head ?? '')?.[1];
		const frames = lines.map((line) => line.trim().replace(/^[0-9a-f]+\s+/, '').replace(/\+0x[0-9a-f]+$/, '')).filter((name) => name && !NOISE.test(name));
		if (thread && frames.length > 0) {
			add(root, [Number(thread) === pid ? 'loop' : 'other threads', ...frames.reverse()]);
		}
	}
	return root;
}

const HEIGHT = 15;
const WIDTH = 1000;

const color = (name) => {
	let sum = 0;
	for (const character of name) {
		sum = (sum * 31 + character.charCodeAt(0)) % 997;
	}
	return `hsl(${10 + (sum % 45)} 75% ${58 + (sum % 12)}%)`;
};

/** Boxes narrower than `least` of the whole are left out. */
export function flameGraph(root, title, least = 0.0015) {
	const boxes = [];
	let depth = 0;
	const place = (at, left, level) => {
		const width = (at.value / root.value) * WIDTH;
		if (width < least * WIDTH) {
			return;
		}
		depth = Math.max(depth, level);
		boxes.push({ name: at.name, left, width, level, share: at.value / root.value });
		let next = left;
		for (const child of [...at.children.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
			place(child, next, level + 1);
			next += (child.value / root.value) * WIDTH;
		}
	};
	place(root, 0, 0);
	const height = (depth + 1) * HEIGHT + 30;
	const drawn = boxes.map(({ name, left, width, level, share }) => {
		const y = height - (level + 1) * HEIGHT;
		const fits = Math.floor(width / 6.2);
		const label = fits >= 3 ? `<text x="${(left + 2).toFixed(1)}" y="${y + 11}">${escape(name.length > fits ? `${name.slice(0, fits - 1)}…` : name)}</text>` : '';
		return `<g><title>${escape(name)}, ${(share * 100).toFixed(1)} %</title><rect x="${left.toFixed(1)}" y="${y}" width="${Math.max(width - 0.3, 0.2).toFixed(1)}" height="14" fill="${color(name)}"/>${label}</g>`;
	});
	return sheet({ width: WIDTH, height, style: 'g text{fill:#222;font-size:10px}', body: `<text x="4" y="14">${escape(title)}</text>${drawn.join('\n')}` });
}
