import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { FakeUsers } from '../fixtures/fake-users.ts'
import { formatWords, importing, summaryOf } from '../fixtures/importing.ts'
import { WRITTEN } from '../fixtures/written.ts'
import { launch, runTool } from '../support/tool.ts'

const here = importing('import-roles')
const HASH = await Bun.password.hash('correct horse battery', { algorithm: 'bcrypt', cost: 4 })
const FORMATS = Object.keys(WRITTEN)
const THEIRS = FORMATS.filter((format) => format !== 'jsonl' && format !== 'csv')
const LONG = 'billing_account_number_0000000001'

type Case = [what: string, people: string[][], roles: string[][], left: Record<string, number>]
const lettered = (roles: string[]) => roles.filter((role) => role !== 'USER')

/** Users with their roles, the imported roles, and the skipped roles with the number of their users. */
const CASES: Case[] = [
  [
    'fit',
    [['sales-team'], ['Store.Manager', 'cash desk'], []],
    [['SALES_TEAM'], ['STORE_MANAGER', 'CASH_DESK'], []],
    {},
  ],
  [
    'differ after the 32nd character',
    [[`${LONG}_viewer`], [`${LONG}_admin`]],
    [[], []],
    { [`${LONG}_viewer`]: 1, [`${LONG}_admin`]: 1 },
  ],
  [
    'have one character too many',
    [['a'.repeat(33)], ['a'.repeat(32)]],
    [[], ['A'.repeat(32)]],
    { ['a'.repeat(33)]: 1 },
  ],
  ['differ outside ASCII', [['роль-а'], ['роль-б'], ['роль-б']], [[], [], []], { 'роль-а': 1, 'роль-б': 2 }],
  ['have one letter outside ASCII', [['admın'], ['straße'], ['ﬁeld']], [[], [], []], { admın: 1, straße: 1, ﬁeld: 1 }],
  ['differ in what becomes _', [['a-b'], ['a.b'], ['a_b', 'c']], [[], [], ['C']], { 'a-b': 1, 'a.b': 1, a_b: 1 }],
  ['differ in case', [['editor'], ['Editor']], [[], []], { editor: 1, Editor: 1 }],
  ['begin with no letter', [['1st'], ['_x'], ['-y']], [[], [], []], { '1st': 1, _x: 1, '-y': 1 }],
  ['have other characters', [['a:b'], ['a/b'], ['a b+']], [[], [], []], { 'a:b': 1, 'a/b': 1, 'a b+': 1 }],
  ['contain ADMIN after a blank', [['billing admin']], [['BILLING_ADMIN']], {}],
]

const emailsOf = (tag: string, people: string[][]) => people.map((_, n) => `p${n}.${tag}@roles.example.org`)
let tags = 0
const written = (format: string, people: string[][]) => {
  const tag = `t${tags++}`
  const emails = emailsOf(tag, people)
  const text = (WRITTEN[format] as (typeof WRITTEN)[string])(
    people.map((roles, n) => ({ email: emails[n] as string, roles, hash: HASH })),
  )
  return { emails, text }
}
const rolesOf = (emails: string[]) => Promise.all(emails.map(async (email) => lettered((await here.read(email)).roles)))
const skippedRolesIn = (stdout: string) =>
  Object.fromEntries(
    (JSON.parse(stdout).roles_left_out ?? []).map(({ role, users }: { role: string; users: number }) => [role, users]),
  )

describe('R4: different roles never become one', () => {
  for (const format of FORMATS)
    test.each(CASES)(`${format}: roles that %s`, async (_, people, roles, skippedRoles) => {
      const { emails, text } = written(format, people)
      const path = here.file(text)
      const words = ['import', path, ...formatWords(format), '-o', 'json']
      const dry = await here.users([...words, '--dry-run'])
      expect([dry.status, skippedRolesIn(dry.stdout)]).toEqual([0, skippedRoles])
      const done = await here.users(words)
      expect([done.status, skippedRolesIn(done.stdout)]).toEqual([0, skippedRoles])
      expect(await rolesOf(emails)).toEqual(roles)
      expect(done.stderr).toBe(dry.stderr)
      for (const [role, users] of Object.entries(skippedRoles))
        expect(done.stderr).toContain(`${JSON.stringify(role)}, of ${users} user`)
      if (Object.keys(skippedRoles).length === 0) expect(done.stderr).not.toContain('Roles skipped')
    })

  test.each(FORMATS)('%s: a pipe gives the same as a file', async (format) => {
    for (const [, people, roles, skippedRoles] of CASES) {
      const { emails, text } = written(format, people)
      const done = await here.users(['import', '-', ...formatWords(format), '-o', 'json'], text)
      expect([done.status, skippedRolesIn(done.stdout)]).toEqual([0, skippedRoles])
      expect(await rolesOf(emails)).toEqual(roles)
    }
  })

  test.each(THEIRS)('%s: a role of another product in upper case is not preferred', async (format) => {
    const { emails, text } = written(format, [['editor'], ['EDITOR']])
    await here.users(['import', here.file(text), ...formatWords(format)])
    expect(await rolesOf(emails)).toEqual([[], []])
  })

  test.each(['jsonl', 'csv'])('%s: a role in upper case is imported', async (format) => {
    const { emails, text } = written(format, [['editor'], ['EDITOR'], ['Editor']])
    const done = await here.users(['import', here.file(text), '--format', format, '-o', 'json'])
    expect(skippedRolesIn(done.stdout)).toEqual({ editor: 1, Editor: 1 })
    expect(await rolesOf(emails)).toEqual([[], ['EDITOR'], []])
  })

  test.each(FORMATS)('%s: a user with 40 roles gets 32, and the others are reported', async (format) => {
    const many = Array.from({ length: 40 }, (_, n) => `role-${n}`)
    const { emails, text } = written(format, [many])
    const words = ['import', here.file(text), ...formatWords(format), '-o', 'json']
    const dry = await here.users([...words, '--dry-run'])
    const done = await here.users(words)
    const { roles } = await here.read(emails[0] as string)
    expect(roles).toHaveLength(32)
    const skippedNames = Object.keys(skippedRolesIn(done.stdout))
    expect(skippedNames).toEqual(many.slice(-skippedNames.length))
    expect(skippedNames.length + lettered(roles).length).toBe(40)
    expect(skippedRolesIn(dry.stdout)).toEqual(skippedRolesIn(done.stdout))
    expect(done.stderr).toContain('a user has at most 32')
  })

  test.each(FORMATS)('%s: --role-map renames a role', async (format) => {
    const people = [['роль-а', 'Editor'], ['роль=б'], ['editor'], ['chief']]
    const { emails, text } = written(format, people)
    // Blanks around a name are removed.
    const map = here.file('роль=б=AUDITOR\r\n\n  chief  = BOSS\ncook=X\n')
    const words = ['--role-map', 'роль-а=AUDITOR', '--role-map', 'Editor=WRITER', '--role-map', map]
    const done = await here.users(['import', here.file(text), ...formatWords(format), ...words, '-o', 'json'])
    expect([done.status, skippedRolesIn(done.stdout)]).toEqual([0, {}])
    expect(await rolesOf(emails)).toEqual([['AUDITOR', 'WRITER'], ['AUDITOR'], ['EDITOR'], ['BOSS']])
    expect(done.stderr).toContain('! The file has no role "cook" (--role-map)')
    expect(done.stderr).not.toContain('chief')
  })

  test('a role that is the target of a map is not imported by its own name', async () => {
    const { emails, text } = written('auth0', [['redaktor'], ['editor']])
    const map = here.file('{"redaktor":"EDITOR"}')
    const done = await here.users(['import', here.file(text), '--format', 'auth0', '--role-map', map, '-o', 'json'])
    expect(skippedRolesIn(done.stdout)).toEqual({ editor: 1 })
    expect(await rolesOf(emails)).toEqual([['EDITOR'], []])
  })

  test.each(FORMATS)('%s: no user becomes an administrator without a flag', async (format) => {
    const people = [['admin'], ['boss']]
    for (const keep of [[], ['--keep-admins']]) {
      const { emails, text } = written(format, people)
      const words = ['import', here.file(text), ...formatWords(format), '--role-map', 'boss=ADMIN', ...keep]
      const done = await here.users([...words, '--role-map', 'admin=ADMIN'])
      expect(await rolesOf(emails)).toEqual(keep.length > 0 ? [['ADMIN'], ['ADMIN']] : [[], []])
      if (keep.length === 0) expect(done.stderr).toContain('! Imported without the ADMIN role: 2')
    }
    const { emails, text } = written(format, people)
    await here.users(['import', here.file(text), ...formatWords(format), '--role-map', 'boss=ADMIN', '--keep-admins'])
    expect(await rolesOf(emails)).toEqual([[], ['ADMIN']])
  })

  test('a value that is not a role name is reported', async () => {
    const lines = [
      { email: 'a@claims.example.org', app_metadata: { roles: 'one', role: 'two' } },
      { email: 'b@claims.example.org', app_metadata: { roles: [null, 5, { name: 'x' }, true, ''] } },
      { email: 'c@claims.example.org', app_metadata: { roles: { three: true, four: false, five: 'read' } } },
    ]
    const text = lines.map((line) => JSON.stringify(line)).join('\n')
    const done = await here.users(['import', '-', '--format', 'auth0', '-o', 'json'], text)
    expect(skippedRolesIn(done.stdout)).toEqual({
      '(null)': 1,
      '(5)': 1,
      '({"name":"x"})': 1,
      '(true)': 1,
      '({"five":"read"})': 1,
    })
    expect(await rolesOf(lines.map(({ email }) => email))).toEqual([['ONE', 'TWO'], [], ['THREE']])
  })

  test('the file of errors has the roles that its records lack', async () => {
    const people = [['editor'], ['Editor', 'fine']]
    const text = written('auth0', people).text.replaceAll('@roles', '@@roles')
    const path = here.file(text)
    for (const dry of [['--dry-run'], []]) {
      const errors = join(here.folder, 'errors')
      const done = await here.users(['import', path, '--format', 'auth0', '--errors', errors, '-o', 'json', ...dry])
      expect(skippedRolesIn(done.stdout)).toEqual({ editor: 1, Editor: 1 })
      const lines = readFileSync(errors, 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
      expect(lines.map(({ record, roles_left_out }) => [record.roles, roles_left_out])).toEqual([
        [['USER'], ['editor']],
        [['USER', 'FINE'], ['Editor']],
      ])
    }
  })

  const rows: [string, string[]][] = [
    ['an invalid role', ['--role-map', 'a=editor']],
    ['no role', ['--role-map', 'a=']],
    ['no source', ['--role-map', '=EDITOR']],
    ['a file that is not there', ['--role-map', 'EDITOR']],
    ['two roles', ['--role-map', 'a=B', '--role-map', 'a=C']],
  ]
  test.each(rows)('a map with %s is refused', async (_, words) => {
    const { status, stderr } = await here.users(['import', here.file('email\n'), '--format', 'csv', ...words])
    expect([status, stderr]).toEqual([2, expect.stringContaining('--role-map')])
  })

  test('an import that was killed continues with the same roles, and counts each once', async () => {
    const fake = new FakeUsers()
    await fake.start()
    try {
      const of = (n: number) => (n === 0 ? ['editor'] : n === 799 ? ['Editor'] : n % 2 ? ['роль'] : ['theirs'])
      const lines = Array.from({ length: 800 }, (_, n) =>
        JSON.stringify({ email: `k${n}@roles.example.org`, roles: of(n), password: 'correct horse battery' }),
      )
      const path = here.file(lines.join('\n'), 'jsonl')
      const env = { CH202_URL: fake.url, OPERATOR_API_KEY: 'key', XDG_STATE_HOME: here.folder }
      fake.trouble = (number, at) => {
        if (number === 2 && at === 'half') running.signal('SIGKILL')
        return undefined
      }
      const words = ['users', 'import', path, '--role-map', 'theirs=OURS', '-o', 'json']
      const running = launch([process.execPath, 'cli/main.ts', ...words], { env })
      expect((await running.ended).status).toBe(null)
      fake.trouble = undefined
      const other = await runTool(['users', 'import', path, '--resume', '--role-map', 'theirs=X'], { env })
      expect([other.status, other.stderr]).toEqual([2, expect.stringContaining('another --role-map')])
      const done = await runTool(['users', 'import', path, '--resume', '-o', 'json'], { env })
      expect(skippedRolesIn(done.stdout)).toEqual({ editor: 1, Editor: 1, роль: 399 })
      expect(summaryOf(done.stdout)).toMatchObject({ created: 800, total: 800 })
      const roles = fake.state().map(({ roles }) => (roles as string[]).join())
      expect(roles).toEqual(Array.from({ length: 800 }, (_, n) => (of(n)[0] === 'theirs' ? 'OURS' : '')))
    } finally {
      fake.stop()
    }
  })
})
