// Whatever a model writes, nothing of it runs and nothing of it leaves.
import assert from 'node:assert/strict';
import { after, before, test } from '../lib/test.js';
import { reply } from '../lib/upstream.js';
import { Stand } from './browser.js';

const EVIL = 'https://evil.invalid';
const HOSTILE = `<script>window.harmed = 1</script>
<img src="${EVIL}/a.png" onerror="window.harmed = 1">

![an image](${EVIL}/b.png) and [![nested](${EVIL}/c.png)](javascript:window.harmed=1)

[one](javascript:window.harmed=1) [two](JaVaScRiPt:window.harmed=1) [three](data:text/html,<script>harmed=1</script>)
[four](\tjavascript:window.harmed=1) [five](&#106;avascript:window.harmed=1) [six](//evil.invalid/x) [seven](vbscript:x)
<javascript:window.harmed=1> <${EVIL}/auto" onmouseover="window.harmed=1>

<iframe src="${EVIL}/frame"></iframe><svg onload="window.harmed = 1"><style>@import url(${EVIL}/x.css);</style>
<link rel="stylesheet" href="${EVIL}/y.css"><base href="${EVIL}/"><meta http-equiv="refresh" content="0;url=${EVIL}">
<form action="${EVIL}"><button>press</button></form><a href="javascript:window.harmed=1">raw</a>

\`\`\`html"><script>window.harmed = 1</script>
</code></pre><script>window.harmed = 1</script>
\`\`\`

| <img src=x onerror=window.harmed=1> | b |
|---|---|
| [x](javascript:window.harmed=1) | <script>window.harmed=1</script> |

> <video src="${EVIL}/v.mp4" autoplay onerror="window.harmed=1">

1. <object data="${EVIL}/o"></object>

[good](https://example.org/a_(b)?c=1&d=<2>) and [good too](http://example.org/ "title\\" onclick=\\"window.harmed=1")`;

let stand;
before(async () => {
	stand = await Stand.open();
});
after(() => stand?.close());

async function isHarmless(visitor) {
	const found = await visitor.page.evaluate(() => {
		const nodes = [...document.querySelectorAll('.prose *')];
		return {
			harmed: window.harmed ?? null,
			tags: [...new Set(nodes.map((node) => node.localName))],
			handlers: nodes.flatMap((node) => [...node.attributes]).filter(({ name }) => name.startsWith('on') || name === 'style').length,
			links: nodes.filter((node) => node.localName === 'a').map((node) => [node.protocol, node.rel, node.target]),
		};
	});
	assert.equal(found.harmed, null, 'no script ran');
	assert.equal(found.handlers, 0, 'no handler and no style came in');
	for (const tag of ['script', 'img', 'iframe', 'style', 'link', 'base', 'meta', 'form', 'object', 'video']) {
		assert.ok(!found.tags.includes(tag), `no <${tag}> from an answer`);
	}
	assert.ok(found.links.length > 0, 'web addresses are links');
	for (const [protocol, rel, target] of found.links) {
		assert.match(protocol, /^https?:$/);
		assert.match(rel, /\bnoopener\b/);
		assert.equal(target, '_blank');
	}
}

test('hostile Markdown and HTML in an answer stay text', async () => {
	const visitor = await stand.user('ada');
	// Small pieces, so that every mark is open for a while.
	stand.upstream.on('attack', reply.says(HOSTILE.match(/[\s\S]{1,7}/g)));
	await visitor.ask('attack');
	assert.match(await visitor.lastAnswer.locator('.prose').innerText(), /<script>window\.harmed = 1<\/script>/, 'it shows as text');
	await isHarmless(visitor);

	await visitor.page.reload();
	await visitor.ready();
	await visitor.lastAnswer.locator('.prose a').first().waitFor();
	await isHarmless(visitor);
	// Whatever can be hovered or focused, is.
	for (const link of await visitor.page.locator('.prose a').all()) {
		await link.hover();
		await link.focus();
	}
	await isHarmless(visitor);
	visitor.wasCalm();
	await visitor.context.close();
});

test('hostile messages and titles stay text', async () => {
	const visitor = await stand.user('grace');
	const text = `<img src="${EVIL}/t.png" onerror="window.harmed=1"><b>bold</b>`;
	await visitor.ask(text);
	assert.deepEqual((await visitor.transcript())[0], ['you', text]);
	await visitor.page.reload();
	await visitor.ready();
	await visitor.page.locator('.conversations a').waitFor();
	assert.equal((await visitor.page.locator('.conversations a').textContent()).slice(0, 9), text.slice(0, 9));
	assert.equal(await visitor.page.locator('main img, nav img, b').count(), 0);
	assert.equal(await visitor.page.evaluate(() => window.harmed ?? null), null);
	visitor.wasCalm();
	await visitor.context.close();
});

test('the page is served under a policy that would stop what the renderer missed', async () => {
	const visitor = await stand.user('edith');
	const policy = (await (await stand.server.fetch('/')).headers.get('content-security-policy')).split(/;\s*/);
	for (const rule of ["default-src 'none'", "script-src 'self'", "base-uri 'none'", "require-trusted-types-for 'script'"]) {
		assert.ok(policy.includes(rule), rule);
	}
	const breach = await visitor.page.evaluate(() => {
		try {
			document.createElement('div').innerHTML = '<b>x</b>';
			return 'parsed';
		} catch (error) {
			return error.name;
		}
	});
	assert.equal(breach, 'TypeError', 'markup in a text cannot be parsed at all');
	await visitor.context.close();
});
