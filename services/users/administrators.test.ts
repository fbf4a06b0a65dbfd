import { expect, test } from 'bun:test'
import type { Caller } from '../kit/caller.ts'
import { patchUser, replaceUser } from './changes.ts'
import type { AssuredContext } from './context.ts'
import type { User } from './store.ts'
import { deleteUser, newUser } from './users.ts'

const ID = '01900000-0000-7000-8000-000000000000'
const email = 'ana@example.org'
const caller = {
  client: { id: 'c', scopes: ['users:write'] },
  userId: null,
  operator: false,
  supportRole: null,
  scraper: false,
} as unknown as Caller

/** A store in which the user becomes an administrator after the first read. */
function promoting() {
  const before = newUser({ email }, { id: ID, passwordHash: null, createdAt: 1, updatedAt: 1 })
  const after: User = { ...before, roles: ['USER', 'ADMIN'], version: 2 }
  const calls: string[] = []
  const store = {
    userById: async () => (calls.push('read') === 1 ? before : after),
    replaceUser: async (next: User) => {
      calls.push('replace')
      return next.version === after.version + 1 ? 'replaced' : 'changed_since'
    },
    removeUser: async (_: string, __: unknown, withoutRoles: readonly string[] = []) => {
      calls.push('remove')
      return withoutRoles.some((role) => after.roles.includes(role)) ? 'kept' : 'removed'
    },
  }
  const context = {
    store,
    clock: { now: () => 2 },
    random: { id: () => ID },
    isSubscribed: () => false,
    outboxes: { subscribers: [], waitForDelivery: async () => undefined },
    config: {},
  } as unknown as AssuredContext
  return { context, calls }
}

type Attempt = [name: string, attempt: (context: AssuredContext) => Promise<unknown>, calls: string[]]
const attempts: Attempt[] = [
  ['updates', (context) => patchUser(context, ID, { name: 'x' }, caller), ['read', 'replace', 'read']],
  ['replaces', (context) => replaceUser(context, ID, { email, name: 'x' }, caller), ['read', 'replace', 'read']],
  ['deletes', (context) => deleteUser(context, ID, caller), ['read', 'remove']],
]
test.each(attempts)(
  '16: a client that %s a user who becomes an administrator meanwhile changes nothing',
  async (...row) => {
    const [, attempt, expected] = row
    const { calls, context } = promoting()
    expect(await attempt(context).catch(({ code }) => code)).toBe('forbidden')
    expect(calls).toEqual(expected)
  },
)
