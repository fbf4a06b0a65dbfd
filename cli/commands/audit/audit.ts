import { type Command, Option } from 'commander'
import { EXIT } from '../../exit.ts'
import type { Row } from '../../terminal/table.ts'
import { plain, prose, write } from '../../terminal/terminal.ts'
import { SINCE, since, UNTIL, until } from '../../terminal/times.ts'
import { addCommand, group, type Tool, withTool } from '../../tool/command.ts'
import { flags, type ListOptions, list, listCommand } from '../../tool/lists.ts'
import { ONE_REF, userOf } from '../../tool/refs.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { explain } from './explain.ts'
import { tail } from './tail.ts'
import type { VerifyOptions } from './verify.ts'

const COLUMNS = ['at', 'type', 'ip', 'user_id', 'detail']
/** Usual widths of columns, to align rows that arrive one by one. */
const WIDTHS: Record<string, number> = { type: 20, ip: 15 }

export function auditCommand(): Command {
  const audit = group('audit', 'See who did what and from where, and why a login failed')

  listCommand(
    withFilters(
      addCommand(audit, 'list', 'List the audit log, newest first', [
        'ch202 audit list --user ana@example.org --since 2d',
        'ch202 audit list --type login.failed --all -o jsonl',
      ]),
    ).option('--since <time>', SINCE, since),
  ).action(withTool(listAudit))

  withFilters(
    addCommand(audit, 'tail', 'Show the last rows and follow new ones until Ctrl-C', [
      'ch202 audit tail',
      'ch202 audit tail --type login.paused -o jsonl',
    ]),
  ).action(withTool(follow))

  addCommand(audit, 'explain', 'Explain why a login failed, with the command that fixes it', [
    'ch202 audit explain ana@example.org',
    'ch202 audit explain ana -o json',
  ])
    .argument('<subject>', 'an email, a username, a user id or a request id (x-request-id)')
    .action(
      withTool(async (tool, _: object, subject: string) => {
        await printExplanation(tool, { subject, ...(await explain(tool, subject)) })
      }),
    )

  withFilters(
    addCommand(audit, 'export', 'Export the audit log in the order of its chain, so that it can be verified', [
      'ch202 audit export > audit.jsonl',
      'ch202 audit export --format csv --since 30d > audit.csv',
    ]),
  )
    .option('--since <time>', SINCE, since)
    .option('--until <time>', UNTIL, until)
    .addOption(new Option('--format <format>', 'output format (default: jsonl)').choices(['jsonl', 'csv']))
    .action(
      withTool(async (tool, { format, ...filters }: ExportFlags) => {
        const { exportAudit } = await import('./export.ts')
        await exportAudit(tool, format, await filterOf(tool, filters))
      }),
    )

  addCommand(audit, 'verify', 'Check that no row was changed, removed or inserted', [
    'ch202 audit verify',
    'ch202 audit verify audit.jsonl',
  ])
    .argument('[file]', 'an exported file, or - for standard input (default: the running installation)')
    .option('--head <hash>', 'the head that was recorded earlier: it must be in the chain')
    .option('--filtered', 'the file was exported with filters: rows may be missing')
    .action(
      withTool(async (tool, options: VerifyOptions, file?: string) => {
        const { verifyAudit } = await import('./verify.ts')
        await verifyAudit(tool, options, file)
      }),
    )

  return audit
}

type ExportFlags = Filters & { until?: string; format?: 'jsonl' | 'csv' }

function withFilters(command: Command): Command {
  return command
    .option('--user <ref>', `only rows about this user: ${ONE_REF}`)
    .option('--type <type>', 'only rows of this type, such as login.failed')
}

interface Filters {
  user?: string
  type?: string
  since?: string
}

async function filterOf<Others extends object>(tool: Tool, { user, ...filters }: Others & Filters) {
  return user === undefined ? filters : { ...filters, user_id: (await userOf(tool, user)).id }
}

async function listAudit(tool: Tool, { limit, cursor, all, ...filters }: ListOptions & Filters): Promise<void> {
  const [api, filter] = [await tool.api(), await filterOf(tool, filters)]
  const listOptions = withoutUndefined({ limit, cursor, all })
  await list(tool, listOptions, ['audit', 'list', ...flags(filters)], COLUMNS, (part) =>
    api.auth((auth) => auth.admin.audit.get({ query: { ...filter, ...part } })),
  )
}

async function follow(tool: Tool, filters: Filters): Promise<void> {
  const filter = await filterOf(tool, filters)
  const stop = new AbortController()
  process.once('SIGINT', () => {
    process.exitCode = EXIT.interrupted
    stop.abort()
  })
  const alignColumns = tool.globals.output === 'table' && tool.globals.fields === undefined
  for await (const rows of tail(tool, filter, stop.signal)) {
    await tool.out.rows(alignColumns ? rows.map(padRow) : rows, COLUMNS, { live: true })
    if (stop.signal.aborted) return
  }
}

function padRow(row: Row): Row {
  const cells = Object.entries(WIDTHS).map(([name, width]) => [name, String(row[name] ?? '').padEnd(width)])
  return { ...row, ...Object.fromEntries(cells) }
}

type ExplainResult = Awaited<ReturnType<typeof explain>> & { subject: string }

/** Prints the explanation, the fix and the evidence as text, or the record in other formats. */
async function printExplanation(tool: Tool, result: ExplainResult): Promise<void> {
  const { evidence, explanation, suggestion } = result
  if (tool.globals.output !== 'table' || tool.globals.fields !== undefined) return tool.out.record({ ...result })
  if (tool.out.silent) return
  await write(prose(plain(explanation), process.stdout))
  if (suggestion !== null) await write(`→ ${plain(suggestion)}`)
  if (evidence.length > 0) await tool.out.rows(evidence, ['at', 'type', 'ip', 'detail'])
}
