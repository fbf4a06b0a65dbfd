import { isMet, type Result } from './measure.ts'
import { formatNumber, goalOf } from './table.ts'

const WIDTH = 900
const ROW = 26
const LEFT = 390
const BAR = 330
const TOP = 46

/** Draws the ratios as an SVG. Each bar is relative to its goal, so that one line marks all goals. */
export function pictureOf(results: readonly Result[], caption: string): string {
  const withGoals = results.filter(({ goal }) => goal)
  const height = TOP + withGoals.length * ROW + 16
  const goalAt = LEFT + BAR / 2
  const rows = withGoals.map((result, row) => {
    const y = TOP + row * ROW
    const { least, maximum: most } = result.goal ?? {}
    // The ratio relative to its goal, inverted if less is better.
    const reached = least === undefined ? (most ?? 1) / result.ratio.median : result.ratio.median / least
    const length = Math.min(BAR, (BAR / 2) * reached)
    const colour = isMet(result) ? '#2a9d8f' : '#e76f51'
    return `<text x="${LEFT - 12}" y="${y + 14}" text-anchor="end">${escaped(result.name)}</text>
<rect x="${LEFT}" y="${y + 2}" width="${length.toFixed(1)}" height="16" rx="2" fill="${colour}"/>
<text x="${LEFT + BAR + 12}" y="${y + 14}">${formatNumber(result.ratio.median)} × (${goalOf(result)})</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12" fill="#444">
<title>Measured against the limit</title>
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
<text x="16" y="20" font-size="14" font-weight="600">Measured against the limit</text>
<text x="16" y="36" fill="#777">${escaped(caption)}</text>
${rows.join('\n')}
<line x1="${goalAt}" y1="${TOP - 4}" x2="${goalAt}" y2="${height - 10}" stroke="#444" stroke-dasharray="3 3"/>
<text x="${goalAt}" y="${TOP - 8}" text-anchor="middle" fill="#777">the goal</text>
</svg>
`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
