// The Markdown renderer: what it makes of a text, and that it makes the same however the text arrives.
import assert from 'node:assert/strict';
import { random } from '../lib/random.js';
import { after, before, test } from '../lib/test.js';
import { Stand } from './browser.js';

const CASES = [
	['paragraphs and breaks', 'one\ntwo\n\nthree', '<p>one\ntwo</p><p>three</p>'],
	['emphasis', '**a *b* c** _d_ ~~e~~ snake_case_name 2*3*4', '<p><strong>a <em>b</em> c</strong> <em>d</em> <del>e</del> snake_case_name 2<em>3</em>4</p>'],
	['marks without partners', 'a * b ** c _ d ` e [f] (g)', '<p>a * b ** c _ d ` e [f] (g)</p>'],
	['escapes', '\\*not\\* \\<b>', '<p>*not* &lt;b&gt;</p>'],
	['code spans', '`a` ``b`c`` `**d**`', '<p><code>a</code> <code>b`c</code> <code>**d**</code></p>'],
	['headings', '# A\n### B #', '<h2>A</h2><h4>B</h4>'],
	['rule and quote', '> a\n> b\n\n---', '<blockquote><p>a\nb</p></blockquote><hr>'],
	['tight and nested list', '- a\n- b\n  1. c\n  2. d\n- e', '<ul><li>a</li><li>b<ol><li>c</li><li>d</li></ol></li><li>e</li></ul>'],
	['ordered list that starts late', '3. a\n4. b', '<ol start="3"><li>a</li><li>b</li></ol>'],
	['loose list', '- a\n\n- b', '<ul><li><p>a</p></li><li><p>b</p></li></ul>'],
	['a table', 'a | b\n:-- | --:\n1 | `2`', '<div class="table" tabindex="0"><table><thead><tr><th>a</th><th class="right">b</th></tr></thead>' +
		'<tbody><tr><td>1</td><td class="right"><code>2</code></td></tr></tbody></table></div>'],
	['HTML is text', '<b>x</b> &amp;', '<p>&lt;b&gt;x&lt;/b&gt; &amp;amp;</p>'],
];

const LONG = `# Locks

A lock is a **chamber** with *two* gates, see [the page](https://example.org/lock_(water)) or https://example.org/x.

1. close the \`lower\` gate
   - slowly

   - surely
2. open the paddle

   \`\`\`c
   int main(void)
   {
   }
   \`\`\`

| a | b |
|:-:|--:|
| 1 | ~~2~~ |

> quoted **bold
> over lines**

\`\`\`\`python
# not a heading
\`\`\`
print("x")
\`\`\`\`

***

* star
* list with ![an image](https://example.org/i.png)

The end, with ** an open mark.`;

let stand;
let page;
before(async () => {
	stand = await Stand.open();
	page = (await stand.user('ada')).page;
});
after(() => stand?.close());

/** What the module makes of a text that comes in these pieces. */
const streamed = (pieces) =>
	page.evaluate(async (parts) => {
		const { MarkdownStream } = await import('/markdown.js');
		const root = document.createElement('div');
		const blocks = [];
		const stream = new MarkdownStream(root, (block) => blocks.push(block));
		parts.forEach((part) => stream.append(part));
		stream.end();
		const whole = blocks.length === root.children.length && blocks.every((block, index) => block === root.children[index]);
		return { html: root.innerHTML, whole };
	}, pieces);

const rendered = (text) =>
	page.evaluate(async (whole) => {
		const { renderMarkdown } = await import('/markdown.js');
		const root = document.createElement('div');
		root.append(...renderMarkdown(whole));
		return root.innerHTML;
	}, text);

for (const [name, text, html] of CASES) {
	test(`Markdown: ${name}`, async () => {
		assert.equal(await rendered(text), html);
	});
}

test('Markdown: a code block keeps its text to the letter and names its language', async () => {
	const code = await page.evaluate(async () => {
		const { renderMarkdown } = await import('/markdown.js');
		const [figure] = renderMarkdown('```c\n\tif (a < b && *c) {\n\n\t}\n```');
		return [figure.querySelector('code').textContent, figure.querySelector('figcaption span').textContent];
	});
	assert.deepEqual(code, ['\tif (a < b && *c) {\n\n\t}', 'c']);
});

test('Markdown: a text cut in two at any place renders as it does whole', async () => {
	const whole = await rendered(LONG);
	const wrong = await page.evaluate(
		async ([text, wanted]) => {
			const { MarkdownStream } = await import('/markdown.js');
			const bad = [];
			for (let cut = 0; cut <= text.length; cut++) {
				const root = document.createElement('div');
				const stream = new MarkdownStream(root);
				stream.append(text.slice(0, cut));
				stream.append(text.slice(cut));
				stream.end();
				if (root.innerHTML !== wanted) {
					bad.push(cut);
				}
			}
			return bad;
		},
		[LONG, whole],
	);
	assert.deepEqual(wrong, []);
});

test('Markdown: character by character, every block is reported once and in order', async () => {
	const { html, whole } = await streamed([...LONG]);
	assert.equal(html, await rendered(LONG));
	assert.ok(whole, 'the blocks reported are those that stand in the page');
});

test('Markdown: scrambled pieces of marks never throw and always render alike', async () => {
	const { integer, pick } = random('markdown');
	const marks = ['*', '**', '_', '`', '```', '\n', '\n\n', '- ', '1. ', '> ', '|', '|--|', '[', '](', ')', '#', ' ', 'a', 'https://x.y', '<', '~~', '\\', '!['];
	for (let round = 0; round < 60; round++) {
		const pieces = Array.from({ length: integer(1, 60) }, () => pick(marks));
		const { html, whole } = await streamed(pieces);
		assert.equal(html, await rendered(pieces.join('')), JSON.stringify(pieces));
		assert.ok(whole, JSON.stringify(pieces));
	}
});

test('Markdown: a hostile length is rendered in bounded time', async () => {
	const took = await page.evaluate(async () => {
		const { renderMarkdown } = await import('/markdown.js');
		const start = performance.now();
		for (const mark of ['[', '*', '**a', '`', '![', '[a](', '_a', '<http://', '> ', '- ', '|']) {
			renderMarkdown(mark.repeat(100_000 / mark.length));
			renderMarkdown(mark.repeat(9_000 / mark.length));
		}
		return performance.now() - start;
	});
	assert.ok(took < 20_000, `took ${took} ms`);
});
