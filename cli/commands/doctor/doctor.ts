import { EXIT, usage } from '../../exit.ts'
import { wrap } from '../../terminal/columns.ts'
import { colored, plain, width as terminalWidth, write } from '../../terminal/terminal.ts'
import { command, type Tool, withTool } from '../../tool/command.ts'
import type { Check, DoctorContext, Finding } from './check.ts'

const COLUMNS = ['status', 'id', 'message']
const COLORS = { ok: '\x1b[32m', warning: '\x1b[33m', failed: '\x1b[31m', skipped: '\x1b[2m' } as const
const STATUS_WIDTH = 7
const MESSAGE_MIN = 20

interface CheckResult {
  id: string
  status: Finding['status']
  message: string
  suggestion: string | null
}

export function doctorCommand() {
  return command(
    'doctor',
    'Check the settings, files and databases on this machine; services may be running or stopped',
    ['ch202 doctor', 'ch202 doctor --only settings,db.auth.integrity -o json'],
  )
    .option('--only <ids>', 'only these checks, separated by commas; db.auth selects every check of that database')
    .action(withTool(doctor))
}

async function doctor(tool: Tool, { only }: { only?: string }): Promise<void> {
  if (tool.globals.url !== undefined)
    throw usage('doctor checks the local machine; --url does not apply', 'ch202 health')
  const [{ CHECKS }, { createContext }] = await Promise.all([import('./checks.ts'), import('./context.ts')])
  const { close, context } = createContext(tool.env, tool.globals.debug ?? false)
  const storage = context.databaseUrl === undefined ? 'files' : 'postgres'
  const applicable = CHECKS.filter((check) => check.only === undefined || check.only === storage)
  const checks = only === undefined ? applicable : selectChecks(applicable, only)
  const items: CheckResult[] = []
  try {
    for (const check of checks) items.push(await runCheck(check, context))
  } finally {
    close()
  }
  const failed = items.filter(({ status }) => status === 'failed').length
  await printResults(tool, failed === 0, items)
  if (failed === 0) return
  process.exitCode = EXIT.checkFailed
  tool.out.say(`✗ ${failed} of ${items.length} checks failed`)
}

function selectChecks(checks: readonly Check[], only: string): Check[] {
  const prefixes = only.split(',').map((id) => id.trim())
  const matches = (id: string, prefix: string) => id === prefix || id.startsWith(`${prefix}.`)
  const unknown = prefixes.find((prefix) => !checks.some(({ id }) => matches(id, prefix)))
  if (unknown !== undefined)
    throw usage(`There is no check ${unknown}: the checks are ${checks.map(({ id }) => id).join(', ')}`)
  return checks.filter(({ id }) => prefixes.some((prefix) => matches(id, prefix)))
}

async function runCheck(check: Check, context: DoctorContext): Promise<CheckResult> {
  const { id } = check
  try {
    const { message, status, suggestion = null } = await check.run(context)
    return { id, status, message, suggestion }
  } catch (error) {
    const message = `The check itself failed: ${error instanceof Error ? error.message : String(error)}`
    return { id, status: 'failed', message, suggestion: `ch202 doctor --only ${id}` }
  }
}

/** Prints a line for each check, wrapped to the terminal, with the fix below it. */
async function printResults({ out }: Tool, ok: boolean, items: readonly CheckResult[]): Promise<void> {
  const { color, fields, output } = out.options
  if (output !== 'table' || fields !== undefined || out.silent) return out.checks(ok, items.map(asRow), COLUMNS)
  const width = Math.max(...items.map(({ id }) => id.length))
  const inColor = colored(process.stdout, color)
  const indent = ' '.repeat(STATUS_WIDTH + 2)
  const columns = terminalWidth(process.stdout) ?? Number.POSITIVE_INFINITY
  for (const { id, message, status, suggestion } of items) {
    const label = status.padEnd(STATUS_WIDTH)
    const start = indent.length + width + 2
    const lines = wrap(plain(message), Math.max(columns - start, MESSAGE_MIN)).map((line, at) =>
      at === 0
        ? `${inColor ? `${COLORS[status]}${label}\x1b[0m` : label}  ${id.padEnd(width)}  ${line}`
        : ' '.repeat(start) + line,
    )
    if (suggestion !== null) lines.push(`${indent}→ ${plain(suggestion)}`)
    await write(lines.join('\n'))
  }
}

function asRow(result: CheckResult): Record<string, unknown> {
  return { ...result }
}
