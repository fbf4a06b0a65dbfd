import { expect, test } from 'bun:test'
import { Table } from './table.ts'

const LAYOUT = { columns: 60, wide: false, fieldsChosen: false, omitEqual: 'none', live: false } as const
const COLUMNS = ['service', 'status', 'version', 'uptime_s', 'latency_ms', 'address', 'message']
const ROW = {
  service: 'modules',
  status: 'failed',
  version: '0.1.0',
  uptime_s: 12,
  latency_ms: 10.4,
  address: 'http://127.0.0.1:3003',
  message: 'nothing is listening there',
}

function linesOf(row: Record<string, unknown>, columns: readonly string[], layout: Partial<typeof LAYOUT> = {}) {
  return new Table({ ...LAYOUT, ...layout }).lines([row], columns, (text) => text)
}

test('a narrow table keeps its message, which says why a row failed, and drops other columns', () => {
  const lines = linesOf(ROW, COLUMNS)
  expect(lines[0]).toMatch(/^SERVICE +STATUS .*MESSAGE$/)
  expect(lines.join('\n')).not.toContain('LATENCY')
  expect(lines.slice(1).join(' ').replaceAll(/ +/g, ' ')).toContain('nothing is listening there')
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(60)
})
