import { isMet, type Result } from './measure.ts'

/** The results as a table for a terminal. */
export function tableOf(results: readonly Result[]): string {
  const rows = [
    ['case', 'Ch202', 'limit', 'ratio', 'spread', 'goal', 'CPU', ''],
    ...results.map((result) => [
      nameOf(result),
      `${formatNumber(result.ours.median)} ${result.unit}`,
      `${formatNumber(result.limit.median)} (${result.limitIs})`,
      formatNumber(result.ratio.median),
      `${formatNumber(result.ratio.least)} to ${formatNumber(result.ratio.most)}`,
      goalOf(result),
      cpuOf(result),
      verdictOf(result),
    ]),
  ]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** The results as a Markdown table for a page. */
export function markdownOf(results: readonly Result[], caption: string): string {
  const rows = results.map((result) => {
    const { least, most } = result.ratio
    return [
      nameOf(result, '**missed**'),
      `${formatNumber(result.ours.median)} ${result.unit}`,
      `${formatNumber(result.limit.median)}, ${result.limitIs}`,
      `${formatNumber(result.ratio.median)} (${formatNumber(least)} to ${formatNumber(most)})`,
      goalOf(result),
      cpuOf(result),
      isMet(result) ? '' : '**missed**',
    ]
  })
  const head = ['Case', 'Ch202', 'Limit', 'Ratio', 'Goal', 'CPU', '']
  return [caption, '', ...[head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`)].join('\n')
}

/** The name of a result with its further conditions. */
function nameOf({ also = [], name }: Result, missedMark = 'MISSED'): string {
  return [name, ...also.map(({ holds, says }) => `${says}${holds ? '' : ` (${missedMark})`}`)].join('; ')
}

/** The results that miss their goals, in words, with the conditions that do not hold. */
export function missed(results: readonly Result[]): string[] {
  return results
    .filter((result) => !isMet(result))
    .map((result) => {
      const others = (result.also ?? []).filter(({ holds }) => !holds).map(({ says }) => says)
      return [`${result.name}: ${formatNumber(result.ratio.median)}, ${goalOf(result)} wanted`, ...others].join('; ')
    })
}

export function goalOf({ goal }: Result): string {
  if (goal?.least !== undefined) return `≥ ${goal.least}`
  return goal?.maximum === undefined ? 'none' : `≤ ${goal.maximum}`
}

function cpuOf({ cpu }: Result): string {
  if (!cpu) return ''
  const besides = Number.isNaN(cpu.limit) ? '' : ` / ${Math.round(cpu.limit)}`
  return `${Math.round(cpu.ours)}${besides} µs`
}

function verdictOf(result: Result): string {
  if (!result.goal) return ''
  return isMet(result) ? 'met' : 'MISSED'
}

/** Formats a number with three significant digits and separated thousands. */
export function formatNumber(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en')
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

const BEGIN = '<!-- results -->'
const END = '<!-- /results -->'

/** Replaces the table in a page. */
export function withTable(page: string, table: string): string {
  const [before = '', ...rest] = page.split(BEGIN)
  const after = rest.join(BEGIN).split(END).slice(1).join(END)
  return `${before}${BEGIN}\n\n${table}\n\n${END}${after}`
}
