import { EXIT, usage } from '../../exit.ts'
import { wrap } from '../../terminal/columns.ts'
import { colored, plain, width as terminalWidth, write } from '../../terminal/terminal.ts'
import { command, type Tool, withTool } from '../../tool/command.ts'
import type { Check, Finding, Scene } from './check.ts'

const COLUMNS = ['status', 'id', 'message']
const COLORS = { ok: '\x1b[32m', warning: '\x1b[33m', failed: '\x1b[31m', skipped: '\x1b[2m' } as const
const STATUS_WIDTH = 7
const MESSAGE_LEAST = 20

interface Told {
  id: string
  status: Finding['status']
  message: string
  suggestion: string | null
}

export function doctorCommand() {
  return command('doctor', 'Check settings, files and databases of this machine, with the services up or down', [
    'ch202 doctor',
    'ch202 doctor --only settings,db.auth.integrity -o json',
  ])
    .option('--only <ids>', 'only these checks, separated by commas; db.auth is all that begin so')
    .action(withTool(doctor))
}

async function doctor(tool: Tool, { only }: { only?: string }): Promise<void> {
  if (tool.globals.url !== undefined) throw usage('The doctor looks at this machine: --url has none', 'ch202 health')
  const [{ CHECKS }, { sceneOf }] = await Promise.all([import('./checks.ts'), import('./context.ts')])
  const checks = only === undefined ? CHECKS : chosen(CHECKS, only)
  const { close, scene } = sceneOf(tool.env, tool.globals.debug ?? false)
  const items: Told[] = []
  try {
    for (const check of checks) items.push(await made(check, scene))
  } finally {
    close()
  }
  const failed = items.filter(({ status }) => status === 'failed').length
  await show(tool, failed === 0, items)
  if (failed === 0) return
  process.exitCode = EXIT.checkFailed
  tool.out.say(`✗ ${failed} of ${items.length} checks failed`)
}

function chosen(checks: readonly Check[], only: string): Check[] {
  const wanted = only.split(',').map((id) => id.trim())
  const fits = (id: string, want: string) => id === want || id.startsWith(`${want}.`)
  const unknown = wanted.find((want) => !checks.some(({ id }) => fits(id, want)))
  if (unknown !== undefined)
    throw usage(`There is no check ${unknown}: there are ${checks.map(({ id }) => id).join(', ')}`)
  return checks.filter(({ id }) => wanted.some((want) => fits(id, want)))
}

async function made({ id, look }: Check, scene: Scene): Promise<Told> {
  try {
    const { message, status, suggestion = null } = await look(scene)
    return { id, status, message, suggestion }
  } catch (error) {
    const message = `It can't be looked at: ${error instanceof Error ? error.message : String(error)}`
    return { id, status: 'failed', message, suggestion: `ch202 doctor --only ${id}` }
  }
}

/** For people a line each, parted at blanks where a terminal is narrower, and what mends it below. */
async function show({ out }: Tool, allWell: boolean, items: readonly Told[]): Promise<void> {
  const { color, fields, output } = out.options
  if (output !== 'table' || fields !== undefined) return out.checks(allWell, items.map(asRow), COLUMNS)
  const width = Math.max(...items.map(({ id }) => id.length))
  const inColor = colored(process.stdout, color)
  const indent = ' '.repeat(STATUS_WIDTH + 2)
  const columns = terminalWidth(process.stdout) ?? Number.POSITIVE_INFINITY
  for (const { id, message, status, suggestion } of items) {
    const label = status.padEnd(STATUS_WIDTH)
    const start = indent.length + width + 2
    const lines = wrap(plain(message), Math.max(columns - start, MESSAGE_LEAST)).map((line, at) =>
      at === 0
        ? `${inColor ? `${COLORS[status]}${label}\x1b[0m` : label}  ${id.padEnd(width)}  ${line}`
        : ' '.repeat(start) + line,
    )
    if (suggestion !== null) lines.push(`${indent}→ ${plain(suggestion)}`)
    await write(lines.join('\n'))
  }
}

function asRow(told: Told): Record<string, unknown> {
  return { ...told }
}
