import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { FOREIGN_REFUSED, FOREIGN_VECTORS } from '../fixtures/foreign-vectors.ts'
import { importing, summaryOf } from '../fixtures/importing.ts'
import { logIn, PASSWORD } from '../support/actors.ts'
import { ROOT } from '../support/tool.ts'

const here = importing('import-django')
const FIXTURES = join(ROOT, 'tests', 'fixtures')
/** Written by Django: `dumpdata auth`, `dumpdata auth.user`, `dumpdata auth.user --natural-foreign --format jsonl`. */
const DUMPS = ['django-auth.json', 'django-users.json', 'django-users.jsonl']
const HASHES = ['ana', 'bo', 'cy', 'di', 'eve', 'fay']

const record = (fields: object, pk: unknown = 1) => ({
  model: 'accounts.user',
  pk,
  fields: { password: '!', is_superuser: false, groups: [], ...fields },
})
const group = (pk: number, name: string) => ({ model: 'auth.group', pk, fields: { name, permissions: [] } })
const imported = async (records: object[], ...words: string[]) => {
  const path = here.file(JSON.stringify(records), 'json')
  const done = await here.users(['import', path, '--format', 'django', '-o', 'json', ...words])
  return { ...done, summary: done.stdout.startsWith('{"created"') ? summaryOf(done.stdout) : undefined }
}

describe('R22: --format django', () => {
  test.each(DUMPS)('reads %s, also in a dry run', async (name) => {
    const words = ['import', join(FIXTURES, name), '--format', 'django', '-o', 'json']
    const dry = await here.users([...words, '--dry-run'])
    expect([dry.status, JSON.parse(dry.stdout)]).toMatchObject([8, { ready: 8, failed: 2 }])
    const done = await here.users([...words, '--on-conflict', 'update'])
    expect([done.status, summaryOf(done.stdout)]).toMatchObject([8, { failed: 2, total: 10 }])
    expect(done.stderr).toMatch(/^✗ \d+: Password hashes of this kind are not supported: md5 \(/m)
    expect(done.stderr).toMatch(/^✗ \d+: The email is missing/m)
    expect(dry.stderr).toContain('! Imported without the ADMIN role: 1')
    const [ana, bo] = await Promise.all(['ana', 'bo'].map((who) => here.read(`${who}@django.example.org`)))
    const hasGroupNames = name !== 'django-users.json'
    expect(ana).toMatchObject({ username: 'ana.django', name: 'Ana Lima', created_at: '2024-05-01T09:30:00.123Z' })
    expect(ana.roles).toEqual(hasGroupNames ? ['USER', 'STORE_MANAGERS'] : ['USER'])
    expect([bo.name, bo.roles]).toEqual(['Бо Öz', ana.roles])
    expect(done.stderr).toContain(hasGroupNames ? '"Редакторы", of 1 user' : '"2", of 1 user: a group without a name')
    expect((await here.read('di@django.example.org')).status).toBe('disabled')
    expect(await here.read('cy@django.example.org')).toMatchObject({ username: null, name: null })
    expect((await here.read('root@django.example.org')).roles).toEqual(['USER'])
  })

  test.each(HASHES)('%s can log in', async (who) => {
    const email = `${who}@django.example.org`
    expect((await logIn(here.system, email, `${PASSWORD}.`)).body.code).toBe('invalid_credentials')
    const { body, status } = await logIn(here.system, email)
    expect([status, body.code]).toEqual(who === 'di' ? [403, 'account_disabled'] : [200, undefined])
  })

  test('a user with an unusable password has no password', async () => {
    const { stdout } = await here.users(['list', '--no-password', '-o', 'jsonl', '--fields', 'email'])
    expect(stdout).toContain('gus@django.example.org')
    expect((await logIn(here.system, 'gus@django.example.org')).body.code).toBe('invalid_credentials')
  })

  test('a superuser is an administrator if a flag says so, and a group called admin is not', async () => {
    const records = (tag: string) => [
      record({ email: `root@${tag}.example.org`, is_superuser: true, groups: [7] }),
      record({ email: `ann@${tag}.example.org`, groups: [7, 8] }),
      group(7, 'admin'),
      group(8, 'staff'),
    ]
    for (const [tag, words] of [
      ['su1', []],
      ['su2', ['--keep-admins']],
    ] as const) {
      const done = await imported(records(tag), ...words)
      expect(done.status).toBe(0)
      const roles = await Promise.all(
        ['root', 'ann'].map(async (who) => (await here.read(`${who}@${tag}.example.org`)).roles),
      )
      expect(roles).toEqual([tag === 'su2' ? ['USER', 'ADMIN'] : ['USER'], ['USER', 'STAFF']])
      expect(done.stderr).toContain('"admin", of 2 users: would get the same name as "is_superuser"')
    }
  })

  test('groups without a name can be mapped by their key, and are otherwise no role', async () => {
    const records = [
      record({ email: 'a@keys.example.org', groups: [1, 'editors'] }),
      record({ email: 'b@keys.example.org', groups: [2, 'editors'] }),
    ]
    const done = await imported(records, '--role-map', '2=EDITOR')
    expect(done.summary.roles_left_out).toEqual([
      { role: '1', reason: 'unnamed', users: 1 },
      { role: 'editors', reason: 'unnamed', users: 2 },
    ])
    expect((await here.read('a@keys.example.org')).roles).toEqual(['USER'])
    expect((await here.read('b@keys.example.org')).roles).toEqual(['USER', 'EDITOR'])
  })

  test('a custom user model is read, and other models are skipped', async () => {
    const id = '0f8fad5b-d9cb-469f-a165-70867728950e'
    const done = await imported([
      { model: 'sessions.session', pk: 'x', fields: { session_data: 'x' } },
      { model: 'account.emailaddress', pk: 1, fields: { email: 'own@model.example.org', verified: true } },
      record({ email: 'own@model.example.org', full_name: 'Öz, Ana', first_name: '', last_name: null }, id),
    ])
    expect(done.summary).toMatchObject({ created: 1, total: 1 })
    expect(await here.read('own@model.example.org')).toMatchObject({ id, name: 'Öz, Ana', email_verified: false })
  })

  test('a file without a user says so', async () => {
    const { status, stderr } = await imported([group(1, 'x')])
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining('No record in the file has the fields email and password'),
    ])
  })
})

describe('R22: a hash of a framework in a CSV or JSONL file', () => {
  const people = FOREIGN_VECTORS.map(([, password, hash], n) => ({ email: `v${n}@own.example.org`, password, hash }))

  test('is imported unchanged from a CSV, and the user can log in', async () => {
    const rows = people.map(({ email, hash }) => `${email},"${hash}"`)
    const done = await here.users([
      'import',
      here.file(['email,password_hash', ...rows].join('\n'), 'csv'),
      '-o',
      'json',
    ])
    expect([done.status, summaryOf(done.stdout)]).toMatchObject([0, { created: people.length }])
    for (const { email, password } of people) expect((await logIn(here.system, email, password)).status).toBe(200)
  }, 120_000)

  test('that is not supported fails, also in a dry run, and is not in the message', async () => {
    const rows = FOREIGN_REFUSED.map(([, hash], n) => ({ email: `r${n}@own.example.org`, password_hash: hash }))
    const path = here.file(rows.map((row) => JSON.stringify(row)).join('\n'), 'jsonl')
    for (const words of [['--dry-run'], []]) {
      const { status, stderr, stdout } = await here.users(['import', path, '-o', 'json', ...words])
      expect([status, JSON.parse(stdout)]).toMatchObject([1, { failed: rows.length }])
      for (const [, hash] of FOREIGN_REFUSED) expect(stderr + stdout).not.toContain(hash.slice(-12))
    }
  })

  test('that is not supported is named in an export of another product', async () => {
    for (const [name, password] of FOREIGN_REFUSED) {
      const { status, stderr } = await imported([record({ email: 'x@own.example.org', password })])
      expect([status, stderr]).toEqual([
        1,
        expect.stringContaining(name === '{noop}' ? 'clear text ({noop})' : `supported: ${name}`),
      ])
      expect(stderr).not.toContain(password.slice(-12))
    }
  })
})
