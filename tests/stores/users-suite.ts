import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import type { NewNotice } from '../../services/kit/outbox/outbox.ts'
import type { Position } from '../../services/kit/schema/page.ts'
import { profileOf } from '../../services/kit/schema/user.ts'
import type { User, UserFilter, UsersStore } from '../../services/users/store.ts'
import { sliced } from '../support/whole.ts'

const NOW = 1_800_000_000_000

const idOf = (n: number) => `0198c0de-0000-7000-8000-${String(n).padStart(12, '0')}`
const notice = (kind: string): NewNotice => ({ target: 'auth', kind, subject: idOf(1), payload: { kind } })

const userOf = (n: number, fields: Partial<User> = {}): User => ({
  id: idOf(n),
  email: `User${n}@Example.org`,
  username: `user${n}`,
  name: null,
  roles: ['USER'],
  status: 'active',
  emailVerified: false,
  ...profileOf({ locale: 'ru', metadata: { theme: ['dark', null, { '': 0.5 }] } }),
  passwordHash: `hash of ${n}`,
  version: 1,
  sessionsFrom: 1,
  allSessionsFrom: 1,
  sessionKept: null,
  tokensFrom: 1,
  factorsFrom: 0,
  createdAt: NOW + n,
  updatedAt: NOW + n,
  ...fields,
})

/**
 * The tests that every store of the users service must pass.
 * @param open opens an empty store
 * @param merges whether the store's search index needs merging
 */
export function usersStoreSuite(open: () => Promise<UsersStore>, { merges }: { merges: boolean }): void {
  let store: UsersStore
  beforeEach(async () => {
    store = await open()
  })
  afterEach(() => store.close())

  const add = async (...users: User[]) => {
    for (const user of users) expect(await store.addUser(user, [])).toBe('added')
  }
  const next = (user: User, fields: Partial<User>): User => ({ ...user, ...fields, version: user.version + 1 })
  const replace = (user: User, fields: Partial<User>, sent = notice('changed')) =>
    store.replaceUser(next(user, fields), [sent])
  const remove = (n: number) => store.removeUser(idOf(n), [notice('deleted')])
  const notices = async () => (await store.pendingNotices('auth', 1000)).map(({ kind }) => kind)
  const list = async (filter: Partial<UserFilter> = {}) => {
    const { rows } = await store.listUsers({ sort: 'created_at', ...filter }, { size: 200, page: 1 })
    return rows.map(({ id }) => Number(id.slice(-12)))
  }

  describe('a user', () => {
    test('is read as they were added, by id, email and username', async () => {
      const ana = userOf(1, {
        name: 'Ána "quoted" \\ 🐴',
        roles: ['Z_LAST', 'ADMIN', 'A1'],
        status: 'disabled',
        emailVerified: true,
        version: 7,
        sessionsFrom: 5,
        sessionKept: idOf(99),
        tokensFrom: 6,
      })
      const bare = userOf(2, { username: null, roles: [] })
      await add(ana, bare)
      expect(await store.userById(idOf(1))).toEqual(ana)
      expect(await store.userById(idOf(2))).toEqual(bare)
      for (const email of ['User1@Example.org', 'user1@example.org', 'USER1@EXAMPLE.ORG'])
        expect(await store.userByEmail(email)).toEqual(ana)
      expect(await store.userByUsername('user1')).toEqual(ana)
      expect(await store.userById(idOf(3))).toBeNull()
      expect(await store.userByEmail('user3@example.org')).toBeNull()
      expect(await store.userByEmail('user1')).toBeNull()
      expect(await store.userByUsername('user')).toBeNull()
    })

    test('R23: may have no password, on every way to add, change and read them', async () => {
      const [one, two, some] = [userOf(1, { passwordHash: null }), userOf(2, { passwordHash: null }), userOf(3)]
      await add(one, some)
      expect(await store.addUsers([{ user: two, notices: [] }], NOW)).toEqual(['added'])
      expect(await store.userById(idOf(1))).toEqual(one)
      expect(await store.userById(idOf(2))).toEqual(two)
      expect(await store.userByEmail(one.email)).toEqual(one)
      expect(await store.userByUsername('user2')).toEqual(two)
      expect(await store.usersNamed({ ids: [idOf(1)] })).toEqual([one])
      expect((await store.usersChangedAfter(0, 10)).users).toEqual([one, some, two])
      expect(await list({ hasPassword: false })).toEqual([1, 2])
      expect(await list({ hasPassword: true })).toEqual([3])
      expect(await replace(one, { passwordHash: 'hash' })).toBe('replaced')
      expect(await replace(some, { passwordHash: null })).toBe('replaced')
      expect(await list({ hasPassword: false })).toEqual([3, 2])
      expect(await list({ hasPassword: false, sort: 'email' })).toEqual([2, 3])
      expect((await store.userById(idOf(1)))?.passwordHash).toBe('hash')
      expect((await store.userById(idOf(3)))?.passwordHash).toBeNull()
    })

    test('does not share their email, in any case, or their username', async () => {
      await add(userOf(1), userOf(2))
      expect(await store.addUser(userOf(3, { email: 'uSER1@example.ORG' }), [notice('unsent')])).toBe('email_taken')
      expect(await store.addUser(userOf(3, { username: 'user2' }), [notice('unsent')])).toBe('username_taken')
      expect(await replace(userOf(1), { email: 'USER2@example.org' })).toBe('email_taken')
      expect(await replace(userOf(1), { username: 'user2' })).toBe('username_taken')
      expect(await notices()).toEqual([])
      expect([await store.userById(idOf(1)), await store.userById(idOf(3))]).toEqual([userOf(1), null])

      expect(await replace(userOf(1), { email: 'USER1@EXAMPLE.ORG' })).toBe('replaced')
      await add(userOf(4, { username: null }), userOf(5, { username: null }))
      await remove(2)
      await add(userOf(6, { email: 'user2@example.org', username: 'user2' }))
    })

    test('gets an email or username that many take at once only once', async () => {
      const outcomes = await Promise.all([
        ...Array.from({ length: 8 }, (_, i) => store.addUser(userOf(i, { email: 'one@b.org' }), [notice('e')])),
        ...Array.from({ length: 8 }, (_, i) => store.addUser(userOf(10 + i, { username: 'one' }), [notice('u')])),
      ])
      expect(outcomes.toSorted()).toEqual([
        'added',
        'added',
        ...Array(7).fill('email_taken'),
        ...Array(7).fill('username_taken'),
      ])
      expect(await notices()).toEqual(['e', 'u'])
    })

    test('is added with many others, unless they conflict, and each has a result', async () => {
      await add(userOf(1))
      const outcomes = await store.addUsers(
        [
          { user: userOf(2), notices: [notice('two')] },
          { user: userOf(3, { email: 'USER1@example.org' }), notices: [notice('three')] },
          { user: userOf(4, { username: 'user2' }), notices: [notice('four')] },
          { user: userOf(1, { email: 'five@b.org', username: null }), notices: [notice('five')] },
          { user: userOf(1), notices: [notice('one')] },
          { user: userOf(6), notices: [notice('six')] },
        ],
        NOW,
      )
      expect(outcomes).toEqual(['added', 'email_taken', 'username_taken', 'id_taken', 'email_taken', 'added'])
      expect(await list()).toEqual([1, 2, 6])
      expect(await notices()).toEqual(['two', 'six'])
      expect(await store.addUsers([], NOW)).toEqual([])
      expect((await store.usersChangedAfter(0, 10)).users.map(({ email }) => email)).toEqual(
        [1, 2, 6].map((n) => userOf(n).email),
      )
    })

    test('is read and found as they were, after many were added at once', async () => {
      const people = Array.from({ length: 700 }, (_, n) =>
        userOf(n, {
          name: n % 2 ? null : `Ána "${n}" \\ 🐴`,
          username: n % 3 ? `user${n}` : null,
          roles: n % 5 ? ['USER'] : [],
          status: n % 7 ? 'active' : 'disabled',
          emailVerified: n % 11 === 0,
          sessionKept: n % 13 ? null : idOf(99),
        }),
      )
      const changes = people.map(({ id }) => ({ ...notice('changed'), subject: id }))
      const newUsers = people.map((user, n) => ({ user, notices: changes.slice(n, n + 1) }))
      // Of two users with one id, the first cannot be added because its email is taken.
      await add(userOf(800))
      const [first, second] = [
        userOf(900, { email: userOf(800).email, username: null }),
        userOf(900, { username: null }),
      ]
      const outcomes = await store.addUsers(
        [{ user: first, notices: [notice('first')] }, { user: second, notices: [] }, ...newUsers],
        NOW,
      )
      expect(outcomes).toEqual(['email_taken', ...Array(701).fill('added')])
      expect(await store.userById(idOf(900))).toEqual(second)
      for (const user of people.slice(0, 40)) expect(await store.userById(user.id)).toEqual(user)
      expect((await store.pendingNotices('auth', 1000)).map(({ subject }) => subject)).toEqual(
        people.map(({ id }) => id),
      )
      expect(await list({ search: 'ser123@' })).toEqual([123])
      expect(await list({ role: 'ADMIN' })).toEqual([])
    })

    test('is found by any of their names, each once', async () => {
      await add(userOf(1), userOf(2), userOf(3), userOf(4, { username: null }))
      const idsOf = async (names: Parameters<UsersStore['usersNamed']>[0]) =>
        (await store.usersNamed(names)).map(({ id }) => Number(id.slice(-12))).sort()
      const emails = ['USER1@example.org', 'user9@example.org']
      expect(await idsOf({ emails, usernames: ['user1', 'user2', 'User3'], ids: [idOf(2), idOf(4), idOf(8)] })).toEqual(
        [1, 2, 4],
      )
      expect(await idsOf({})).toEqual([])
      expect(await idsOf({ usernames: [] })).toEqual([])
      expect(await store.usersNamed({ ids: [idOf(3)] })).toEqual([userOf(3)])
    })

    test('cannot have the id of a deleted user', async () => {
      await add(userOf(1), userOf(2))
      await remove(1)
      const again = { user: userOf(1), notices: [] }
      expect(await store.addUsers([again], NOW)).toEqual(['id_taken'])
      expect(await store.addUsers([{ ...again, user: userOf(3, { email: again.user.email }) }], NOW)).toEqual(['added'])
    })

    test('is replaced only in the version that was read', async () => {
      const ana = userOf(1)
      await add(ana)
      expect(await replace(ana, { name: 'Ana', updatedAt: NOW + 50 })).toBe('replaced')
      expect(await store.userById(ana.id)).toEqual({ ...ana, name: 'Ana', version: 2, updatedAt: NOW + 50 })
      expect(await replace(ana, { name: 'Late' }, notice('late'))).toBe('changed_since')
      expect(await replace({ ...ana, version: 2 + 1 }, { name: 'Early' }, notice('early'))).toBe('changed_since')
      expect(await replace(userOf(2), {}, notice('no one'))).toBe('changed_since')
      expect(await store.userById(ana.id)).toMatchObject({ name: 'Ana', version: 2 })
      expect(await notices()).toEqual(['changed'])
    })

    test('takes only one of many concurrent changes', async () => {
      await add(userOf(1))
      const outcomes = await Promise.all(Array.from({ length: 10 }, (_, i) => replace(userOf(1), { name: `${i}` })))
      expect(outcomes.filter((outcome) => outcome === 'replaced')).toHaveLength(1)
      expect(await store.userById(idOf(1))).toMatchObject({ version: 2 })
    })

    test('is removed once', async () => {
      await add(userOf(1), userOf(2))
      expect((await Promise.all([remove(1), remove(1), remove(3)])).toSorted()).toEqual([
        'not_found',
        'not_found',
        'removed',
      ])
      expect([await store.userById(idOf(1)), await store.userByEmail('user1@example.org')]).toEqual([null, null])
      expect(await list()).toEqual([2])
      expect(await notices()).toEqual(['deleted'])
    })
  })

  describe('an email that was verified before it was changed', () => {
    const DAY = 24 * 3600 * 1000
    const at = (time: number) => ({ updatedAt: time, createdAt: time })
    const verified = (n: number, fields: Partial<User> = {}) => userOf(n, { emailVerified: true, ...fields })
    /** Changes the email of a user who is stored as `user`. */
    const changeEmail = async (user: User, email: string, fields: Partial<User> = {}, undone?: 'undone') => {
      const changed = next(user, { email, emailVerified: false, updatedAt: NOW, ...fields })
      expect(await store.replaceUser(changed, [], undone)).toBe('replaced')
      return changed
    }
    const takenAt = async (time: number, email = 'USER1@example.org', self: string | null = null) =>
      (await store.namesTaken({ email, username: null }, self, time)).includes('email_taken')

    test('is reserved for its user for seven days, on every way to take it', async () => {
      await add(verified(1), userOf(2), userOf(9))
      await changeEmail(verified(1), 'new@b.org')
      const email = 'uSER1@Example.ORG'
      const last = NOW + 7 * DAY - 1
      for (const time of [NOW, last]) {
        expect(await store.addUser(userOf(3, { email, ...at(time) }), [notice('unsent')])).toBe('email_taken')
        const imported = [
          { user: userOf(3, { email, createdAt: NOW + 99 * DAY }), notices: [notice('unsent')] },
          { user: userOf(time === NOW ? 4 : 5), notices: [] },
        ]
        expect(await store.addUsers(imported, time)).toEqual(['email_taken', 'added'])
        expect(await replace(userOf(2), { email, ...at(time) })).toBe('email_taken')
        expect(await store.namesTaken({ email, username: 'user9' }, null, time)).toEqual([
          'email_taken',
          'username_taken',
        ])
      }
      expect(await notices()).toEqual([])
      expect(await store.userByEmail(email)).toBeNull()
      expect(await takenAt(last + 1)).toBe(false)
      expect(await store.addUsers([{ user: userOf(3, { email, createdAt: NOW }), notices: [] }], last + 1)).toEqual([
        'added',
      ])
    })

    test('can be taken back, and stays reserved until the time is over', async () => {
      await add(verified(1))
      const changed = await changeEmail(verified(1), 'new@b.org')
      expect(await takenAt(NOW, undefined, idOf(1))).toBe(false)
      const back = await changeEmail(changed, 'user1@example.org', at(NOW + DAY))
      // Nobody has proved the address since: this change does not prolong the reservation.
      await changeEmail(back, 'other@b.org', at(NOW + 2 * DAY))
      expect(await takenAt(NOW + 7 * DAY - 1)).toBe(true)
      expect(await takenAt(NOW + 7 * DAY)).toBe(false)
    })

    test('is free if it was not verified, or only written in another way', async () => {
      await add(userOf(1), verified(2))
      await changeEmail(userOf(1), 'new@b.org')
      await changeEmail(verified(2), 'USER2@EXAMPLE.org', { emailVerified: true })
      expect(await store.addUser(userOf(3, { email: 'user1@example.org' }), [])).toBe('added')
      expect(await takenAt(NOW, 'user2@example.org', idOf(2))).toBe(false)
    })

    test('is free after the change was undone, and so are the later ones; earlier ones are not', async () => {
      const proved = { emailVerified: true }
      await add(verified(1))
      const second = await changeEmail(verified(1), 'second@b.org', { ...proved, ...at(NOW) })
      const third = await changeEmail(second, 'third@b.org', { ...proved, ...at(NOW + 1) })
      const fourth = await changeEmail(third, 'fourth@b.org', at(NOW + 2))
      const areTaken = async () => {
        const emails = ['user1@example.org', 'second@b.org', 'third@b.org']
        return await Promise.all(emails.map((email) => takenAt(NOW + 3, email)))
      }
      expect(await areTaken()).toEqual([true, true, true])
      const undone = await changeEmail(fourth, 'second@b.org', { ...proved, ...at(NOW + 3) }, 'undone')
      // Its user has the second one now.
      expect(await areTaken()).toEqual([true, true, false])
      expect(await takenAt(NOW + 3, 'fourth@b.org')).toBe(false)
      await changeEmail(undone, 'user1@example.org', { ...proved, ...at(NOW + 4) }, 'undone')
      expect(await areTaken()).toEqual([true, false, false])
    })

    test('is free when its user is deleted, and reserved for whoever proved it last', async () => {
      await add(verified(1), verified(2))
      await changeEmail(verified(1), 'new@b.org')
      await remove(1)
      expect(await takenAt(NOW)).toBe(false)
      await changeEmail(verified(2), 'two@b.org')
      const later = NOW + 7 * DAY
      const three = verified(3, { email: 'user2@example.org', ...at(later) })
      await add(three)
      await changeEmail(three, 'three@b.org', at(later))
      expect(await takenAt(later, 'user2@example.org', idOf(2))).toBe(true)
      expect(await takenAt(later, 'user2@example.org', idOf(3))).toBe(false)
    })

    test('goes to one of its user and someone else who take it at once', async () => {
      await add(verified(1))
      const outcomes = await Promise.all([
        store.replaceUser(next(verified(1), { email: 'new@b.org', emailVerified: false, updatedAt: NOW }), []),
        ...Array.from({ length: 8 }, (_, n) => store.addUser(userOf(10 + n, { email: 'user1@example.org' }), [])),
      ])
      expect(outcomes).toEqual(['replaced', ...Array(8).fill('email_taken')])
    })
  })

  describe('the last active user with ADMIN', () => {
    const admin = (n: number, fields: Partial<User> = {}) => userOf(n, { roles: ['USER', 'ADMIN'], ...fields })

    test.each<[string, Partial<User>]>([
      ['stripped', { roles: ['USER'] }],
      ['disabled', { status: 'disabled' }],
    ])('cannot be %s', async (_, fields) => {
      await add(admin(1), admin(2, { status: 'disabled' }), userOf(3, { roles: ['ADMIN_ASSISTANT', 'XADMIN'] }))
      expect(await replace(admin(1), fields)).toBe('last_admin')
      expect(await notices()).toEqual([])
      expect(await replace(admin(1), { name: 'Still' })).toBe('replaced')
      await add(admin(4))
      expect(await replace({ ...admin(1, { name: 'Still' }), version: 2 }, fields)).toBe('replaced')
      expect(await replace(admin(4), fields)).toBe('last_admin')
    })

    test('is kept from those who may not remove the role', async () => {
      await add(admin(1), admin(2), userOf(3))
      const removed = [1, 3].map((n) => store.removeUser(idOf(n), [notice('deleted')], ['ADMIN']))
      expect(await Promise.all(removed)).toEqual(['kept', 'removed'])
      expect(await store.userById(idOf(1))).toEqual(admin(1))
      expect(await notices()).toEqual(['deleted'])
    })

    test('cannot be removed', async () => {
      await add(admin(1), admin(2))
      expect(await remove(1)).toBe('removed')
      expect(await remove(2)).toBe('last_admin')
      expect(await store.userById(idOf(2))).toEqual(admin(2))
      expect(await notices()).toEqual(['deleted'])
    })

    test('may be removed or stripped while they are disabled', async () => {
      await add(admin(1), admin(2, { status: 'disabled' }))
      expect(await replace(admin(2, { status: 'disabled' }), { roles: [] })).toBe('replaced')
      expect(await remove(2)).toBe('removed')
    })

    test('stays when all administrators are removed at once', async () => {
      await add(...[1, 2, 3, 4, 5, 6].map((n) => admin(n)))
      const outcomes = await Promise.all([
        remove(1),
        replace(admin(2), { roles: [] }),
        replace(admin(3), { status: 'disabled' }),
        remove(4),
        replace(admin(5), { roles: ['USER'], status: 'disabled' }),
        remove(6),
      ])
      expect(outcomes.filter((outcome) => outcome === 'last_admin')).toHaveLength(1)
      expect(await list({ role: 'ADMIN', status: 'active' })).toHaveLength(1)
    })
  })

  test('a search with thousands of matches lists them in every order, and counts again after each change', async () => {
    const many = Array.from({ length: 2500 }, (_, n) =>
      userOf(n + 1, { email: `${(n * 7919) % 2500}-of-many@example.org` }),
    )
    await store.addUsers(
      [userOf(9000), ...many].map((user) => ({ user, notices: [] })),
      NOW,
    )
    const byEmail = many.map(({ email }) => email).sort()
    const orders: [UserFilter['sort'], string[]][] = [
      ['created_at', many.map(({ email }) => email)],
      ['-created_at', many.map(({ email }) => email).reverse()],
      ['email', byEmail],
      ['-email', [...byEmail].reverse()],
    ]
    for (const [sort, expected] of orders) {
      const first = await store.listUsers({ sort, search: 'OF-MANY' }, { size: 100, page: 2 })
      expect([sort, first.total, first.rows.map(({ email }) => email)]).toEqual([sort, 2500, expected.slice(100, 200)])
      const rest = await store.listUsers({ sort, search: 'OF-MANY' }, { size: 3000, after: first.next as Position })
      expect([sort, rest.total, rest.rows.map(({ email }) => email)]).toEqual([sort, null, expected.slice(200)])
    }
    const total = async () =>
      (await store.listUsers({ sort: 'email', search: 'of-many', status: 'active' }, { size: 1, page: 1 })).total
    expect(await total()).toBe(2500)
    await remove(1)
    expect(await total()).toBe(2499)
    await replace(many[1] as User, { status: 'disabled' })
    expect(await total()).toBe(2498)
    await add(userOf(9001, { email: 'one-more-of-many@example.org' }))
    expect(await total()).toBe(2499)
  })

  test('a search finds the same while its index is merged; a merge has nothing to do until a user changes', async () => {
    for (let n = 0; n < 20; n++) await add(userOf(n, { name: `Ana ${n % 2 ? 'odd' : 'even'}` }))
    await remove(3)
    await replace(userOf(4), { name: 'Ana odd' })
    const odd = [...Array(20).keys()].filter((n) => (n % 2 === 1 && n !== 3) || n === 4)
    let parts = 0
    do expect(await list({ search: 'a odd' })).toEqual(odd)
    while ((await store.mergeSearch()) && parts++ < 1000)
    if (merges) expect(parts).toBeGreaterThan(0)
    expect(parts).toBeLessThan(merges ? 1000 : 1)
    expect(await list({ search: 'a odd' })).toEqual(odd)
    expect(await store.mergeSearch()).toBe(false)
    await remove(5)
    await add(userOf(21, { name: 'Ana odd' }))
    expect(await store.mergeSearch()).toBe(merges)
    expect(await list({ search: 'a odd' })).toEqual([...odd.filter((n) => n !== 5), 21])
  })

  describe('the list', () => {
    const people = [
      userOf(1, { email: 'zoe@Alpha.org', username: 'zz.top', name: 'Zoë Ångström' }),
      userOf(2, { email: 'Adam@beta.org', username: null, name: 'Adam %_ "O\'Neil" \\', roles: ['STAFF', 'USER'] }),
      userOf(3, { email: 'mia+tag@gamma.org', username: 'mia-3', name: null, status: 'disabled', roles: [] }),
      userOf(4, { email: 'b@delta.org', username: 'adamant', name: '李小龍', roles: ['USERS', 'ADMIN'] }),
    ]
    beforeEach(() => add(...people))

    test.each<[Partial<UserFilter>, number[]]>([
      [{}, [1, 2, 3, 4]],
      [{ sort: '-created_at' }, [4, 3, 2, 1]],
      [{ sort: 'email' }, [2, 4, 3, 1]],
      [{ sort: '-email' }, [1, 3, 4, 2]],
      [{ status: 'active' }, [1, 2, 4]],
      [{ status: 'disabled' }, [3]],
      [{ role: 'USER' }, [1, 2]],
      [{ role: 'ADMIN' }, [4]],
      [{ role: 'U' }, []],
      [{ search: 'adam' }, [2, 4]],
      [{ search: 'ADAM', sort: '-email' }, [4, 2]],
      [{ search: 'adam', role: 'ADMIN' }, [4]],
      [{ search: 'adam', status: 'disabled' }, []],
      [{ search: 'z' }, [1]],
      [{ search: 'Z.' }, [1]],
      [{ search: 'ë' }, [1]],
      [{ search: 'Ë' }, [1]],
      [{ search: 'å' }, [1]],
      [{ search: 'Ån' }, [1]],
      [{ search: 'åNGSTRÖM' }, [1]],
      [{ search: 'zoë ång' }, [1]],
      [{ search: '李' }, [4]],
      [{ search: '小龍' }, [4]],
      [{ search: '李小龍' }, [4]],
      [{ search: '@' }, [1, 2, 3, 4]],
      [{ search: '.org' }, [1, 2, 3, 4]],
      [{ search: '+tag@' }, [3]],
      [{ search: 'a-3' }, [3]],
      [{ search: '%' }, [2]],
      [{ search: '_' }, [2]],
      [{ search: '%_' }, [2]],
      [{ search: '%_ "' }, [2]],
      [{ search: '"O\'Neil"' }, [2]],
      [{ search: '\\' }, [2]],
      [{ search: '*' }, []],
      [{ search: 'ada*' }, []],
      [{ search: 'adam OR zoe' }, []],
      [{ search: 'name:adam' }, []],
      [{ search: "' OR 1=1 --" }, []],
      [{ search: '"' }, [2]],
      [{ search: '""""' }, []],
      [{ search: 'adam@beta.orgs' }, []],
      // Fields that the API does not return are not searched.
      [{ search: 'hash' }, []],
      [{ search: '0198c0de' }, []],
    ])('%j', async (filter, expected) => {
      expect(await list(filter)).toEqual(expected)
    })

    test('finds users by their current names only, and no deleted ones', async () => {
      await replace(people[0] as User, { email: 'new@omega.org', username: 'fresh', name: 'Nova' })
      await remove(2)
      expect(await list({ search: 'zoe' })).toEqual([])
      expect(await list({ search: 'zo' })).toEqual([])
      expect(await list({ search: 'adam' })).toEqual([4])
      for (const search of ['omega', 'FRESH', 'nova', 'ov']) expect(await list({ search })).toEqual([1])
      expect(await list({ sort: 'email' })).toEqual([4, 3, 1])
    })

    test('has pages with the total', async () => {
      const page = (number: number, filter: Partial<UserFilter> = {}) =>
        store.listUsers({ sort: 'created_at', ...filter }, { size: 3, page: number })
      expect(await page(1)).toMatchObject({ rows: [{ id: idOf(1) }, {}, { id: idOf(3) }], total: 4 })
      expect(await page(2)).toMatchObject({ rows: [{ id: idOf(4) }], total: 4, next: null })
      expect(await page(3)).toEqual({ rows: [], total: 4, next: null })
      expect(await page(1, { status: 'active' })).toMatchObject({ total: 3, next: null })
      expect(await page(1, { search: 'adam', role: 'ADMIN' })).toMatchObject({ total: 1 })
    })
  })

  describe('a walk by cursor', () => {
    const SORTS = ['created_at', '-created_at', 'email', '-email'] as const
    const FILTERS: [string, Partial<UserFilter>][] = [
      ['all users', {}],
      ['a search', { search: 'user' }],
      ['a filter', { role: 'USER', status: 'active' }],
    ]
    // In the suite each order and each filter, and not each with each.
    const walks = FILTERS.flatMap(([name, filter]) => SORTS.map((sort) => [sort, name, filter] as const))
    test.each(sliced(walks, 3))('by %s, lists each of %s once while others come and go', async (sort, _, filter) => {
      // Emails whose order differs from the order of creation.
      const email = (n: number) => `User${(n * 7) % 30}.${n}@example.org`
      const numbers = Array.from({ length: 30 }, (_, i) => i + 1)
      await add(...numbers.map((n) => userOf(n, { email: email(n) })))
      const removed = new Set<number>()
      const listed: number[] = []
      let after: Position | null = null
      let nextNumber = 100
      do {
        const request = { size: 4, ...(after ? { after } : { page: 1 }) }
        const { rows, next, total } = await store.listUsers({ sort, ...filter }, request)
        expect(total === null).toBe(after !== null)
        for (const { id } of rows) listed.push(Number(id.slice(-12)))
        // Removes the last listed user, an earlier one and one not listed yet, and adds two.
        for (const n of [listed.at(-1), listed.at(-3), numbers.find((n) => !listed.includes(n) && !removed.has(n))]) {
          if (n === undefined || removed.has(n)) continue
          removed.add(n)
          await remove(n)
        }
        await add(
          userOf(nextNumber, { email: email(nextNumber) }),
          userOf(nextNumber + 1, { email: `a${nextNumber}@b.org` }),
        )
        nextNumber += 2
        after = next
        expect(listed.length).toBeLessThan(200)
      } while (after !== null && nextNumber < 140)
      expect(new Set(listed).size).toBe(listed.length)
      const constant = numbers.filter((n) => !removed.has(n))
      expect(constant.length).toBeGreaterThan(5)
      for (const n of constant) expect(listed).toContain(n)
    })
  })

  describe('the order of change', () => {
    const changedAfter = async (after: number, limit = 100) => {
      const { users, last } = await store.usersChangedAfter(after, limit)
      return { users: users.map(({ id }) => Number(id.slice(-12))), last }
    }

    test('has each user once, at their last change', async () => {
      await add(userOf(1), userOf(2), userOf(3))
      const { last } = await changedAfter(0)
      expect((await changedAfter(0)).users).toEqual([1, 2, 3])
      expect(await changedAfter(last ?? 0)).toEqual({ users: [], last: null })
      await replace(userOf(1), { name: 'New' })
      expect((await changedAfter(0)).users).toEqual([2, 3, 1])
      expect((await changedAfter(last ?? 0)).users).toEqual([1])
      await replace(userOf(1), { name: 'Too late' })
      expect((await changedAfter(0)).users).toEqual([2, 3, 1])
    })

    test('is read by pages', async () => {
      await add(...[1, 2, 3, 4, 5].map((n) => userOf(n)))
      const first = await changedAfter(0, 2)
      expect(first.users).toEqual([1, 2])
      await remove(3)
      await replace(userOf(1), {})
      const second = await changedAfter(first.last ?? 0, 2)
      expect(second.users).toEqual([4, 5])
      expect((await changedAfter(second.last ?? 0, 2)).users).toEqual([1])
    })

    test('continues after the last change was removed', async () => {
      await add(userOf(1), userOf(2))
      const { last } = await changedAfter(0)
      await remove(2)
      await add(userOf(3))
      expect((await changedAfter(last ?? 0)).users).toEqual([3])
    })
  })

  describe('the notices', () => {
    test('are in order, by target, until they are acknowledged', async () => {
      const about = (subject: string, kind: string): NewNotice => ({ ...notice(kind), subject })
      await store.addUser(userOf(1), [about('a', 'one'), { ...about('a', 'other'), target: 'modules' }])
      await store.addNotice(about('b', 'two'))
      await store.addNotice(about('a', 'three'))
      const counts = async () => [
        (await store.waitingNotices('auth')).count,
        (await store.waitingNotices('modules')).count,
      ]
      const pending = await store.pendingNotices('auth', 10)
      expect(pending).toMatchObject([
        { target: 'auth', kind: 'one', subject: 'a', payload: { kind: 'one' } },
        { kind: 'two', subject: 'b' },
        { kind: 'three', subject: 'a' },
      ])
      expect(await store.pendingNotices('auth', 2)).toEqual(pending.slice(0, 2))
      expect(await store.pendingNotices('auth', 10, ['a', 'nobody'])).toEqual([pending[1] as never])
      expect(await store.pendingNotices('auth', 1, ['b'])).toEqual([pending[0] as never])
      expect(await store.pendingNotices('auth', 10, ['a', 'b'])).toEqual([])
      expect(await counts()).toEqual([3, 1])
      await store.acknowledgeNotices([pending[0]?.seq ?? 0, pending[1]?.seq ?? 0, 12_345])
      expect(await notices()).toEqual(['three'])
      expect(await Promise.all(['a', 'b'].map((subject) => store.hasNotice('auth', subject)))).toEqual([true, false])
      expect(await store.hasNotice('modules', 'a')).toBe(true)
      expect(await counts()).toEqual([1, 1])
    })

    test('of other subjects are found behind those of 500 subjects that are excluded', async () => {
      const names = Array.from({ length: 500 }, (_, i) => `bad${i}`)
      await Promise.all(names.map((subject) => store.addNotice({ ...notice('bad'), subject })))
      await store.addNotice(notice('good'))
      expect(await store.pendingNotices('auth', 256, names)).toMatchObject([{ kind: 'good' }])
    })
  })

  test('answers a probe without a visible change', async () => {
    await store.probe()
    expect([await list(), await notices()]).toEqual([[], []])
  })
}
