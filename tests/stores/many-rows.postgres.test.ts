import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import { openModulesStore } from '../../db/modules/store.ts'
import { openUsersStore } from '../../db/users/store.ts'
import type { AuthStore } from '../../services/auth/store/index.ts'
import type { LimitStore } from '../../services/kit/limits.ts'
import type { ModulesStore } from '../../services/modules/store.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { migratedDatabaseConfig } from '../support/postgres/migrated.ts'
import { runStatements, sharedPostgres } from '../support/postgres/shared.ts'
import { sliced } from '../support/whole.ts'
import { account, event, NOW } from './auth-suite.ts'

setDefaultTimeout(60_000)

const { adminUrl } = await sharedPostgres()

/** More rows than two transactions change. */
const MANY = 2500
/** Rows that a statement changes at most. Those of rate limits are deleted 2,000 at a time. */
const MOST = 2000
const DAY = 24 * 3_600_000

const NUMBERS = `generate_series(1, ${MANY}) AS n`
/** A number as ids have it, so that their order is that of the numbers. */
const padded = "lpad(n::text, 6, '0')"
const user = account()

const FILL: Record<string, string> = {
  sessions: `
    INSERT INTO auth.sessions
    SELECT 's' || ${padded}, '${user.userId}', 'v1', 0, 0, 0, 0, ${NOW + DAY}, ${NOW + DAY}, ${NOW + DAY}, 1, NULL, NULL, 0, 0
    FROM ${NUMBERS}`,
  revocations: `INSERT INTO auth.revocations SELECT n, 'session', 'r' || n, 0, ${NOW} FROM ${NUMBERS}`,
  failures: `INSERT INTO auth.login_failures SELECT 'account:' || n, '[1,${NOW}]', 0 FROM ${NUMBERS}`,
  challenges: `
    INSERT INTO auth.challenges
    SELECT 'c' || n, 'password_reset', 'a@example.org', 'u' || n, '{}', 'm' || n, sha256(n::text::bytea), 0, NULL, ${NOW}, 0
    FROM ${NUMBERS}`,
  mails: `
    INSERT INTO auth.mail_requests
    SELECT 'm' || n, 'a@example.org', 0, NULL, NULL, 'password_reset', 0, ${NOW + DAY} FROM ${NUMBERS}`,
  finishedMails: `
    INSERT INTO auth.finished_mails (id, kind, email, requested_at, tries, status, finished_at)
    SELECT 'm' || n, 'notice', 'a@example.org', 0, 1, 'sent', ${NOW} FROM ${NUMBERS}`,
  limits: `INSERT INTO auth.limits SELECT 'old', 's' || n, ${NOW}, 1 FROM ${NUMBERS}`,
  usersLimits: `INSERT INTO users.limits SELECT 'old', 's' || n, ${NOW}, 1 FROM ${NUMBERS}`,
  modules: `
    INSERT INTO modules.modules VALUES
      ('a', 'A', '', '1', '[]', '[]', 1, 7), ('b', 'B', '', '1', '[]', '["a"]', 0, 7), ('c', 'C', '', '1', '[]', '["b"]', 0, 7)`,
  on: `INSERT INTO modules.choices SELECT 'u' || ${padded}, 'b', 1, 9 FROM ${NUMBERS}`,
  off: `INSERT INTO modules.choices SELECT 'u' || ${padded}, 'a', 0, NULL FROM ${NUMBERS}`,
}

const tables = [
  'auth.sessions',
  'auth.revocations',
  'auth.login_failures',
  'auth.challenges',
  'auth.mail_requests',
  'auth.finished_mails',
].concat('auth.limits', 'users.limits', 'modules.choices', 'modules.choice_changes')

/** Makes the database refuse a statement that changes more than `MOST` rows: it might take longer than a request may. */
function refuseLargeStatements(): string[] {
  const trigger = (table: string, action: string) => `
    CREATE TRIGGER small_${action} AFTER ${action} ON ${table}
    REFERENCING ${action === 'INSERT' ? 'NEW' : 'OLD'} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION refuse_large()`
  return [
    `CREATE FUNCTION refuse_large() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF (SELECT count(*) FROM changed) > ${MOST} THEN RAISE 'One statement changes too many rows'; END IF;
       RETURN NULL;
     END $$`,
    ...tables.flatMap((table) => ['INSERT', 'UPDATE', 'DELETE'].map((action) => trigger(table, action))),
  ]
}

type Config = Awaited<ReturnType<typeof migratedDatabaseConfig>>

interface Store {
  close(): Promise<void>
}

/** Opens a store whose database has many rows, and refuses statements that change many. */
async function withRows<S extends Store>(
  open: (config: Config) => Promise<S>,
  fill: string[],
  use: (store: S, run: (...statements: string[]) => Promise<object[]>) => Promise<void>,
): Promise<void> {
  const config = await migratedDatabaseConfig()
  const run = (...statements: string[]) => runStatements(adminUrl(config.databaseUrl), ...statements)
  await run(...fill.map((name) => FILL[name] ?? ''), ...refuseLargeStatements())
  const store = await open(config)
  try {
    await use(store, run)
  } finally {
    await store.close()
  }
}

const ENDING = { reason: 'operator', now: NOW } as const
const events = (type: string) => event(type)
const isEnded = ({ ended }: { ended: { sessions: number } }) => ended.sessions

type Ends = [name: string, type: string, end: (store: AuthStore) => Promise<number>]
const ENDS: Ends[] = [
  ['of everyone', 'test.event', async (store) => (await store.endAllSessions(ENDING, event())).sessions],
  ['of one user', 'test.event', async (store) => (await store.endSessionsOf(user.userId, ENDING, event())).sessions],
  [
    'of a user who is disabled',
    'session.ended_by_change',
    async (store) => isEnded(await store.syncAccount({ ...user, version: 2, status: 'disabled' }, NOW, events)),
  ],
  [
    'of a user who is deleted',
    'session.ended_by_deletion',
    async (store) => (await store.deleteAccount(user.userId, NOW, events)).sessions,
  ],
]

describe('many sessions', () => {
  const open = async (config: Config) => {
    const store = await openAuthStore(config)
    await store.syncAccount(user, NOW, events)
    return store
  }
  const QUERY = `
    SELECT (SELECT count(*) FROM auth.sessions) AS sessions,
      (SELECT count(*) FROM auth.revocations WHERE kind = 'session') AS revocations,
      (SELECT coalesce(string_agg(detail::jsonb->>'sessions', ' ' ORDER BY seq), '') FROM auth.audit WHERE type = `
  const countsOf = async (store: AuthStore, run: (...statements: string[]) => Promise<object[]>, type: string) => {
    await store.chainAudit()
    return await run(`${QUERY} '${type}') AS audit`)
  }

  test.each(ENDS)('%s end in several transactions, each with its audit', async (_, type, end) => {
    await withRows(open, ['sessions'], async (store, run) => {
      expect(await end(store)).toBe(MANY)
      expect(await countsOf(store, run, type)).toEqual([{ sessions: 0, revocations: MANY, audit: '1000 1000 500' }])
      expect(await end(store)).toBe(0)
    })
  })

  test.each(ENDS)('%s: what was interrupted is completed when it is repeated', async (_, type, end) => {
    await withRows(open, ['sessions'], async (store, run) => {
      await run(
        `CREATE FUNCTION interrupt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'Interrupted'; END $$`,
        `CREATE TRIGGER interrupt BEFORE DELETE ON auth.sessions FOR EACH ROW WHEN (old.id = 's001234')
         EXECUTE FUNCTION interrupt()`,
      )
      await expect(end(store)).rejects.toThrow()
      expect(await countsOf(store, run, type)).toEqual([{ sessions: 1500, revocations: 1000, audit: '1000' }])
      await run('DROP TRIGGER interrupt ON auth.sessions')
      expect(await end(store)).toBe(1500)
      expect(await countsOf(store, run, type)).toEqual([{ sessions: 0, revocations: MANY, audit: '1000 1000 500' }])
    })
  })
})

type Forgets = [name: string, fill: string, table: string, run: (store: AuthStore) => Promise<unknown>]
const FORGETS: Forgets[] = [
  ['expired sessions', 'sessions', 'auth.sessions', (store) => store.forgetExpired(NOW + 2 * DAY)],
  // The last one stays, by which a subscriber finds whether the database was set back.
  [
    'expired revocations, except the last',
    'revocations',
    'auth.revocations WHERE seq < (SELECT max(seq) FROM auth.revocations)',
    (store) => store.forgetExpired(NOW + 1),
  ],
  ['old failures of logins', 'failures', 'auth.login_failures', (store) => store.forgetFailures(NOW + 2 * DAY)],
  ['mails that were sent', 'finishedMails', 'auth.finished_mails', (store) => store.forgetMails(NOW + 1)],
  ['expired links', 'challenges', 'auth.challenges', (store) => store.forgetChallenges(NOW + 1)],
  [
    'mails that waited, once they are sent at once',
    'mails',
    `auth.mail_requests WHERE next_at > ${NOW}`,
    async (store) => {
      await store.takeOverMailRequests()
      await store.hastenMailRequests(NOW)
    },
  ],
]

test.each(FORGETS)('many rows are gone, without one statement for all: %s', async (_, fill, table, forget) => {
  await withRows(openAuthStore, [fill], async (store, run) => {
    const count = async () => {
      const [row] = (await run(`SELECT count(*) AS count FROM ${table}`)) as [{ count: number }]
      return Number(row.count)
    }
    expect(await count()).toBeGreaterThanOrEqual(MANY - 1)
    await forget(store)
    expect(await count()).toBe(0)
  })
})

test('a request that deletes old limits deletes some of many', async () => {
  /** Counts as many hits as make a request delete old ones. */
  const hit = async ({ countHit }: LimitStore) => {
    for (let n = 0; n < 1000; n += 100)
      await Promise.all(Array.from({ length: 100 }, (_, index) => countHit('rule', `s${index}`, 1000, NOW + 2 * DAY)))
  }
  const count = (schema: string) => `SELECT count(*) AS count FROM ${schema}.limits WHERE rule = 'old'`
  await withRows(openAuthStore, ['limits'], async (store, run) => {
    await hit(store)
    expect(await run(count('auth'))).toEqual([{ count: MANY - MOST }])
  })
  await withRows(openUsersStore, ['usersLimits'], async (store, run) => {
    await hit(store)
    expect(await run(count('users'))).toEqual([{ count: MANY - MOST }])
  })
})

type Changes = [name: string, fill: string[], id: string, isDefault: boolean, enabled: [string[], string[]]]
const CHANGES: Changes[] = [
  ['becomes a default that users lack a requirement of', ['modules', 'off'], 'b', true, [[], ['a', 'b']]],
  ['was a default that users need', ['modules', 'on'], 'a', false, [['a', 'b'], []]],
]

test.each(CHANGES)('a module changes for many users: it %s', async (_, fill, id, isDefault, enabled) => {
  await withRows(openModulesStore, fill, async (store: ModulesStore, run) => {
    const others = `u${String(MANY).padStart(6, '0')}`
    const modulesOf = async (userId: string) =>
      (await store.modulesOf(userId)).flatMap(({ enabledAt, module }) => (enabledAt === null ? [] : module.id))
    const before = await modulesOf(others)
    // Fails where the last of the changes is made: what was copied before it changes nothing for anyone.
    await run(
      `CREATE FUNCTION interrupt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'Interrupted'; END $$`,
      'CREATE TRIGGER interrupt BEFORE UPDATE ON modules.modules FOR EACH ROW EXECUTE FUNCTION interrupt()',
    )
    await expect(store.changeModule(id, { defaultEnabled: isDefault }, [])).rejects.toThrow()
    expect(await modulesOf(others)).toEqual(before)
    await run('DROP TRIGGER interrupt ON modules.modules')
    expect(await store.changeModule(id, { defaultEnabled: isDefault }, [])).toMatchObject({ outcome: 'changed' })
    expect([await modulesOf(others), await modulesOf('someone')]).toEqual(enabled)
    // Each choice has a number of its own: pages of the feed may end between them.
    expect(
      await run(
        `SELECT count(*) AS rows, count(DISTINCT seq) AS numbers FROM modules.choice_changes WHERE module_id = '${id}'`,
      ),
    ).toEqual([{ rows: MANY, numbers: MANY }])
  })
})

test('a module that requires what many users disabled is added as a default, in one statement for all users', async () => {
  await withRows(openModulesStore, ['modules', 'off'], async (store, run) => {
    await run(
      'DROP TRIGGER small_insert ON modules.choices',
      'DROP TRIGGER small_insert ON modules.choice_changes',
      'CREATE TABLE public.statements (at timestamptz)',
      `CREATE FUNCTION record() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO public.statements VALUES (now()); RETURN NULL;
       END $$`,
      `CREATE TRIGGER recorded AFTER INSERT ON modules.choice_changes FOR EACH STATEMENT EXECUTE FUNCTION record()`,
    )
    const module = { id: 'd', name: 'D', description: '', version: '1', requiredRoles: [], requires: ['a'] }
    await store.addModule({ ...module, defaultEnabled: true, createdAt: NOW }, [])
    expect(
      await run(`
        SELECT count(*) AS rows, count(DISTINCT seq) AS numbers, (SELECT count(*) FROM public.statements) AS statements
        FROM modules.choice_changes WHERE module_id = 'd'`),
    ).toEqual([{ rows: MANY, numbers: MANY, statements: 1 }])
  })
})

test('the removal of a user reads no choices of others', async () => {
  await withRows(openModulesStore, ['modules', 'on'], async (store, run) => {
    await run('ANALYZE modules.choices')
    await store.removeUser('u000001')
    // A connection reports what it has done when it ends, or ten seconds later.
    await store.close()
    const done = await eventually(async () => {
      const [row] = (await run(`
        SELECT n_tup_del AS deleted, seq_tup_read AS read FROM pg_stat_user_tables
        WHERE schemaname = 'modules' AND relname = 'choices'`)) as { deleted: number; read: number }[]
      return row && row.deleted > 0 ? row : undefined
    })
    expect(done).toEqual({ deleted: 1, read: 0 })
  })
})

const CHOICES = 50_000
/** Counts that PostgreSQL makes before a module gets many choices. It plans by them until it counts again. */
const COUNTED: Record<string, string[]> = {
  nothing: [],
  'the choices of other modules': ['ANALYZE modules.choices'],
  'the changes of other modules': ['ANALYZE modules.choice_changes'],
  'the choices and changes of other modules': ['ANALYZE modules.choices', 'ANALYZE modules.choice_changes'],
}

test.each(sliced(Object.entries(COUNTED), 3))(
  'the feed finds each of many new choices by its user, when PostgreSQL has counted %s',
  async (_, counts) => {
    const config = await migratedDatabaseConfig()
    const run = (...statements: string[]) => runStatements(adminUrl(config.databaseUrl), ...statements)
    const rows = (id: string, first: number, last: number) => [
      `INSERT INTO modules.choices SELECT 'u' || ${padded}, '${id}', 1, 9 FROM generate_series(${first}, ${last}) AS n`,
      `INSERT INTO modules.choice_changes SELECT '${id}', 'u' || ${padded}, n FROM generate_series(${first}, ${last}) AS n`,
    ]
    const users = new Set<string>()
    const store = await openModulesStore({ ...config, databasePatience: PROMPT })
    try {
      await run(
        FILL.modules ?? '',
        ...['a', 'b', 'c'].flatMap((id, index) => rows(id, index * 20 + 1, index * 20 + 20)),
        ...counts,
        `INSERT INTO modules.modules VALUES ('many', 'Many', '', '1', '[]', '[]', 0, 7)`,
        ...rows('many', 101, 100 + CHOICES),
      )
      for (let after: number | null = 0; after !== null; ) {
        const { choices, seq } = await store.changesAfter('many', after, MOST)
        for (const { enabled, userId } of choices) if (enabled) users.add(userId)
        after = choices.length < MOST ? null : seq
      }
    } finally {
      await store.close()
    }
    expect(users.size).toBe(CHOICES)
    // A connection reports what it has read when it ends.
    const read = await eventually(async () => {
      const indexes = (await run(`
      SELECT indexrelname AS index, idx_tup_read AS rows FROM pg_stat_user_indexes WHERE relname = 'choices'`)) as {
        index: string
        rows: number
      }[]
      const byIndex = Object.fromEntries(indexes.map((row) => [row.index, row.rows]))
      return Object.values(byIndex).some((count) => count >= CHOICES) && byIndex
    })
    expect(read).toMatchObject({ choices_by_module: 0 })
  },
)
