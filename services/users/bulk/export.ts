import type { Caller } from '../../kit/caller.ts'
import type { PageRequest } from '../../kit/schema/page.ts'
import type { ChangeContext } from '../context.ts'
import { auditRowNotice } from '../notices.ts'
import { userRead } from '../present.ts'
import type { User, UsersStore } from '../store.ts'

/** Users read at once. */
const PAGE_SIZE = 500

/**
 * Records who exports, then gives all users in the order of creation, by pages, as lines of JSON. Users who exist
 * throughout the export are in it once; those created or deleted meanwhile may be missing.
 * @param include whether the lines hold the password hashes
 */
export async function exportUsers(
  context: Pick<ChangeContext, 'store' | 'outboxes' | 'clock' | 'random'>,
  include: { hashes: boolean },
  caller: Caller,
): Promise<AsyncGenerator<string>> {
  const row = auditRowNotice(context, caller, null, ['users.exported', { with_hashes: include.hashes }])
  // On disk before the first hash is read.
  await context.store.addNotice(row)
  context.outboxes.wake()
  return pagesOf(context.store, include.hashes ? lineWithHash : userRead)
}

async function* pagesOf(store: UsersStore, lineOf: (user: User) => object): AsyncGenerator<string> {
  for (let request: PageRequest | null = { size: PAGE_SIZE, page: 1 }; request; ) {
    const { rows, next } = await store.listUsers({ sort: 'created_at' }, request)
    if (rows.length > 0) yield jsonLines(rows.map(lineOf))
    request = next && { size: PAGE_SIZE, after: next }
  }
}

/** The line of a user without a password has no `password_hash`: an import reads it the same way. */
function lineWithHash(user: User): object {
  const { passwordHash } = user
  return { ...userRead(user), ...(passwordHash === null ? {} : { password_hash: passwordHash }) }
}

/** Values as JSON, each with a line break behind it. */
export function jsonLines(values: readonly object[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join('')
}
