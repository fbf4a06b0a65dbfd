import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CHECKS } from '../cli/commands/doctor/checks.ts'
import { ALERTS } from '../cli/commands/package/prometheus-alerts.ts'
import { FIELD_CODES, type FieldCode } from '../services/kit/field-errors.ts'
import { PROBLEM_CODES, Problem } from '../services/kit/problem.ts'
import { readConfig, settingDefaults } from '../services/kit/process/config.ts'
import { settingDescriptions } from '../services/kit/process/setting-descriptions.ts'
import { MESSAGE_SCHEMAS } from '../services/kit/schema/events.ts'
import { SERVICE_NAMES, SERVICES, SERVICES_WITH_DATABASE } from '../services/registry.ts'
import { serve } from '../services/serve.ts'
import { mailSections } from './mails.ts'

/**
 * Fills the parts of the pages that repeat the code: `bun run docs`. A part stands between `<!-- generated: NAME -->` and
 * `<!-- end -->`; `tests/docs/generated.test.ts` fails when a page differs from the code.
 */
const ROOT = join(import.meta.dir, '..')

const FIELD_CODE_MEANINGS: Record<FieldCode, string> = {
  required: 'The field is missing',
  unknown: 'The operation has no such field. Ch202 never ignores a field silently',
  type: 'The value has another type',
  format: 'The value is not an email, a UUID, an RFC 3339 time, an address or a hash',
  pattern: 'The value contains characters that are not allowed',
  too_short: 'The value has fewer characters than `limit`',
  too_long: 'The value has more characters than `limit`',
  too_small: 'The number is less than `limit`',
  too_large: 'The number is greater than `limit`',
  too_many: 'The list has more elements than `limit`',
  not_allowed: 'The value is not one of the allowed ones, or contradicts another field',
  weak: 'The password is easy to guess',
  taken: 'Another user has this value',
}

type Row = readonly string[]

/** A Markdown table whose columns are as wide as their longest cell. */
export function table(head: Row, rows: readonly Row[]): string {
  const widths = head.map((cell, column) => Math.max(3, cell.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: Row) => `| ${widths.map((width, column) => (row[column] ?? '').padEnd(width)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}

const code = (text: string) => `\`${text}\``

function settings(): string {
  const defaults = settingDefaults({}, SERVICES)
  const descriptions = settingDescriptions(SERVICE_NAMES)
  const groups = [...new Set(Object.values(descriptions).map(({ group }) => group))]
  return groups
    .map((group) => {
      const rows = Object.entries(descriptions)
        .filter(([, description]) => description.group === group)
        .map(([name, { text }]) => [code(name), defaults.get(name) ? code(defaults.get(name) as string) : '', text])
      return `### ${group}\n\n${table(['Setting', 'Default', 'Meaning'], rows)}`
    })
    .join('\n\n')
}

function problemCodes(): string {
  const rows = PROBLEM_CODES.map((name) => {
    const { publicMessage, status } = new Problem(name)
    return [String(status), code(name), String(publicMessage)]
  })
  return table(['Status', 'Code', 'Default message'], rows)
}

function fieldCodes(): string {
  return table(
    ['Code', 'Meaning'],
    FIELD_CODES.map((name) => [code(name), FIELD_CODE_MEANINGS[name]]),
  )
}

function eventSchemas(): Record<string, () => string> {
  return Object.fromEntries(
    Object.entries(MESSAGE_SCHEMAS).map(([type, schema]) => [
      `schema ${type}`,
      () => `\`\`\`json\n${JSON.stringify(schema, null, 2)}\n\`\`\``,
    ]),
  )
}

/** The checks of `ch202 doctor`. The checks that every database has are one row each, for all services. */
function doctorChecks(): string {
  const anyService = (text: string) =>
    SERVICES_WITH_DATABASE.reduce(
      (row, name) => row.replace(`db.${name}.`, 'db.<service>.').replace(`${name}.sqlite`, '<service>.sqlite'),
      text,
    )
  const rows = new Map(
    CHECKS.map(({ describes, id }) =>
      id.startsWith('db.') ? [anyService(id), anyService(describes)] : [id, describes],
    ) as [string, string][],
  )
  return table(
    ['Check', 'Passes if, or reports'],
    [...rows].map(([id, describes]) => [code(id), describes]),
  )
}

/** Serves all services in a temporary directory, and reads the metrics as Prometheus does. */
async function metrics(): Promise<string> {
  const dataDir = mkdtempSync(join(tmpdir(), 'ch202-docs-'))
  const key = 'a-key-that-only-this-page-uses'
  const environment = {
    CH202_ENV: 'test',
    CH202_DATA_DIR: dataDir,
    CH202_URL: 'http://127.0.0.1:0',
    ISSUER: 'https://id.example.org',
    PUBLIC_URL: 'https://app.example.org',
    INTERNAL_API_KEY: `internal-${key}`,
    OPERATOR_API_KEY: key,
    CH202_SECRET: `secret-${key}`,
    // Nothing is written there: a bucket has a metric of its own.
    BACKUP_S3_URL: 'https://key:secret@s3.example.org/backups',
    BACKUP_PASSPHRASE: `passphrase-${key}`,
    LOG_LEVEL: 'silent',
  }
  const system = await serve(readConfig(environment, SERVICES))
  try {
    const headers = { authorization: `Bearer ${key}` }
    for (;;) {
      const text = await (await fetch(`${system.url}/metrics`, { headers })).text()
      // The services have polled each other by then, and a request was answered.
      if (/^ch202_feed_polls_total\{/m.test(text) && /_bucket\{/.test(text)) return metricsTable(text)
      await Bun.sleep(20)
    }
  } finally {
    await system.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

function metricsTable(text: string): string {
  const rows = [...text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\w+)\n((?:[^#\n].*\n?)*)/gm)].map(
    ([, name = '', help = '', type = '', samples = '']) => {
      const labels = [...new Set([...samples.matchAll(/[{,](\w+)="/g)].map(([, label = '']) => label))].sort()
      return [code(name), type, labels.map(code).join(', '), help]
    },
  )
  return table(
    ['Metric', 'Type', 'Labels', 'Meaning'],
    rows.sort(([a = ''], [b = '']) => (a < b ? -1 : 1)),
  )
}

/** The alerts of `ch202 package prometheus`. */
function alerts(): string {
  return table(
    ['Alert', 'Severity', 'For', 'Means', 'Look into it'],
    ALERTS.map(({ command, holds, name, severity, summary }) => [
      code(name),
      severity,
      holds,
      summary.replace(/\{\{ \$(?:labels\.)?(\w+) \}\}/g, '*$1*'),
      code(command.replace(/\{\{ \$labels\.(\w+) \}\}/g, '<$1>')),
    ]),
  )
}

/** Maps each security check to the files with a test of it, whose title begins with `check 12: …` or `checks 12, 13: …`. */
export function filesOfChecks(): Map<number, string[]> {
  const files = new Map<number, string[]>()
  for (const path of [...new Bun.Glob('{cli,db,services,guard,tests}/**/*.ts').scanSync({ cwd: ROOT })].sort()) {
    const titles = readFileSync(join(ROOT, path), 'utf8').matchAll(/[([]\s*['"`]checks? (\d[\d, and]*): /g)
    const numbers = [...titles].flatMap(([, list = '']) => list.match(/\d+/g) ?? [])
    for (const number of new Set(numbers.map(Number))) files.set(number, [...(files.get(number) ?? []), path])
  }
  return files
}

/** Builds the table of security checks: keeps the promises, which are written by hand, and fills in the files. */
function checks(before: string): string {
  const files = filesOfChecks()
  const promises = [...before.matchAll(/^\| *(\d+) *\| *(.*?) *\|/gm)]
  const rows = promises.map(([, number = '', promise = '']) => [
    number,
    promise,
    (files.get(Number(number)) ?? []).map(code).join(', '),
  ])
  return table(['Check', 'Promise', 'Shown by'], rows)
}

const BLOCKS: Record<string, (before: string) => string | Promise<string>> = {
  settings,
  'problem codes': problemCodes,
  'field codes': fieldCodes,
  metrics,
  'doctor checks': doctorChecks,
  alerts,
  checks,
  mails: () => mailSections(table),
  ...eventSchemas(),
}

const BLOCK = /^<!-- generated: ([^\n]+) -->\n([\s\S]*?)^<!-- end -->$/gm

/** Names of the generated parts of a page. */
export function blocksOf(page: string): string[] {
  return [...page.matchAll(BLOCK)].map(([, name = '']) => name)
}

/** Renders a page with every generated part up to date. @throws Error if nothing generates a part with that name */
export async function render(page: string): Promise<string> {
  let text = page
  for (const [block, name = '', before = ''] of page.matchAll(BLOCK)) {
    const generate = BLOCKS[name]
    if (!generate) throw new Error(`Nothing generates "${name}"`)
    text = text.replace(block, `<!-- generated: ${name} -->\n\n${await generate(before)}\n\n<!-- end -->`)
  }
  return text
}

export const BLOCK_NAMES = Object.keys(BLOCKS)

/** Paths of all pages, from the root of the repository. */
export function pages(): string[] {
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
  return docs
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name))
    .sort()
}

if (import.meta.main)
  for (const path of pages()) {
    const page = readFileSync(join(ROOT, path), 'utf8')
    const text = await render(page)
    if (text === page) continue
    writeFileSync(join(ROOT, path), text)
    console.log(path)
  }
