// The measures, in the order in which they run. `asked`: only when --only names it.
import { allocations, syscalls } from './counts.mjs';
import { fairness } from './fairness.mjs';
import { loops } from './loops.mjs';
import { memory } from './memory.mjs';
import { PROGRAMS } from './programs.mjs';
import { scale } from './scale.mjs';
import { sealing } from './sealing.mjs';
import { first, starts } from './starts.mjs';
import { bursts, ticks, tokens } from './tokens.mjs';

export const MEASURES = {
	tokens: { title: 'CPU and delay per token, one token per read', run: tokens },
	bursts: { title: 'the same with four tokens per read', run: bursts },
	ticks: { title: 'the same with tokens on whole milliseconds', run: ticks, asked: true },
	syscalls: { title: 'syscalls per token', run: syscalls },
	allocations: { title: 'allocations per token', run: allocations },
	sealing: { title: 'what sealing and storing cost', run: sealing },
	first: { title: 'time to the first token', run: first },
	starts: { title: 'cost of a connect and of a stream start', run: starts },
	memory: { title: 'memory of a connection and of a live response', run: memory },
	scale: { title: '10,000 connections, and twice as many', run: scale },
	fairness: { title: 'what one greedy connection does to the others', run: fairness },
	loops: { title: 'one loop and two', run: loops, asked: true },
	...PROGRAMS,
};
