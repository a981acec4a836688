// A disk that fills while answers stream: what clients hear, what is kept, and what is there once it is freed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { open, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect } from '../lib/chat.js';
import { checkError, checkResponse } from '../lib/check.js';
import { startServer } from '../lib/server.js';
import { eventually } from '../lib/setup.js';
import { test } from '../lib/test.js';
import { gate, startUpstream } from '../lib/upstream.js';

const DISK_BYTES = 6 * 1024 * 1024;
const DISK = `size=${DISK_BYTES},mode=0700`;
const mount = (dir) => execFileSync('mount', ['-t', 'tmpfs', '-o', DISK, 'none', dir], { stdio: 'pipe' });
const umount = (dir) => execFileSync('umount', ['-l', dir], { stdio: 'pipe' });

/** Why no small disk can be had here, or false. */
function withoutDisk() {
	const dir = mkdtempSync(path.join(tmpdir(), 'sluice-mount-'));
	try {
		mount(dir);
		umount(dir);
		return false;
	} catch (error) {
		return `no tmpfs may be mounted here: ${String(error.stderr ?? error).trim()}`;
	} finally {
		rmdirSync(dir);
	}
}
const skip = withoutDisk();

/** A server of the test's own on a small disk that the test can fill and free. */
async function own(t, settings = {}) {
	const upstream = await startUpstream();
	const server = await startServer({ upstream, settings, prepare: async (data) => mount(data) });
	t.after(async () => {
		if (!server.child.over) {
			await server.kill();
		}
		umount(server.data);
		await server.remove();
		await upstream.stop();
	});
	const key = await server.createKey('ada');
	const filler = path.join(server.data, 'filler');
	const fill = async () => {
		const { blocks, bsize } = await statfs(server.data);
		assert.ok(blocks * bsize <= DISK_BYTES, 'only the small disk is filled, never another');
		const file = await open(filler, 'a');
		try {
			for (const size of [65536, 4096]) {
				const block = Buffer.alloc(size, 1);
				for (let full = false; !full; ) {
					full = await file.write(block).then(({ bytesWritten }) => bytesWritten < size, (error) => {
						assert.equal(error.code, 'ENOSPC');
						return true;
					});
				}
			}
		} finally {
			await file.close();
		}
	};
	const metric = async (name) => {
		const text = await (await server.fetch('/metrics')).text();
		return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)[1]);
	};
	return {
		upstream,
		server,
		key,
		fill,
		free: () => rm(filler),
		metric,
		chat: () => connect(server, { key }),
		read: async (id) => (await server.fetch(`/v1/responses/${id}`, { key })).json(),
		settled: () => eventually(() => metric('sluice_responses_unsettled'), (count) => count === 0),
	};
}

/** An answer of as many words as there are gates, each held back until its gate opens, and then the end. */
const inSteps = (words, gates) => async (x) => {
	for (const [at, word] of words.entries()) {
		await Promise.race([gates[at].passed, x.closed]);
		await x.say(word);
	}
	await Promise.race([gates.at(-1).passed, x.closed]);
	await x.finish('stop', { input: 7, output: 3 });
	await x.done();
};

const saw = (client, text) => client.wait((event) => event.type === 'response.output_text.delta' && event.delta.endsWith(text));

/** A response whose first word is kept, on a disk that is full since. */
async function streamsOntoAFullDisk(stage, { words = ['one ', 'two ', 'three'] } = {}) {
	const gates = [...words, 'the end'].map(gate);
	stage.upstream.on('onto a full disk', inSteps(words, gates));
	const client = await stage.chat();
	const turn = client.begin({ input: 'onto a full disk' });
	const { id } = await turn.created;
	const commits = await stage.metric('sluice_store_commits_total');
	gates[0].open();
	await saw(client, words[0]);
	await eventually(() => stage.metric('sluice_store_commits_total'), (count) => count > commits);
	await stage.fill();
	return { gates, client, turn, id };
}

test('a disk that fills in mid-stream stops no stream, and is told: readyz, metric, one line of log', { skip }, async (t) => {
	const stage = await own(t);
	const { server, metric } = stage;
	const { gates, client, turn, id } = await streamsOntoAFullDisk(stage);
	gates[1].open();
	await saw(client, 'two ');
	await eventually(() => metric('sluice_checkpoint_failures_total'), (count) => count >= 3);
	const ready = await server.fetch('/readyz');
	assert.deepEqual([ready.status, (await ready.json()).status], [503, 'storage_full']);
	assert.equal(server.log.filter((line) => line.response === id && /^checkpoint failed/.test(line.event)).length, 1);
	assert.ok(server.log.filter(({ event }) => event === 'store write failed').length <= 2, 'not a line for each failure');
	// Freed before the end, it costs nothing.
	await stage.free();
	await eventually(async () => (await server.fetch('/readyz')).status, (status) => status === 200);
	await server.logged((line) => line.response === id && /^checkpoint written again/.test(line.event));
	gates.forEach((each) => each.open());
	const { response } = await turn.end;
	assert.equal(response.status, 'completed');
	assert.deepEqual(await stage.read(id), response);
	await client.close();
	await server.stop();
});

test('an end that finds the disk full is told as failed; once there is room, that is what is stored, words and all', { skip }, async (t) => {
	const stage = await own(t);
	const { server, key, upstream } = stage;
	const other = await stage.chat();
	const earlier = (await other.turn('earlier')).response;
	const { gates, client, turn, id } = await streamsOntoAFullDisk(stage);
	gates.forEach((each) => each.open());
	const { response, text } = await turn.end;
	checkResponse(response);
	assert.deepEqual([response.status, response.error.code, text], ['failed', 'storage_full', 'one two three']);
	assert.equal(response.output[0].content[0].text, 'one two three');
	assert.deepEqual(await stage.read(id), response, 'while the disk is full');

	// New turns are refused by name; what is not stored goes on.
	client.send({ type: 'response.create', input: 'one more' });
	checkError(await client.nextError(), { status: 507, code: 'storage_full' });
	other.send({ type: 'response.create', input: 'more', previous_response_id: earlier.id });
	checkError(await other.nextError(), { status: 507, code: 'storage_full' });
	assert.equal((await client.turn({ input: 'unstored', store: false })).response.status, 'completed');
	const deleted = await server.fetch(`/v1/responses/${id}`, { key, method: 'DELETE' });
	assert.equal(deleted.status, 409);

	await stage.free();
	await stage.settled();
	assert.deepEqual(await stage.read(id), response, 'stored');
	// A conversation whose next turn could not be stored is otherwise as it was.
	assert.equal((await server.fetch(`/v1/responses/${earlier.id}`, { key, method: 'DELETE' })).status, 200);
	await other.close();
	const next = await client.turn({ input: 'and now?', previous_response_id: id });
	assert.equal(next.response.status, 'completed');
	assert.deepEqual(
		upstream.asked('and now?')[0].messages.map(({ content }) => content),
		['onto a full disk', 'one two three', 'and now?'],
	);
	await client.close();
	await server.kill();
	await server.restart();
	assert.deepEqual(await stage.read(id), response, 'after a kill');
	assert.deepEqual(await stage.read(next.response.id), next.response);
	await server.stop();
});

test('killed on a full disk: nothing is completed that was not committed, and what was kept is there, cut off', { skip }, async (t) => {
	const stage = await own(t);
	const { gates, turn, id } = await streamsOntoAFullDisk(stage);
	gates.forEach((each) => each.open());
	assert.equal((await turn.end).response.status, 'failed');
	await stage.server.kill();
	await stage.free();
	await stage.server.restart();
	const response = await stage.read(id);
	checkResponse(response);
	assert.deepEqual([response.status, response.incomplete_details.reason], ['incomplete', 'server_restart']);
	assert.equal(response.output[0].content[0].text, 'one ');
	const client = await stage.chat();
	assert.equal((await client.turn({ input: 'go on', previous_response_id: id })).response.status, 'completed');
	await client.close();
	await stage.server.stop();
});

test('a stop waits for a full disk as long as its drain time, and no longer', { skip }, async (t) => {
	const stage = await own(t, { server: { drain_timeout: '1s' } });
	const { gates, client, turn, id } = await streamsOntoAFullDisk(stage);
	gates.forEach((each) => each.open());
	assert.equal((await turn.end).response.error.code, 'storage_full');
	const from = performance.now();
	await Promise.all([stage.server.stop(), client.closed]);
	assert.ok(performance.now() - from < 10_000);
	await stage.free();
	await stage.server.restart();
	assert.equal((await stage.read(id)).status, 'incomplete');

	// Freed while it drains, it is stored before the server goes.
	await stage.server.stop();
	stage.server.settings.server.drain_timeout = '30s';
	await stage.server.start();
	const again = await streamsOntoAFullDisk(stage);
	again.gates.forEach((each) => each.open());
	const { response } = await again.turn.end;
	assert.equal(response.error.code, 'storage_full');
	const stopped = stage.server.stop();
	await stage.server.logged((line) => line.event === 'draining');
	await stage.free();
	await stopped;
	await stage.server.restart();
	assert.deepEqual(await stage.read(again.id), response);
	await stage.server.stop();
});
