import type { Command } from 'commander'
import { EXIT } from '../../exit.ts'
import type { Row } from '../../terminal/table.ts'
import { plain, prose, write } from '../../terminal/terminal.ts'
import { SINCE, since } from '../../terminal/times.ts'
import { addCommand, group, type Tool, withTool } from '../../tool/command.ts'
import { flags, type ListOptions, list, listCommand } from '../../tool/lists.ts'
import { ONE_REF, userOf } from '../../tool/refs.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { explain } from './explain.ts'
import { tail } from './tail.ts'

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

  return audit
}

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

async function filterOf(tool: Tool, { user, ...filters }: Filters) {
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
