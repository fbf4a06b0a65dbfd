import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openAuthStore } from '../../../db/auth/store.ts'
import { account, event, NOW, session } from '../../../tests/stores/auth-suite.ts'
import { systemClock } from '../../kit/clock.ts'
import { silentLog } from '../../kit/log.ts'
import { Revocations } from '../../kit/tokens/revocations.ts'
import { RevocationFeed } from './revocation-feed.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'ch202-feed-'))
afterAll(() => rmSync(dataDir, { recursive: true }))

test('a request that ends sessions also enforces what an earlier one had stored when it failed', async () => {
  const store = await openAuthStore({ dataDir })
  const revocations = new Revocations()
  const feed = new RevocationFeed({
    store,
    clock: systemClock,
    log: silentLog,
    revocations,
    issuer: 'issuer',
    audience: 'audience',
    jwks: () => [],
    subscribedTypes: () => [],
    servedBefore: false,
    node: 'this',
    reloadKeys: async () => undefined,
    reloadSubscribedTypes: async () => undefined,
  })
  await feed.open()
  const user = account()
  await store.syncAccount(user, NOW, (type) => event(type))
  const sessions = Array.from({ length: 4 }, () => session(user.userId))
  for (const opened of sessions) await store.openSession(opened, event())
  const [first, lost, third, last] = sessions.map(({ id }) => id)
  const end = async (id = '') => store.endSession(id, null, { reason: 'logout', now: NOW }, event())
  const covered = () => sessions.map(({ id }) => revocations.covers({ sid: id, sub: user.userId, ver: 1 }))
  const announce = async (id?: string) => feed.announce((await end(id)) ?? { sessions: 0, seq: 0, revocations: [] })

  await announce(first)
  await end(lost)
  expect(covered()).toEqual([true, false, false, false])
  await announce(third)
  expect(covered()).toEqual([true, true, true, false])
  await announce(last)
  expect(covered()).toEqual([true, true, true, true])
  await store.close()
})
