import type { Command } from 'commander'
import { emailKey } from '../../../services/kit/schema/email.ts'
import { searchFor } from '../../client/search.ts'
import { EXIT, Failure } from '../../exit.ts'
import { asFailure } from '../../terminal/failures.ts'
import type { Row } from '../../terminal/table.ts'
import { count } from '../../terminal/terminal.ts'
import { addCommand, group, type Tool, withTool } from '../../tool/command.ts'
import { flags, type ListOptions, list, listCommand, pages } from '../../tool/lists.ts'
import { forEachRef, REFS, UUID, userOf } from '../../tool/refs.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { syncCache } from './sync.ts'

const COLUMNS = ['user_id', 'email', 'username', 'status', 'password_version', 'synced_at']

export function cacheCommand(): Command {
  const cache = group('cache', 'Inspect and sync the users that auth caches for logins')

  addCommand(cache, 'status', 'Show password cache statistics', [
    'ch202 cache status',
    'ch202 cache status -o json --fields entries,users',
  ]).action(withTool(status))

  listCommand(
    addCommand(cache, 'list', 'List the cached users, sorted by id', [
      'ch202 cache list --search ana',
      'ch202 cache list --all -o ids',
    ]).option('--search <part>', 'only users with this text in their email or username, ignoring case'),
  ).action(withTool(listCache))

  addCommand(cache, 'drop', 'Drop a user from the cache: their next login asks the users service', [
    'ch202 cache drop ana@example.org',
    'ch202 users list --role ADMIN -o ids | ch202 cache drop -',
  ])
    .argument('<ref>', REFS)
    .action(withTool((tool, _: object, ref: string) => forEachRef(tool, ref, (one) => drop(tool, one))))

  addCommand(cache, 'sync', 'Sync the cache with the users service', [
    'ch202 cache sync',
    'ch202 cache sync --user ana@example.org -o json',
  ])
    .option('--user <ref>', `only this user: ${REFS}`)
    .action(withTool(sync))

  return cache
}

/** Prints auth's statistics with the number of all users, which the cache may not all have yet. */
async function status(tool: Tool): Promise<void> {
  const api = await tool.api()
  const [health, users] = await Promise.all([
    api.auth((auth) => auth.health.cache.get()),
    api.users((client) => client.users.get({ query: { size: '1' } })).catch(asFailure),
  ])
  const { entries, ...rest } = health
  if (users instanceof Failure) {
    tool.out.say(`${users.message}: the number of users is unknown`)
    return tool.out.record({ entries, users: null, ...rest })
  }
  const total = users.total ?? 0
  await tool.out.record({ entries, users: total, ...rest })
  if (entries > total)
    tool.out.say(`${count(entries - total)} entries of users who no longer exist\n→ ch202 cache sync`)
  else if (entries < total)
    tool.out.say(`${count(total - entries)} users not in the cache: fetched at their next login`)
}

async function listCache(tool: Tool, { search, ...extent }: ListOptions & { search?: string }): Promise<void> {
  const api = await tool.api()
  const filter = withoutUndefined({ search })
  await list(tool, extent, ['cache', 'list', ...flags(filter)], COLUMNS, (part) =>
    api.auth((auth) => auth.admin['password-cache'].get({ query: { ...filter, ...part } })),
  )
}

async function drop(tool: Tool, ref: string): Promise<Row> {
  const [api, user] = [await tool.api(), await userOrEntry(tool, ref)]
  try {
    await api.auth((auth) => auth.admin['password-cache']({ user_id: user.id }).delete())
  } catch (error) {
    if (asFailure(error).exit !== EXIT.notFound) throw error
    tool.out.say(`${user.email ?? ref} is not in the cache: nothing was dropped`)
    return { ok: true, ...user, changed: false }
  }
  return { ok: true, ...user, changed: true }
}

/** Finds a user, or a cache entry of a deleted user. @throws Failure if there is neither */
async function userOrEntry(tool: Tool, ref: string): Promise<{ id: string; email?: string }> {
  try {
    const { email, id } = await userOf(tool, ref)
    return { id, email }
  } catch (error) {
    if (asFailure(error).exit !== EXIT.notFound) throw error
    const entry = await findEntry(tool, emailKey(ref.trim()))
    if (!entry) throw error
    return entry
  }
}

async function findEntry(tool: Tool, ref: string): Promise<{ id: string; email: string } | undefined> {
  const api = await tool.api()
  const query = UUID.test(ref) ? {} : { search: searchFor(ref) }
  const parts = pages((part) => api.auth((auth) => auth.admin['password-cache'].get({ query: { ...query, ...part } })))
  for await (const { items } of parts) {
    const account = items.find(({ email, user_id, username }) =>
      [user_id, username, emailKey(String(email))].includes(ref),
    )
    if (account) return { id: String(account.user_id), email: String(account.email) }
  }
  return undefined
}

async function sync(tool: Tool, { user }: { user?: string }): Promise<void> {
  if (user === undefined) return tool.out.record(await syncRecord(tool))
  await forEachRef(tool, user, async (ref) => {
    const { email, id } = await userOrEntry(tool, ref)
    return { user_id: id, ...withoutUndefined({ email }), ...(await syncRecord(tool, id)) }
  })
}

async function syncRecord(tool: Tool, userId?: string): Promise<Row> {
  const counts = await syncCache(tool, userId)
  return { ...counts, changed: counts.synced + counts.removed > 0 }
}
