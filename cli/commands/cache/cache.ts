import type { Command } from 'commander'
import { emailKey } from '../../../services/kit/schema/email.ts'
import { searchFor } from '../../client/search.ts'
import { EXIT, Failure } from '../../exit.ts'
import { asFailure } from '../../terminal/output.ts'
import type { Row } from '../../terminal/table.ts'
import { count } from '../../terminal/terminal.ts'
import { addCommand, group, type Tool, withTool } from '../../tool/command.ts'
import { flags, type ListOptions, list, listCommand, pages } from '../../tool/lists.ts'
import { forEachRef, REFS, UUID, userOf } from '../../tool/refs.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { syncedCache } from './sync.ts'

const COLUMNS = ['user_id', 'email', 'username', 'status', 'password_version', 'synced_at']

export function cacheCommand(): Command {
  const cache = group('cache', 'See and mend what auth knows of users for logins')

  addCommand(cache, 'status', 'Show how the password cache does', [
    'ch202 cache status',
    'ch202 cache status -o json --fields entries,users',
  ]).action(withTool(status))

  listCommand(
    addCommand(cache, 'list', 'List the users that auth knows, by id', [
      'ch202 cache list --search ana',
      'ch202 cache list --all -o ids',
    ]).option('--search <part>', 'only those with this in the email or the username, in any case'),
  ).action(withTool(listCache))

  addCommand(cache, 'drop', 'Drop a user from the cache: its next login asks the users service', [
    'ch202 cache drop ana@example.org',
    'ch202 users list --role ADMIN -o ids | ch202 cache drop -',
  ])
    .argument('<ref>', REFS)
    .action(withTool((tool, _: object, ref: string) => forEachRef(tool, ref, (one) => drop(tool, one))))

  addCommand(cache, 'sync', 'Bring the cache in line with the users service', [
    'ch202 cache sync',
    'ch202 cache sync --user ana@example.org -o json',
  ])
    .option('--user <ref>', `only this one: ${REFS}`)
    .action(withTool(sync))

  return cache
}

/** What auth says of itself, and beside it how many users there are, of which each is one that it may not know yet. */
async function status(tool: Tool): Promise<void> {
  const api = await tool.api()
  const [health, users] = await Promise.all([
    api.auth((auth) => auth.health.cache.get()),
    api.users((client) => client.users.get({ query: { size: '1' } })).catch(asFailure),
  ])
  const { entries, ...rest } = health
  if (users instanceof Failure) {
    tool.out.say(`${users.message}: how many users there are is unknown`)
    return tool.out.record({ entries, users: null, ...rest })
  }
  const total = users.total ?? 0
  await tool.out.record({ entries, users: total, ...rest })
  if (entries > total) tool.out.say(`${count(entries - total)} that no longer exist\n→ ch202 cache sync`)
  else if (entries < total) tool.out.say(`${count(total - entries)} not in the cache: fetched at their next login`)
}

async function listCache(tool: Tool, { search, ...extent }: ListOptions & { search?: string }): Promise<void> {
  const api = await tool.api()
  const filter = withoutUndefined({ search })
  await list(tool, extent, ['cache', 'list', ...flags(filter)], COLUMNS, (part) =>
    api.auth((auth) => auth.admin['password-cache'].get({ query: { ...filter, ...part } })),
  )
}

async function drop(tool: Tool, ref: string): Promise<Row> {
  const [api, known] = [await tool.api(), await knownAs(tool, ref)]
  try {
    await api.auth((auth) => auth.admin['password-cache']({ user_id: known.id }).delete())
  } catch (error) {
    if (asFailure(error).exit !== EXIT.notFound) throw error
    tool.out.say(`${known.email ?? ref} is not in the cache: nothing was dropped`)
    return { ok: true, ...known, changed: false }
  }
  return { ok: true, ...known, changed: true }
}

/** Whom a ref names: also one that is deleted and that auth has not heard the news of. @throws Failure where no one knows */
async function knownAs(tool: Tool, ref: string): Promise<{ id: string; email?: string }> {
  try {
    const { email, id } = await userOf(tool, ref)
    return { id, email }
  } catch (error) {
    if (asFailure(error).exit !== EXIT.notFound) throw error
    const held = await heldAs(tool, emailKey(ref.trim()))
    if (!held) throw error
    return held
  }
}

async function heldAs(tool: Tool, ref: string): Promise<{ id: string; email: string } | undefined> {
  const api = await tool.api()
  const query = UUID.test(ref) ? {} : { search: searchFor(ref) }
  const parts = pages((part) => api.auth((auth) => auth.admin['password-cache'].get({ query: { ...query, ...part } })))
  for await (const { items } of parts) {
    const held = items.find(({ email, user_id, username }) =>
      [user_id, username, emailKey(String(email))].includes(ref),
    )
    if (held) return { id: String(held.user_id), email: String(held.email) }
  }
  return undefined
}

async function sync(tool: Tool, { user }: { user?: string }): Promise<void> {
  if (user === undefined) return tool.out.record(await synced(tool))
  await forEachRef(tool, user, async (ref) => {
    const { email, id } = await knownAs(tool, ref)
    return { user_id: id, ...withoutUndefined({ email }), ...(await synced(tool, id)) }
  })
}

async function synced(tool: Tool, userId?: string): Promise<Row> {
  const counts = await syncedCache(tool, userId)
  return { ...counts, changed: counts.synced + counts.removed > 0 }
}
