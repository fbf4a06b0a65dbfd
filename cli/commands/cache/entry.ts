import { emailKey } from '../../../services/kit/schema/email.ts'
import { searchFor } from '../../client/search.ts'
import { EXIT } from '../../exit.ts'
import { asFailure } from '../../terminal/failures.ts'
import type { Tool } from '../../tool/command.ts'
import { pages } from '../../tool/lists.ts'
import { UUID, userOf } from '../../tool/refs.ts'

/** Finds a user, or a cache entry of a deleted user. @throws Failure if there is neither */
export async function userOrEntry(tool: Tool, ref: string): Promise<{ id: string; email?: string }> {
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

/** Finds the cache entry with an id, an email or a username; undefined if no entry matches. */
async function findEntry(tool: Tool, ref: string): Promise<{ id: string; email: string } | undefined> {
  const api = await tool.api()
  const query = UUID.test(ref) ? {} : { search: searchFor(ref) }
  const entries = pages((page) =>
    api.auth((auth) => auth.admin['password-cache'].get({ query: { ...query, ...page } })),
  )
  for await (const { items } of entries) {
    const entry = items.find(({ email, user_id, username }) =>
      [user_id, username, emailKey(String(email))].includes(ref),
    )
    if (entry) return { id: String(entry.user_id), email: String(entry.email) }
  }
  return undefined
}
