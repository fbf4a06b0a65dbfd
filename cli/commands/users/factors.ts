import type { Command } from 'commander'
import { usage } from '../../exit.ts'
import { confirm } from '../../terminal/confirm.ts'
import type { Row } from '../../terminal/table.ts'
import { counted } from '../../terminal/terminal.ts'
import { addCommand, group, type Tool, withTool } from '../../tool/command.ts'
import { forEachRef, ONE_REF, REFS, userOf } from '../../tool/refs.ts'

const COLUMNS = ['id', 'kind', 'name', 'created_at', 'last_used_at', 'transports', 'backed_up']

/** Adds `users factors`. */
export function addFactors(users: Command): void {
  const factors = group('factors', 'Show and remove the second factors of a user')
  addCommand(factors, 'list', 'List the apps and passkeys of a user', [
    'ch202 users factors list ana@example.org',
    'ch202 users factors list ana --fields kind,name,last_used_at -o csv',
  ])
    .argument('<ref>', ONE_REF)
    .action(withTool(listFactors))
  addCommand(factors, 'reset', 'Remove all apps, passkeys and recovery codes of a user, and end their sessions', [
    'ch202 users factors reset ana@example.org --yes',
    'ch202 users factors reset ben --confirm ben@example.org',
  ])
    .argument('<ref>', REFS)
    .option('--confirm <email>', 'the email of the user, instead of --yes')
    .action(withTool(reset))
  users.addCommand(factors)
}

async function factorsOf(tool: Tool, userId: string) {
  const api = await tool.api()
  return api.auth((auth) => auth.admin.users({ user_id: userId }).factors.get())
}

async function listFactors(tool: Tool, _: object, ref: string): Promise<void> {
  const { email, id } = await userOf(tool, ref)
  const { items, ...more } = await factorsOf(tool, id)
  // An app lacks the fields of a passkey, where each row needs the same.
  const isAsAnswered = tool.out.json && tool.globals.fields === undefined
  const rows: Row[] = isAsAnswered ? items : items.map((item) => ({ transports: null, backed_up: null, ...item }))
  await tool.out.list(rows.map(ordered), COLUMNS, { more })
  if (items.length === 0) tool.out.say(`${email} has no second factor`)
  else if (tool.globals.output === 'table') tool.out.say(`${counted(more.recovery_codes_left, 'recovery code')} left`)
}

/** Gives the fields of a factor the same order in each row. */
function ordered(row: Row): Row {
  return Object.fromEntries(COLUMNS.filter((name) => name in row).map((name) => [name, row[name]]))
}

async function reset(tool: Tool, { confirm: confirmation }: { confirm?: string }, ref: string): Promise<void> {
  const { yes } = tool.globals
  if (ref === '-' && !yes) throw usage('Removing the factors of the users listed on standard input requires --yes')
  await forEachRef(tool, ref, async (one) => {
    const { email, id } = await userOf(tool, one)
    const { length: removed } = (await factorsOf(tool, id)).items
    if (removed === 0) tool.out.say(`${email} has no second factor: nothing was removed`)
    else {
      const factors = removed === 1 ? 'the second factor' : `the ${removed} second factors`
      await confirm(`Remove ${factors} of ${email}?`, { yes, confirm: confirmation, name: email })
      const api = await tool.api()
      await api.auth((auth) => auth.admin.users({ user_id: id }).factors.delete())
    }
    return { ok: true, id, email, removed, changed: removed > 0 }
  })
}
