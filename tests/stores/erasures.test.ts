import { describe, expect, test } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import type { AuthStore } from '../../services/auth/store/index.ts'
import { openBoth } from './at-once.ts'
import { event, id, NOW } from './auth-suite.ts'

const { both } = await openBoth((config) => openAuthStore(config))

const ADDRESS = '198.51.100.42'

/** Adds failed logins under emails that nobody had. */
async function failedLogins(store: AuthStore, ...emails: string[]): Promise<void> {
  for (const email of emails)
    await store.addAuditEvent({ ...event('login.failed'), ip: ADDRESS, detail: { reason: 'unknown_or_wrong', email } })
  await store.chainAudit()
}

async function eraseRows(store: AuthStore, userId: string): Promise<void> {
  const remains = (rows: unknown[]) => ({ ...event('erasure.remains'), detail: { rows } })
  while ((await store.eraseAudit(userId, remains)) !== 'done');
}

async function dueOf(store: AuthStore, userId: string) {
  const due = (await store.erasuresDue(NOW)).find((one) => one.userId === userId)
  if (!due) throw new Error('The erasure is not due')
  return due
}

/** The emails with an address in failed logins of the audit. */
async function emailsLeft(store: AuthStore, emails: readonly string[]): Promise<unknown[]> {
  const { rows } = await store.listAuditEvents({ type: 'login.failed' }, { size: 200, page: 1 })
  return rows
    .filter(({ detail, ip }) => ip !== null && emails.includes(String(detail.email)))
    .map(({ detail }) => detail.email)
}

describe.each(both)('an erasure on %s', (_, store) => {
  test('that is requested again while it runs keeps the names of the first request', async () => {
    const userId = id()
    const emails = [`${userId}@first.example`, `${userId}@both.example`, `${userId}@second.example`]
    const [first = '', both = '', second = ''] = emails
    await failedLogins(store, ...emails)
    await store.beginErasure({ userId, emails: [first, both], keys: [first, both] }, NOW)
    await store.beginErasure({ userId, emails: [both, second], keys: [second] }, NOW + 1)
    await store.beginErasure({ userId, emails: [], keys: [] }, NOW + 2)
    await eraseRows(store, userId)
    expect(await emailsLeft(store, emails)).toEqual([])
  })

  test('that was completed leaves none of its names to a later one', async () => {
    const userId = id()
    const emails = [`${userId}@first.example`]
    await store.beginErasure({ userId, emails, keys: emails }, NOW)
    await eraseRows(store, userId)
    await store.completeErasure(await dueOf(store, userId), NOW, () => event('erasure.completed', userId))
    await failedLogins(store, ...emails)
    await store.beginErasure({ userId, emails: [], keys: [] }, NOW + 1)
    await eraseRows(store, userId)
    expect(await emailsLeft(store, emails)).toEqual(emails)
  })

  test.each([NOW + 1, NOW, NOW - 1])('is not complete if it was requested again since, at %d', async (again) => {
    const userId = id()
    const emails = [`${userId}@example.org`]
    await failedLogins(store, ...emails)
    await store.beginErasure({ userId, emails: [], keys: [] }, NOW)
    const due = await dueOf(store, userId)
    await eraseRows(store, userId)
    await store.beginErasure({ userId, emails, keys: emails }, again)
    await store.completeErasure(due, NOW, () => event('erasure.completed', userId))
    const later = await dueOf(store, userId)
    expect(later.isDone).toBe(false)
    await eraseRows(store, userId)
    await store.completeErasure(later, NOW + 2, () => event('erasure.completed', userId))
    expect([await emailsLeft(store, emails), (await dueOf(store, userId)).isDone]).toEqual([[], true])
  })
})
