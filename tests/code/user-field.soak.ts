import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { copyCheckout } from '../support/checkout.ts'
import { addWebhook, outboxesEmpty, outgoingEvents } from '../support/events.ts'
import { as, call } from '../support/http.ts'
import { sharedPostgres } from '../support/postgres/shared.ts'
import type { ProcessSystem } from '../support/processes.ts'
import { OPERATOR_KEY } from '../support/settings.ts'
import { openShell } from '../support/shell.ts'
import { ROOT, temporary } from '../support/tool.ts'

/**
 * Adds a field to the user in a copy of the checkout, by the recipe in CONTRIBUTING.md, and reads it back by every path.
 * The copy runs: nothing but the files of the recipe is changed.
 */

const MOST_FILES = 8
/** Milliseconds: a compiler and the services of a copy take minutes on a busy machine. */
const SLOW = 600_000
const PHONE = '+39 055 123'
const OTHER_PHONE = '+7 495 123'

/** The changes that add a migration at the end of a list: it has one line for each, or one line in all. */
function withMigration(path: string, type: string): [path: string, before: string, text: string] {
  const source = readFileSync(join(ROOT, path), 'utf8')
  const last = [...source.matchAll(/name: '(\d{4})_/g)].at(-1)?.[1]
  const number = String(Number(last) + 1).padStart(4, '0')
  const migration = `{ name: '${number}_phone', sql: 'ALTER TABLE users ADD COLUMN phone ${type}' }`
  return [path, ']\n', source.includes(',\n]\n') ? `  ${migration},\n` : `, ${migration}`]
}

/** The changes of the recipe: a file, the text before which a text is inserted, and that text. */
const RECIPE: [path: string, before: string, text: string][] = [
  [
    'services/kit/schema/user.ts',
    '  locale: {',
    '  phone: { body: nullable(text({ most: 40 })), answer: nullable(text({ most: 40 })), initial: null },\n',
  ],
  // Behind the other columns, as the migration adds it: the first table is that of users.
  ['db/schema/users.ts', '})\n\n', "  phone: text('phone'),\n"],
  withMigration('db/sqlite/migrations/users.ts', 'TEXT'),
  withMigration('db/postgres/migrations/users.ts', 'text COLLATE "C"'),
  ['tests/support/expectations.ts', "'locale', ", "'phone', "],
  ['docs/integrate/events.md', '      "locale"', '      "phone": null,\n'],
  ['CHANGELOG.md', '- `metadata`', '- `phone` of a user.\n'],
]

/** Makes the changes in a copy: in a page at every anchor, elsewhere at the first. */
function apply(copy: string, changes: readonly (readonly [path: string, before: string, text: string])[]): void {
  for (const [path, before, text] of changes) {
    const file = join(copy, path)
    const source = readFileSync(file, 'utf8')
    if (!source.includes(before)) throw new Error(`${path} does not contain ${before}`)
    const isPage = path.endsWith('.md')
    writeFileSync(file, isPage ? source.replaceAll(before, text + before) : source.replace(before, text + before))
  }
}

test(`the recipe changes at most ${MOST_FILES} files, and CONTRIBUTING names each of them`, () => {
  const files = [...new Set(RECIPE.map(([path]) => path))]
  expect(files.length).toBeLessThanOrEqual(MOST_FILES)
  const [, recipe = ''] = readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8').split('### Add a field to the user\n')
  const section = recipe.split('\n### ')[0] ?? ''
  for (const file of files) expect(section).toContain(`\`${file}\``)
})

/** Starts the services of the copy, each in a process of its own. */
async function startCopy(copy: string, env: Record<string, string> = {}): Promise<ProcessSystem> {
  const { processes }: typeof import('../support/processes.ts') = await import(join(copy, 'tests/support/processes.ts'))
  return processes('apart', env)
}

/**
 * Each path by which a user is read or written, with what it gives for the field.
 * @param readEvents reads the events from the database file of auth; false for another kind of database
 */
async function readByEveryPath(system: ProcessSystem, { readEvents = true } = {}) {
  const { auth, users } = system.url
  const operator = { headers: as.operator }
  if (readEvents) await addWebhook(system)
  const email = newEmail()
  const registered = await call(auth, 'POST /api/v1/auth/register', {
    body: { email, password: PASSWORD, phone: PHONE },
  })
  const { id } = registered.body
  const { body: tokens } = await call(auth, 'POST /api/v1/auth/login', { body: { email, password: PASSWORD } })
  const bearer = { headers: as.bearer(tokens.access_token) }
  const verifying = { headers: as.internal, body: { login: email, password: PASSWORD } }
  const lines = { ...as.operator, 'content-type': 'application/x-ndjson' }
  const imported = newEmail()
  const importing = (phone: string, query = '') => ({
    request: `POST /users/import${query}`,
    options: { headers: lines, body: JSON.stringify({ email: imported, phone }) },
  })
  const userOf = async (name: string) => (await call(users, `GET /users/by-email/${name}`, operator)).body
  const send = ({ request, options }: ReturnType<typeof importing>) => call(users, request, options)
  const createdEmail = newEmail()
  const fields = { email: createdEmail, password: PASSWORD, phone: PHONE }

  const values: Record<string, unknown> = {
    register: registered.body.phone,
    'GET /auth/me': (await call(auth, 'GET /auth/me', bearer)).body.phone,
    'GET /users/{id}': (await call(users, `GET /users/${id}`, bearer)).body.phone,
    'GET /users/by-email': (await userOf(email)).phone,
    'GET /users': (await call(users, `GET /users?search=${email}`, operator)).body.items[0]?.phone,
    'POST /users': (await call(users, 'POST /users', { body: fields })).body.phone,
    'verify-credentials': (await call(users, 'POST /users/verify-credentials', verifying)).body.user.phone,
    'password record': (await call(users, `GET /users/${id}/password-hash`, { headers: as.internal })).body.phone,
    export: (await call(users, 'GET /users/export', operator)).text.match(/"phone":"([^"]*)"/)?.[1],
  }
  await send(importing(PHONE))
  values.import = (await userOf(imported)).phone
  await send(importing(OTHER_PHONE, '?on_conflict=update'))
  values['import that updates'] = (await userOf(imported)).phone
  const patch = { ...bearer, body: { phone: OTHER_PHONE } }
  values.PATCH = (await call(users, `PATCH /users/${id}`, patch)).body.phone
  values.PUT = (await call(users, `PUT /users/${id}`, { ...bearer, body: { email, phone: PHONE } })).body.phone
  values['PUT without it'] = (await call(users, `PUT /users/${id}`, { ...bearer, body: { email } })).body.phone
  await outboxesEmpty(system)
  if (readEvents) Object.assign(values, await fieldInEvents(system, id))
  await system.kill('users')
  const stale = await call(auth, 'GET /auth/me', bearer)
  values['GET /auth/me with users down'] = stale.headers.has('x-ch202-stale') ? stale.body.phone : 'not stale'
  return values
}

/** Reads the field from the events about a user. */
async function fieldInEvents(system: ProcessSystem, userId: string): Promise<Record<string, unknown>> {
  const messages = (await outgoingEvents(system)).filter(({ data }) => data.user_id === userId)
  const userIn = (type: string) =>
    messages.find((message) => message.type === type)?.data as {
      user?: { phone?: unknown }
      fields?: string[]
    }
  return {
    'event user.created': userIn('user.created')?.user?.phone,
    'event user.updated': userIn('user.updated')?.user?.phone,
    'fields of user.updated': userIn('user.updated')?.fields?.join(),
  }
}

const EXPECTED: Record<string, unknown> = {
  register: PHONE,
  'GET /auth/me': PHONE,
  'GET /users/{id}': PHONE,
  'GET /users/by-email': PHONE,
  'GET /users': PHONE,
  'POST /users': PHONE,
  'verify-credentials': PHONE,
  'password record': PHONE,
  export: PHONE,
  import: PHONE,
  'import that updates': OTHER_PHONE,
  PATCH: OTHER_PHONE,
  PUT: PHONE,
  'PUT without it': PHONE,
  'event user.created': PHONE,
  'event user.updated': OTHER_PHONE,
  'fields of user.updated': 'phone',
  'GET /auth/me with users down': PHONE,
}

/** The paths whose value is not the expected one. */
function wrongPaths(values: Record<string, unknown>): string[] {
  return Object.keys(EXPECTED).filter((path) => values[path] !== EXPECTED[path])
}

describe('a field that the recipe adds', () => {
  const folder = temporary('user-field')
  const copy = copyCheckout(folder.path)
  let system: ProcessSystem
  beforeAll(async () => {
    apply(copy.path, RECIPE)
    system = await startCopy(copy.path)
  }, SLOW)
  afterAll(async () => {
    await system?.stop()
    folder.remove()
  })

  test(
    'compiles, and is in the tables as in the migrations',
    async () => {
      const types = await copy.run(['node_modules/typescript/bin/tsc', '--noEmit'])
      expect([types.status, types.stdout]).toEqual([0, ''])
      const tables = await copy.run(['test', '--timeout=120000', 'tests/code/schema.test.ts'])
      expect([tables.status, tables.stderr]).toEqual([0, expect.stringContaining(' 0 fail')])
    },
    SLOW,
  )

  test(
    'is written and read by every way to read or write a user',
    async () => {
      const values = await readByEveryPath(system)
      expect(values).toEqual(EXPECTED)
      await system.start('users')
    },
    SLOW,
  )

  test(
    'is written and read by every way on PostgreSQL too',
    async () => {
      const { newDatabase } = await sharedPostgres()
      const onPostgres = await startCopy(copy.path, { DATABASE_URL: await newDatabase() })
      try {
        const expected = Object.entries(EXPECTED).filter(([path]) => !/^(event|fields) /.test(path))
        expect(await readByEveryPath(onPostgres, { readEvents: false })).toEqual(Object.fromEntries(expected))
      } finally {
        await onPostgres.stop()
      }
    },
    SLOW,
  )

  test(
    'is a column of what the tool exports and imports',
    async () => {
      const email = newEmail()
      const env = { USERS_URL: system.url.users, AUTH_URL: system.url.auth, OPERATOR_API_KEY: OPERATOR_KEY }
      const shell = openShell('user-field', env, copy.path)
      try {
        const csv = `email,phone\n${email},${PHONE}\n`
        const imported = await shell.run('ch202 users import - --format csv', { stdin: csv })
        expect([imported.status, imported.stderr]).toEqual([0, ''])
        const { stdout } = await shell.run('ch202 users export --format csv')
        const [head = '', ...rows] = stdout.split('\n')
        const row = rows.find((line) => line.includes(email))
        expect(row?.split(',')[head.split(',').indexOf('phone')]).toBe(PHONE)
      } finally {
        shell.close()
      }
    },
    SLOW,
  )
})

test(
  'detects a way that drops the field',
  async () => {
    /** Faults, each in another file. */
    const faults: [path: string, right: string, wrong: string][] = [
      ['services/kit/schema/user.ts', 'const OPAQUE_NAMES = Object.keys(', 'const OPAQUE_NAMES = withoutPhone('],
      ['services/kit/schema/user.ts', '/** The fields of a record that a login', WITHOUT_PHONE],
      ['services/users/bulk/export.ts', 'JSON.stringify(value)', 'JSON.stringify({ ...value, phone: undefined })'],
      [
        'services/users/notices.ts',
        'return USER_FIELDS.filter((name) =>',
        "return USER_FIELDS.filter((name) => name !== 'phone' &&",
      ],
    ]
    const folder = temporary('user-field-fault')
    try {
      const copy = copyCheckout(folder.path)
      apply(copy.path, RECIPE)
      for (const [path, right, wrong] of faults) {
        const source = readFileSync(join(copy.path, path), 'utf8')
        expect([path, source.includes(right)]).toEqual([path, true])
        writeFileSync(join(copy.path, path), source.replace(right, wrong))
      }
      const system = await startCopy(copy.path)
      try {
        expect(wrongPaths(await readByEveryPath(system))).toEqual([
          'export',
          'event user.updated',
          'fields of user.updated',
          'GET /auth/me with users down',
        ])
      } finally {
        await system.stop()
      }
    } finally {
      folder.remove()
    }
  },
  SLOW,
)

const WITHOUT_PHONE = `const withoutPhone = (fields: object) => Object.keys(fields).filter((name) => name !== 'phone')

/** The fields of a record that a login`
