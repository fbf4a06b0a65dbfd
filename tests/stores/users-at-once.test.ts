import { describe, expect, test } from 'bun:test'
import { openUsersStore } from '../../db/users/store.ts'
import { profileOf } from '../../services/kit/schema/user.ts'
import type { User, UsersStore } from '../../services/users/store.ts'
import { AT_ONCE, FEW_COMMITS, newUsers, noticeAbout, ofEach, openBoth, testChanges } from './at-once.ts'
import { NOW } from './auth-suite.ts'

const HOUR = 3_600_000

const stores = await openBoth(openUsersStore)

const userOf = (id: string, changes: Partial<User> = {}): User => ({
  id,
  email: `${id}@example.org`,
  username: id,
  name: null,
  roles: ['USER'],
  status: 'active',
  emailVerified: true,
  ...profileOf({}),
  passwordHash: 'hash',
  version: 1,
  sessionsFrom: 1,
  allSessionsFrom: 1,
  sessionKept: null,
  tokensFrom: 1,
  factorsFrom: 0,
  createdAt: NOW,
  updatedAt: NOW,
  ...changes,
})
const addAll = (users: UsersStore, ids: readonly string[], changes: Partial<User> = {}) =>
  users.addUsers(
    ids.map((id) => ({ user: userOf(id, changes), notices: [] })),
    NOW,
  )

testChanges(stores, {
  register: {
    make: (users, user, { notices }) => users.addUser(userOf(user), notices),
    result: 'added',
    changed: (users, ids) => ofEach(ids, async (id) => (await users.userById(id)) !== null),
  },
  'change their email': {
    prepare: addAll,
    make: (users, id, { notices }) =>
      users.replaceUser(userOf(id, { version: 2, email: `new-${id}@example.org` }), notices),
    result: 'replaced',
    async changed(users, ids) {
      const areReserved = await ofEach(ids, async (id) =>
        (await users.namesTaken({ email: `${id}@example.org`, username: null }, null, NOW)).includes('email_taken'),
      )
      expect(areReserved).toEqual(ids.map(() => true))
      return await ofEach(ids, async (id) => (await users.userByEmail(`new-${id}@example.org`))?.version === 2)
    },
  },
  'are deleted': {
    prepare: addAll,
    make: (users, id, { notices }) => users.removeUser(id, notices),
    result: 'removed',
    changed: (users, ids) => ofEach(ids, async (id) => (await users.userById(id)) === null),
  },
  'are counted': {
    make: (users, user) => users.countHit('rule', user, HOUR, NOW),
    result: { count: 1, since: NOW },
    changed: (users, ids) => ofEach(ids, async (id) => (await users.countHit('rule', id, HOUR, NOW + 1)).count === 2),
    isSilent: true,
  },
  'keep a pace': {
    make: (users, user) => users.keepPace({ name: 'pace', window: HOUR, next: () => NOW }, user, NOW),
    result: NOW,
    changed: (users, ids) =>
      ofEach(
        ids,
        async (id) =>
          (await users.keepPace({ name: 'pace', window: HOUR, next: (times) => times.length }, id, NOW)) === 1,
      ),
    isSilent: true,
  },
})

describe.each(stores.both)('changes of users at once on %s', (_, users) => {
  const admin = { roles: ['USER', 'ADMIN'] }

  test('are decided each for its own user', async () => {
    const [one = '', two = '', three = '', four = '', five = ''] = newUsers()
    await addAll(users, [one, two, three])
    const email = `${four}@example.org`
    const added = [
      userOf(four),
      userOf(five, { email: email.toUpperCase() }),
      userOf(newUsers()[0] ?? '', { username: four }),
      userOf(newUsers()[0] ?? '', { username: one }),
      userOf(newUsers()[0] ?? '', { email: `${one}@example.org`, username: four }),
    ]
    expect(await Promise.all(added.map((user) => users.addUser(user, [noticeAbout(user.id)])))).toEqual([
      'added',
      'email_taken',
      'username_taken',
      'username_taken',
      'email_taken',
    ])
    const replaced = [
      userOf(one, { version: 2, email: `new-${one}@example.org` }),
      userOf(two, { version: 2, email: `new-${one}@example.org` }),
      userOf(three, { version: 2, email: `${one}@example.org` }),
      userOf(four, { version: 3 }),
      userOf(five, { version: 2 }),
    ]
    expect(await Promise.all(replaced.map((user) => users.replaceUser(user, [noticeAbout(user.id)])))).toEqual([
      'replaced',
      'email_taken',
      'email_taken',
      'changed_since',
      'changed_since',
    ])
    expect(await Promise.all([five, two].map((id) => users.removeUser(id, [noticeAbout(id)])))).toEqual([
      'not_found',
      'removed',
    ])
  })

  test('of one user follow one another', async () => {
    const [id = ''] = newUsers()
    await addAll(users, [id])
    const versions = [2, 3, 3, 4, 6]
    const outcomes = await Promise.all(versions.map((version) => users.replaceUser(userOf(id, { version }), [])))
    expect(outcomes).toEqual(['replaced', 'replaced', 'changed_since', 'replaced', 'changed_since'])
  })

  test('leave an administrator', async () => {
    const ids = newUsers()
    await addAll(users, ids, admin)
    const results = await Promise.all(
      ids.map((id, n) =>
        n % 2 === 0 ? users.removeUser(id, []) : users.replaceUser(userOf(id, { version: 2, status: 'disabled' }), []),
      ),
    )
    expect(results.filter((result) => result === 'last_admin')).toHaveLength(1)
    const { total } = await users.listUsers({ sort: 'email', role: 'ADMIN', status: 'active' }, { size: 1, page: 1 })
    expect(total).toBe(1)
    // The other tests have none either.
    await addAll(users, [newUsers()[0] ?? ''], admin)
    for (const id of ids) await users.removeUser(id, [])
  })

  test('have numbers of their own, in which a reader finds each', async () => {
    const ids = newUsers()
    const { last: before } = await users.usersChangedAfter(0, 1_000_000)
    await Promise.all(ids.map((id) => users.addUser(userOf(id), [])))
    const added = await users.usersChangedAfter(before ?? 0, 1000)
    expect(added.users.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
    await Promise.all(ids.map((id) => users.replaceUser(userOf(id, { version: 2 }), [])))
    const replaced = await users.usersChangedAfter(added.last ?? 0, 1000)
    expect(replaced.users.map(({ id, version }) => [id, version]).toSorted()).toEqual(
      ids.map((id) => [id, 2]).toSorted(),
    )
    expect((replaced.last ?? 0) - (added.last ?? 0)).toBe(AT_ONCE)
  })
})

test.each(stores.both)('hits of one subject at once on %s are all counted', async (_, users) => {
  const [subject = ''] = newUsers()
  const commits = await stores.commitsDuring(async () => {
    const hits = await Promise.all(newUsers().map(() => users.countHit('rule', subject, HOUR, NOW)))
    expect(hits.map(({ count }) => count).toSorted((a, b) => a - b)).toEqual(hits.map((_hit, n) => n + 1))
  })
  expect(commits).toBeLessThan(FEW_COMMITS)
})
