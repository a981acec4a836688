#!/usr/bin/env node
// CPU per relayed token of sluiced beside the floor (a bare epoll relay), interleaved in one run on one load.
//   tests/bench/run.cjs [--streams 200] [--rate 50] [--seconds 10] [--per-write 1] [--rounds 3]
// Absolute times are context; the ratio of one round is the result.
'use strict';
const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const here = __dirname;
const build = path.resolve(process.env.BUILD || path.join(here, '../../build'));
const option = (name, value) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? value : Number(process.argv[at + 1]);
};
const streams = option('streams', 200);
const rate = option('rate', 50);
const perWrite = option('per-write', 1);
const rounds = option('rounds', 3);
const tokens = rate * option('seconds', 10);

const programs = path.join(build, 'bench');
fs.mkdirSync(programs, { recursive: true });
for (const name of ['upstream', 'floor', 'load']) {
  execFileSync('cc', ['-D_GNU_SOURCE', '-std=c17', '-O2', '-Wall', '-o', path.join(programs, name), path.join(here, `${name}.c`)],
    { stdio: 'inherit' });
}

const children = [];
function start(command, args, env) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  children.push(child);
  return child;
}

// Resolves with the first line of a stream that `pick` makes something of.
function line(stream, pick) {
  return new Promise((resolve, reject) => {
    let text = '';
    stream.on('data', (data) => {
      text += data;
      for (const one of text.split('\n').slice(0, -1)) {
        const found = pick(one);
        if (found) resolve(found);
      }
    });
    stream.on('end', () => reject(new Error(`ended early: ${text}`)));
  });
}

const port = (text) => Number(text) || undefined;

function load(mode, target, extra = []) {
  return new Promise((resolve, reject) => {
    const child = start(path.join(programs, 'load'), [mode, String(target.port), String(streams), String(tokens), String(target.pid), ...extra]);
    let out = '', complaint = '';
    child.stdout.on('data', (data) => { out += data; });
    child.stderr.on('data', (data) => { complaint += data; });
    child.on('close', (code) => (code === 0 ? resolve(JSON.parse(out)) : reject(new Error(`load ${mode}: ${out}${complaint}`))));
  });
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-bench-'));
  const upstream = start(path.join(programs, 'upstream'), [String(rate), String(tokens), String(perWrite)]);
  const upstreamPort = await line(upstream.stdout, port);
  const floor = start(path.join(programs, 'floor'), [String(upstreamPort)]);
  floor.port = await line(floor.stdout, port);

  const settings = path.join(folder, 'sluice.conf');
  fs.writeFileSync(settings, `[server]\nlisten = 127.0.0.1:0\n[store]\ndir = ${folder}/data\n[seal]\nkey_file = ${folder}/kek\n` +
    `[upstream]\nurl = http://127.0.0.1:${upstreamPort}/v1\nmodel = bench\n[log]\nformat = json\nlevel = warn\n` +
    '[limits]\nrequests_per_minute = 100000\nburst = 100000\nconnections_per_address = 10000\n');
  const sluiced = start(path.join(build, 'sluiced'), ['-c', settings], { SLUICE_LOG_LEVEL: 'info' });
  sluiced.port = await line(sluiced.stderr, (text) => {
    try {
      const entry = JSON.parse(text);
      return entry.event === 'listening' && Number(entry.address.split(':').pop());
    } catch { return undefined; }
  });
  const key = execFileSync(path.join(build, 'sluicectl'), ['-c', settings, 'key', 'create', '--user', 'bench']).toString().trim();

  console.log(`${streams} streams × ${rate} tokens/s, ${perWrite} token(s) a write, ${tokens} tokens each; ${os.cpus().length} × ${os.cpus()[0].model}`);
  const ratios = { ws: [], sse: [] };
  for (let round = 1; round <= rounds; round++) {
    const base = await load('raw', floor);
    const rows = { floor: base, ws: await load('ws', sluiced, [key]), sse: await load('sse', sluiced, [key]) };
    for (const [name, row] of Object.entries(rows)) {
      const ratio = row.cpu_us_per_token / base.cpu_us_per_token;
      if (ratios[name]) ratios[name].push(ratio);
      console.log(`round ${round}  ${name.padEnd(6)} ${row.cpu_us_per_token.toFixed(2).padStart(6)} µs/token  ×${ratio.toFixed(2)}` +
        `  age p50 ${row.p50_us} µs, p99 ${row.p99_us} µs  ${row.tokens} of ${row.expected} tokens`);
    }
  }
  for (const [name, list] of Object.entries(ratios)) {
    list.sort((a, b) => a - b);
    console.log(`${name}: median ×${list[Math.floor(list.length / 2)].toFixed(2)} of the floor`);
  }
  fs.rmSync(folder, { recursive: true, force: true });
}

main().then(() => 0, (error) => { console.error(error.message); return 1; }).then((code) => {
  for (const child of children) child.kill();
  process.exitCode = code;
});
