/** A line of a chart, with points that were measured rather than simulated. */
export interface Series {
  name: string
  /** A colour of the palette below. */
  colour: 1 | 2 | 3
  points: readonly (readonly [x: number, y: number])[]
  measured?: readonly (readonly [x: number, y: number])[]
}

export interface Chart {
  title: string
  subtitle: string
  x: string
  y: string
  /** The marks of each axis. Both axes are logarithmic, from the first mark to the last. */
  xMarks: readonly number[]
  yMarks: readonly number[]
  series: readonly Series[]
}

const [WIDTH, HEIGHT] = [780, 400]
const AREA = { left: 108, right: 620, top: 62, bottom: 344 }
/** The least distance between two names at the right. */
const LINE_HEIGHT = 17

/** Colours for a light and a dark page: an image in a page has the scheme of its reader's system. */
const STYLE = `
  svg { --paper: #ffffff; --text: #1f2328; --weak: #59636e; --grid: #d1d9e0; --c1: #0969da; --c2: #bc4c00; --c3: #1a7f37 }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --text: #f0f6fc; --weak: #9198a1; --grid: #3d444d; --c1: #58a6ff; --c2: #f0883e; --c3: #3fb950 }
  }
  text { fill: var(--text); font: 13px system-ui, sans-serif } .title { font-size: 16px; font-weight: 600 }
  .weak { fill: var(--weak) } .grid { stroke: var(--grid) } .line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
  .c1 { stroke: var(--c1) } .c2 { stroke: var(--c2) } .c3 { stroke: var(--c3) }
  .n1 { fill: var(--c1) } .n2 { fill: var(--c2) } .n3 { fill: var(--c3) } .measured { fill: var(--paper); stroke-width: 2.5 }`

/** Draws a chart as an SVG that a page can embed. */
export function drawChart({ series, subtitle, title, x, xMarks, y, yMarks }: Chart): string {
  const toX = scaleOf(xMarks, AREA.left, AREA.right)
  const toY = scaleOf(yMarks, AREA.bottom, AREA.top)
  const middle = (AREA.top + AREA.bottom) / 2
  const grid = [
    ...yMarks.map((mark) => {
      const at = round(toY(mark))
      return `<path class="grid" d="M${AREA.left} ${at}H${AREA.right}"/><text class="weak" x="${AREA.left - 10}" y="${round(toY(mark) + 4)}" text-anchor="end">${numberText(mark)}</text>`
    }),
    ...xMarks.map((mark) => {
      const at = round(toX(mark))
      return `<path class="grid" d="M${at} ${AREA.bottom}v6"/><text class="weak" x="${at}" y="${AREA.bottom + 22}" text-anchor="middle">${numberText(mark)}</text>`
    }),
  ]
  const lines = series.map(({ colour, measured = [], points }) => {
    const path = points
      .map(([px, py], index) => `${index === 0 ? 'M' : 'L'}${round(toX(px))} ${round(toY(py))}`)
      .join('')
    const circles = measured.map(
      ([px, py]) => `<circle class="measured c${colour}" cx="${round(toX(px))}" cy="${round(toY(py))}" r="5"/>`,
    )
    return `<path class="line c${colour}" d="${path}"/>${circles.join('')}`
  })
  const names = apart(series.map(({ points }) => toY(points.at(-1)?.[1] ?? 0))).map((at, index) => {
    const { colour, name } = series[index] as Series
    return `<text class="n${colour}" x="${AREA.right + 10}" y="${round(at + 4)}">${escaped(name)}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">
<title>${escaped(title)}</title>
<style>${STYLE}
</style>
<rect width="${WIDTH}" height="${HEIGHT}" rx="6" fill="var(--paper)"/>
<text class="title" x="16" y="26">${escaped(title)}</text>
<text class="weak" x="16" y="46">${escaped(subtitle)}</text>
${[...grid, ...lines, ...names].join('\n')}
<text class="weak" x="${(AREA.left + AREA.right) / 2}" y="${HEIGHT - 12}" text-anchor="middle">${escaped(x)}</text>
<text class="weak" transform="translate(22 ${middle}) rotate(-90)" text-anchor="middle">${escaped(y)}</text>
</svg>
`
}

/** A logarithmic scale from the first mark to the last. */
function scaleOf(marks: readonly number[], from: number, to: number): (value: number) => number {
  const [least, most] = [Math.log(marks[0] ?? 1), Math.log(marks.at(-1) ?? 1)]
  return (value) => {
    const share = (Math.log(value) - least) / (most - least)
    return from + Math.min(1, Math.max(0, share)) * (to - from)
  }
}

/** Moves names apart that would cover each other, downwards. */
function apart(heights: readonly number[]): number[] {
  const moved = [...heights]
  const order = heights.map((_, index) => index).sort((a, b) => (heights[a] ?? 0) - (heights[b] ?? 0))
  for (const [place, index] of order.entries()) {
    const above = moved[order[place - 1] ?? -1]
    if (above !== undefined) moved[index] = Math.max(moved[index] ?? 0, above + LINE_HEIGHT)
  }
  return moved
}

function numberText(value: number): string {
  return value.toLocaleString('en')
}

function round(value: number): string {
  return String(Number(value.toFixed(1)))
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
