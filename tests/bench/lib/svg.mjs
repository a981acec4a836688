// Small plots: bars in rows, and lines. Text and axes take the reader's colours, light or dark.

export const escape = (text) => String(text).replace(/[&<>"]/g, (one) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[one]);

export const sheet = ({ width, height, body, style = '' }) =>
	`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui,sans-serif" font-size="12">
<style>svg{background:#fff}text{fill:#333}.axis{stroke:#999}.mark{stroke:#c33;stroke-dasharray:4 3}@media (prefers-color-scheme:dark){svg{background:#161b22}text{fill:#ccc}.axis{stroke:#666}}${style}</style>
${body}
</svg>
`;

const OURS = '#2f7fd6';
const THEIRS = '#9aa4ae';

/** Bars: rows of { label, value, text, ours }; `mark`: a bound that is drawn. */
export function bars(title, rows, { mark, unit = '' } = {}) {
	const left = 190;
	const span = 400;
	const most = Math.max(...rows.map(({ value }) => value), mark ?? 0) || 1;
	const scale = (value) => (value / most) * span;
	const height = 40 + rows.length * 24 + 8;
	const drawn = rows.map(({ label, value, text, ours }, at) => {
		const y = 34 + at * 24;
		const width = Math.max(scale(value), 1);
		return `<text x="${left - 8}" y="${y + 13}" text-anchor="end">${escape(label)}</text><rect x="${left}" y="${y}" width="${width.toFixed(1)}" height="17" fill="${ours ? OURS : THEIRS}"/><text x="${(left + width + 6).toFixed(1)}" y="${y + 13}">${escape(text ?? `${value} ${unit}`)}</text>`;
	});
	const bound = mark ? `<line class="mark" x1="${(left + scale(mark)).toFixed(1)}" x2="${(left + scale(mark)).toFixed(1)}" y1="28" y2="${height - 6}"/>` : '';
	return sheet({ width: 700, height, body: `<text x="8" y="18" font-weight="600">${escape(title)}</text>${drawn.join('')}<line class="axis" x1="${left}" x2="${left}" y1="28" y2="${height - 6}"/>${bound}` });
}

const COLORS = [OURS, '#d6762f', '#3a9a5b', '#8a5bc2', '#777'];

/** Lines over a logarithmic x: series of { label, points: [[x, y], …] }. */
export function lines(title, series, { unit = '' } = {}) {
	const [left, top, width, height] = [60, 40, 480, 200];
	const points = series.flatMap(({ points: list }) => list);
	const xs = points.map(([x]) => Math.log10(x));
	const most = Math.max(...points.map(([, y]) => y)) * 1.1 || 1;
	const [least, widest] = [Math.min(...xs), Math.max(...xs)];
	const px = (x) => left + ((Math.log10(x) - least) / (widest - least || 1)) * width;
	const py = (y) => top + height - (y / most) * height;
	const drawn = series.map(({ label, points: list }, at) => {
		const color = COLORS[at % COLORS.length];
		const path = list.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(' ');
		const dots = list.map(([x, y]) => `<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="3" fill="${color}"/>`).join('');
		return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2"/>${dots}<text x="${left + width + 14}" y="${top + 14 + at * 18}" style="fill:${color}">${escape(label)}</text>`;
	});
	const ticks = [...new Set(points.map(([x]) => x))].map((x) => `<text x="${px(x).toFixed(1)}" y="${top + height + 18}" text-anchor="middle">${x.toLocaleString('en')}</text>`);
	const marks = [0, 0.5, 1].map((part) => `<text x="${left - 6}" y="${(py(most * part) + 4).toFixed(1)}" text-anchor="end">${Number((most * part).toPrecision(2)).toLocaleString('en')}</text>`);
	return sheet({
		width: 700,
		height: top + height + 30,
		body: `<text x="8" y="18" font-weight="600">${escape(title)}</text><text x="8" y="34">${escape(unit)}</text><polyline class="axis" fill="none" points="${left},${top} ${left},${top + height} ${left + width},${top + height}"/>${ticks.join('')}${marks.join('')}${drawn.join('')}`,
	});
}
