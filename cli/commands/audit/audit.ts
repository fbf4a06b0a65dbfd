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
/** Rows that come one by one stand under each other where each column has the width that it mostly needs. */
const WIDTHS: Record<string, number> = { type: 20, ip: 15 }

export function auditCommand(): Command {
  const audit = group('audit', 'See what was done, by whom and from where, and why a login failed')

  listCommand(
    filtered(
      addCommand(audit, 'list', 'List what was done, newest first', [
        'ch202 audit list --user ana@example.org --since 2d',
        'ch202 audit list --type login.failed --all -o jsonl',
      ]),
    ).option('--since <time>', SINCE, since),
  ).action(withTool(listAudit))

  filtered(
    addCommand(audit, 'tail', 'Show the last rows, and then each as it comes, until Ctrl-C', [
      'ch202 audit tail',
      'ch202 audit tail --type login.paused -o jsonl',
    ]),
  ).action(withTool(follow))

  addCommand(audit, 'explain', 'Say why a login failed, and the command that mends it', [
    'ch202 audit explain ana@example.org',
    'ch202 audit explain ana -o json',
  ])
    .argument('<subject>', 'an email, a username, the id of a user, or that of a request (x-request-id)')
    .action(
      withTool(async (tool, _: object, subject: string) => {
        await show(tool, { subject, ...(await explain(tool, subject)) })
      }),
    )

  return audit
}

function filtered(command: Command): Command {
  return command
    .option('--user <ref>', `only of this user: ${ONE_REF}`)
    .option('--type <type>', 'only of this type, such as login.failed')
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
  const extent = withoutUndefined({ limit, cursor, all })
  await list(tool, extent, ['audit', 'list', ...flags(filters)], COLUMNS, (part) =>
    api.auth((auth) => auth.admin.audit.get({ query: { ...filter, ...part } })),
  )
}

async function follow(tool: Tool, filters: Filters): Promise<void> {
  const filter = await filterOf(tool, filters)
  const stopping = new AbortController()
  process.once('SIGINT', () => {
    process.exitCode = EXIT.interrupted
    stopping.abort()
  })
  const even = tool.globals.output === 'table' && tool.globals.fields === undefined
  for await (const rows of tail(tool, filter, stopping.signal)) {
    await tool.out.rows(even ? rows.map(padded) : rows, COLUMNS, { live: true })
    if (stopping.signal.aborted) return
  }
}

function padded(row: Row): Row {
  const cells = Object.entries(WIDTHS).map(([name, width]) => [name, String(row[name] ?? '').padEnd(width)])
  return { ...row, ...Object.fromEntries(cells) }
}

type Explained = Awaited<ReturnType<typeof explain>> & { subject: string }

/** For people the sentence, the command, and what they are read from; else the record. */
async function show(tool: Tool, explained: Explained): Promise<void> {
  const { evidence, explanation, suggestion } = explained
  if (tool.globals.output !== 'table' || tool.globals.fields !== undefined) return tool.out.record({ ...explained })
  await write(prose(plain(explanation), process.stdout))
  if (suggestion !== null) await write(`→ ${plain(suggestion)}`)
  if (evidence.length > 0) await tool.out.rows(evidence, ['at', 'type', 'ip', 'detail'])
}
