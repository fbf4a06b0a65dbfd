import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { quoted } from '../../cli/terminal/shell.ts'
import { logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { mails } from '../support/mails.ts'
import { openInstance } from '../support/shell.ts'
import { sliced } from '../support/whole.ts'

setDefaultTimeout(120_000)

const MANY = 400

let instance: Awaited<ReturnType<typeof openInstance>>
beforeAll(async () => {
  instance = await openInstance('users')
  await importUsers([
    { email: 'ana@example.org', username: 'ana', roles: ['USER', 'ADMIN'] },
    ...Array.from({ length: MANY }, (_, n) => ({ email: `many${n}@example.org`, roles: ['MANY'] })),
  ])
})
afterAll(() => instance.close())

const run = (line: string, options: { env?: Record<string, string>; stdin?: string } = {}) =>
  instance.shell.run(line, options)
const onScreen = (line: string, options = {}) => instance.shell.inTerminal(line, options).ended
const lines = (text: string) => text.trimEnd().split('\n')
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

async function importUsers(users: Record<string, unknown>[]) {
  const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
  const { text } = await call(instance.system.url.users, 'POST /api/v1/users/import', {
    headers: { ...as.operator, 'content-type': 'application/x-ndjson' },
    body: users.map((user) => JSON.stringify({ password_hash, ...user })).join('\n'),
  })
  expect(text.match(/"created"/g)?.length).toBe(users.length)
}

/** Creates users that no other test uses. */
async function newUsers(many: number, fields: Record<string, unknown> = {}): Promise<string[]> {
  const emails = Array.from({ length: many }, newEmail)
  await importUsers(emails.map((email) => ({ email, ...fields })))
  return emails
}

/** Runs a line whose output is one JSON value. */
async function asJson(line: string, options: { env?: Record<string, string>; stdin?: string } = {}) {
  const { status, stdout, stderr } = await run(`${line} -o json`, options)
  expect([line, status, stderr]).toEqual([line, 0, ''])
  return JSON.parse(stdout)
}

async function statusOf(email: string): Promise<number> {
  return (await call(instance.system.url.users, `GET /api/v1/users/by-email/${email}`, { headers: as.operator })).status
}

test('R23: rows without a password are imported, and can be listed', async () => {
  const emails = [newEmail(), newEmail(), newEmail()]
  const rows = [`${emails[0]},,true`, `${emails[1]},,`, `${emails[2]},${PASSWORD},`]
  const csv = ['email,password,email_verified', ...rows].join('\n')
  for (const dry of [' --dry-run', '']) {
    const { status, stderr } = await run(`ch202 users import - --format csv${dry}`, { stdin: csv })
    expect([status, stderr]).toEqual([0, ''])
  }
  const listed = async (options: string) => {
    const { items } = await asJson(`ch202 users list ${options}`)
    return items.map(({ email }: { email: string }) => email)
  }
  expect(await listed('--no-password --limit 2')).toEqual(emails.slice(0, 2))
  expect(await listed('--no-password --unverified')).toEqual(emails.slice(1, 2))
  expect(await listed('--unverified --all')).toEqual(expect.arrayContaining(emails.slice(1)))
  expect(await listed('--unverified --all')).not.toContain(emails[0])
  const { stderr } = await run('ch202 users list --no-password --limit 1')
  expect(stderr).toMatch(/^1 of 2\n→ ch202 users list --no-password --limit 1 --cursor \S+\n$/)
  expect((await run(lines(stderr).at(-1)?.slice(2) ?? '')).stdout).toContain(emails[1] ?? '')
  await run(`ch202 users set-password ${emails[0]} --password-stdin`, { stdin: PASSWORD })
  expect((await logIn(instance.system, emails[0] ?? '')).status).toBe(200)
  expect(await listed('--no-password')).toEqual(emails.slice(1, 2))
})

describe('create', () => {
  test('takes a password from standard input', async () => {
    const email = newEmail()
    const options = '--username Kim --name "Kim Ö." --role USER --role EDITOR --verified'
    const created = await asJson(`ch202 users create ${email} --password-stdin ${options}`, {
      stdin: `${PASSWORD}\nand a second line\n`,
    })
    expect(created).toMatchObject({
      email,
      username: 'kim',
      name: 'Kim Ö.',
      roles: ['USER', 'EDITOR'],
      status: 'active',
      email_verified: true,
      changed: true,
    })
    expect(JSON.stringify(created)).not.toContain(PASSWORD)
    expect((await logIn(instance.system, email)).status).toBe(200)
  })

  test('generates a password, and prints it once', async () => {
    const users = await Promise.all([0, 1].map(() => asJson(`ch202 users create ${newEmail()} --generate`)))
    for (const { email, password } of users) {
      expect(password).toMatch(/^[\w-]{24}$/)
      expect((await logIn(instance.system, email, password)).status).toBe(200)
    }
    expect(users[0].password).not.toBe(users[1].password)
    expect(instance.system.output()).not.toContain(users[0].password)
  })

  test('reports a conflict if the user exists, unless a flag accepts that', async () => {
    const email = newEmail()
    const first = await asJson(`ch202 users create ${email} --generate`)
    const again = await run(`ch202 users create ${email.toUpperCase()} --generate`)
    expect([again.status, again.stdout]).toEqual([6, ''])
    expect(again.stderr).toMatch(
      /^✗ .*: USER\S+@EXAMPLE.ORG \(email_taken, request [\w-]+\)\n→ ch202 users get USER\S+@EXAMPLE.ORG\n$/,
    )
    expect((await run(again.stderr.split('→ ')[1] ?? '')).status).toBe(0)
    const lenient = await asJson(`ch202 users create ${email} --generate --if-not-exists`)
    expect(lenient).toMatchObject({ id: first.id, email, changed: false })
    // The generated password is not the user's.
    expect(lenient).not.toHaveProperty('password')
    await run(`ch202 users create ${newEmail()} --generate --username taken`)
    const username = await run(`ch202 users create ${newEmail()} --generate --if-not-exists --username taken`)
    expect([username.status, username.stderr]).toEqual([6, expect.stringContaining('username_taken')])
  })

  test('suggests a command that a shell reads as the email, whatever its characters', async () => {
    const email = `o'brien.\`id\`.${newEmail()}`
    await run(`ch202 users create ${quoted(email)} --generate`)
    const { stderr } = await run(`ch202 users create ${quoted(email)} --generate`)
    expect(stderr).toContain(`→ ch202 users get ${quoted(email)}\n`)
    expect((await run(stderr.split('→ ')[1] ?? '')).status).toBe(0)
  })

  test('names the flags without a terminal and a password', async () => {
    const email = newEmail()
    for (const stdin of [undefined, '', `${PASSWORD}\n`]) {
      const { status, stdout, stderr, took } = await run(
        `ch202 users create ${email}`,
        stdin === undefined ? {} : { stdin },
      )
      expect([status, stdout]).toEqual([2, ''])
      expect(stderr).toMatch(/--password-stdin.*--generate/)
      expect(took).toBeLessThan(PROMPT)
    }
    const empty = await run(`ch202 users create ${email} --password-stdin`, { stdin: '\n' })
    expect([empty.status, empty.stderr]).toEqual([2, expect.stringContaining('has no password')])
    expect(await statusOf(email)).toBe(404)
  })

  test('in a terminal asks for the password, and does not show it', async () => {
    const email = newEmail()
    const { status, screen } = await onScreen(`ch202 users create ${email}`, { typed: [[/Password/, `${PASSWORD}\r`]] })
    expect(status).toBe(0)
    expect(screen).not.toContain(PASSWORD)
    expect(screen).toContain(email)
    expect((await logIn(instance.system, email)).status).toBe(200)
  })

  test('in a terminal ends with 130 at a Ctrl-C', async () => {
    const email = newEmail()
    const { status } = await onScreen(`ch202 users create ${email}`, { typed: [[/Password/, 'half\x03']] })
    expect([status, await statusOf(email)]).toEqual([130, 404])
  })
})

describe('list', () => {
  const table: [string, RegExp][] = [
    ['--role ADMIN', /^ana@example.org$/],
    ['--search ANA', /^ana@example.org$/],
    ['--role MANY --sort email --limit 2', /^many0@example.org\nmany100@example.org$/],
    ['--role MANY --sort -email --limit 1', /^many9@example.org$/],
    ['--role MANY --sort created_at --limit 1', /^many0@example.org$/],
    ['--role MANY --sort -created_at --limit 1', new RegExp(`^many${MANY - 1}@example.org$`)],
    ['--role MANY --status disabled', /^$/],
  ]
  test.each(sliced(table, 3))('%s', async (filters, emails) => {
    const { status, stdout } = await run(`ch202 users list ${filters} --fields email`)
    expect([status, stdout.trim()]).toEqual([0, expect.stringMatching(emails)])
  })

  test('R21: --search finds a name however its letters are written', async () => {
    const [email = ''] = await newUsers(1, { name: 'Пётр Ёлкин' })
    for (const search of ['петр', 'ЁЛКИН', 'елкин', 'Пётр'.normalize('NFD'), 'тр ёл']) {
      const { status, stdout } = await run(`ch202 users list --search '${search}' --fields email`)
      expect([search, status, stdout.trim()]).toEqual([search, 0, email])
    }
    expect((await run(`ch202 users list --search 'пэтр' --fields email`)).stdout.trim()).toBe('')
  })

  test.each(['users', 'cache'])("R27: of %s ignores --search ''", async (noun) => {
    await logIn(instance.system, 'ana@example.org')
    const all = await run(`ch202 ${noun} list --fields email --limit 3`)
    expect([all.status, all.stdout]).toEqual([0, expect.stringContaining('@')])
    expect((await run(`ch202 ${noun} list --search '' --fields email --limit 3`)).stdout).toBe(all.stdout)
  })

  test.each(['--status gone', '--sort id', '--cursor nonsense'])('%s is refused', async (filter) => {
    const { status, stdout, stderr } = await run(`ch202 users list ${filter}`)
    expect([filter, [1, 2].includes(status ?? 0), stdout]).toEqual([filter, true, ''])
    expect(stderr).toMatch(/^✗ /)
  })
})

test('get takes an id, an email or a username, whatever their case', async () => {
  const { id } = await asJson('ch202 users get ana')
  for (const ref of [id, id.toUpperCase(), 'ana@example.org', 'ANA@Example.org', 'Ana'])
    expect([ref, (await asJson(`ch202 users get ${ref}`)).id]).toEqual([ref, id])
})

describe('update', () => {
  test('changes the given fields, and reports whether they differ', async () => {
    const [email = ''] = await newUsers(1, { username: 'uli', name: 'Uli' })
    const steps: [string, Record<string, unknown>][] = [
      ['--name "Ulla Ö."', { name: 'Ulla Ö.', username: 'uli', changed: true }],
      ['--name "Ulla Ö."', { name: 'Ulla Ö.', changed: false }],
      ['--username ulla --role USER --role EDITOR', { username: 'ulla', roles: ['USER', 'EDITOR'], changed: true }],
      ['--role USER,AUTHOR --role EDITOR', { roles: ['USER', 'AUTHOR', 'EDITOR'], changed: true }],
      ['--no-name', { name: null, username: 'ulla', changed: true }],
      ['--no-name', { name: null, changed: false }],
      ['--no-username --verified', { username: null, email_verified: true, changed: true }],
      ['--no-verified', { email_verified: false, changed: true }],
      [`--email new-${email}`, { email: `new-${email}`, changed: true }],
    ]
    for (const [options, expected] of steps)
      expect([options, await asJson(`ch202 users update ${email} ${options}`)]).toEqual([
        options,
        expect.objectContaining(expected),
      ])
    expect(await statusOf(email)).toBe(404)
  })

  test('without a field is a usage error, and with the email of another user a conflict', async () => {
    const [email = ''] = await newUsers(1)
    const nothing = await run(`ch202 users update ${email}`)
    expect([nothing.status, nothing.stderr]).toEqual([2, expect.stringContaining('Nothing to change')])
    const conflict = await run(`ch202 users update ${email} --email ana@example.org`)
    expect([conflict.status, conflict.stderr]).toEqual([
      6,
      expect.stringContaining('→ ch202 users get ana@example.org'),
    ])
  })
})

test('disable and enable change whether a user can log in, and are no error when repeated', async () => {
  const [email = ''] = await newUsers(1)
  const login = await logIn(instance.system, email)
  for (const [verb, status, changed, answered] of [
    ['disable', 'disabled', true, 403],
    ['disable', 'disabled', false, 403],
    ['enable', 'active', true, 200],
    ['enable', 'active', false, 200],
  ] as const) {
    expect(await asJson(`ch202 users ${verb} ${email}`)).toMatchObject({ email, status, changed })
    expect([verb, (await logIn(instance.system, email)).status]).toEqual([verb, answered])
  }
  const { status } = await call(instance.system.url.users, 'GET /api/v1/users/me', {
    headers: as.bearer(login.body.access_token),
  })
  expect(status).toBe(401)
})

describe('delete', () => {
  test('requires --yes or the email without a terminal', async () => {
    const [email = ''] = await newUsers(1)
    for (const [flags, expected] of [
      ['', `--yes or --confirm ${email}`],
      ['--confirm ana@example.org', `expected ${email}`],
      ['--confirm ana@example.org --yes', `expected ${email}`],
      ['--confirm ""', `expected ${email}`],
    ]) {
      const { status, stdout, stderr } = await run(`ch202 users delete ${email} ${flags}`, { stdin: 'y\n' })
      expect([flags, status, stdout, stderr]).toEqual([flags, 2, '', expect.stringContaining(expected ?? '')])
    }
    expect(await statusOf(email)).toBe(200)
    expect(await asJson(`ch202 users delete ${email} --confirm ${email.toUpperCase()}`)).toMatchObject({
      ok: true,
      email,
      changed: true,
    })
    expect(await statusOf(email)).toBe(404)
    // A second time it is no error, and needs no confirmation.
    expect(await asJson(`ch202 users delete ${email}`)).toEqual({ ok: true, changed: false })
  })

  test('deletes with --yes at any place of the line', async () => {
    const emails = await newUsers(3)
    const forms = ['ch202 users delete $ --yes', 'ch202 -y users delete $', 'ch202 users -y delete $']
    for (const [at, form] of forms.entries()) {
      const { status } = await run(form.replace('$', emails[at] ?? ''))
      expect([form, status, await statusOf(emails[at] ?? '')]).toEqual([form, 0, 404])
    }
  })

  test.each([
    ['y', 0, 404],
    ['n', 1, 200],
    ['\r', 1, 200],
    ['\x03', 130, 200],
  ])('in a terminal asks; %j', async (typed, status, after) => {
    const [email = ''] = await newUsers(1)
    const ended = await onScreen(`ch202 users delete ${email}`, { typed: [[/Delete \S+\?/, typed]] })
    expect([ended.status, await statusOf(email)]).toEqual([status, after])
    expect(ended.screen).toContain(`Delete ${email}?`)
  })

  test('never asks if only standard input or output is a terminal', async () => {
    const [email = ''] = await newUsers(1)
    for (const line of [`ch202 users delete ${email} < /dev/null`, `ch202 users delete ${email} | cat; exit 2`]) {
      const { status, screen } = await onScreen(line)
      expect([line, status, screen]).toEqual([line, 2, expect.stringContaining('--yes')])
    }
    expect(await statusOf(email)).toBe(200)
  })
})

describe('set-password', () => {
  test('takes a password from standard input, generates one, or asks', async () => {
    const [email = ''] = await newUsers(1)
    const fromStdin = await asJson(`ch202 users set-password ${email} --password-stdin`, {
      stdin: 'battery horse one\n',
    })
    expect(fromStdin).toEqual({ ok: true, id: expect.stringMatching(UUID), email, changed: true })
    expect((await logIn(instance.system, email, 'battery horse one')).status).toBe(200)
    const { password } = await asJson(`ch202 users set-password ${email} --generate`)
    expect((await logIn(instance.system, email, password)).status).toBe(200)
    const fromTerminal = await onScreen(`ch202 users set-password ${email}`, {
      typed: [[/Password/, 'battery horse two\r']],
    })
    expect([fromTerminal.status, fromTerminal.screen.includes('horse')]).toEqual([0, false])
    expect((await logIn(instance.system, email, 'battery horse two')).status).toBe(200)
    expect((await logIn(instance.system, email)).status).toBe(401)
  })

  test('requires exactly one of its flags', async () => {
    for (const flags of ['', '--generate --password-stdin']) {
      const { status, stdout, stderr } = await run(`ch202 users set-password ana ${flags}`, { stdin: PASSWORD })
      expect([flags, status, stdout]).toEqual([flags, 2, ''])
      expect(stderr).toMatch(/--password-stdin|--generate/)
    }
    const weak = await run('ch202 users set-password ana --password-stdin', { stdin: 'password' })
    expect([weak.status, weak.stderr]).toEqual([1, expect.stringContaining('weak_password')])
    expect((await logIn(instance.system, 'ana')).status).toBe(200)
  })
})

test('send-reset mails a link', async () => {
  const [email = ''] = await newUsers(1)
  expect(await asJson(`ch202 users send-reset ${email}`)).toMatchObject({ email, changed: true })
  const mail = await eventually(() => mails(instance.system).find((text) => text.includes(email)))
  expect(mail).toMatch(/https:\/\/app\.example\.org\//)
})

test('send-reset says so if the user gets no mail', async () => {
  const [email = ''] = await newUsers(1)
  await asJson(`ch202 users disable ${email}`)
  const { status, stderr } = await run(`ch202 users send-reset ${email}`)
  expect([status, stderr]).toEqual([6, expect.stringContaining(`→ ch202 users enable ${email}`)])
})

describe('refs of standard input', () => {
  test('are read one per line, whatever the line end', async () => {
    const emails = await newUsers(3)
    const { status, stdout, stderr } = await run('ch202 users disable - -o jsonl', {
      stdin: `${emails[0]}\r\n\n  ${emails[1]}  \n${emails[2]}`,
    })
    expect([status, stderr]).toEqual([0, ''])
    expect(lines(stdout).map((line) => JSON.parse(line))).toEqual(
      emails.map((email) => expect.objectContaining({ email, status: 'disabled', changed: true })),
    )
    const again = await asJson('ch202 users disable -', { stdin: emails.join('\n') })
    expect(again.items.map(({ changed }: { changed: boolean }) => changed)).toEqual([false, false, false])
    const ids = await run('ch202 users get - -o ids | ch202 users enable - --fields email,status', {
      stdin: emails.join('\n'),
    })
    expect(ids.stdout).toBe(emails.map((email) => `${email}  active\n`).join(''))
  })

  test('of which some fail are processed for the others, with exit status 8', async () => {
    const emails = await newUsers(2)
    const stdin = `${emails[0]}\nnobody@example.org\nno-one\n${emails[1]}\n`
    const some = await run('ch202 users disable - -o ids', { stdin })
    expect([some.status, lines(some.stdout).length]).toEqual([8, 2])
    expect(some.stderr).toMatch(
      /✗ There is no user nobody@example.org .*\n→ .*\n✗ There is no user no-one .*\n→ .*\n2 of 4 failed\n$/,
    )
    const json = await run('ch202 users enable - -o json', { stdin })
    expect([json.status, json.stderr]).toEqual([8, ''])
    expect(JSON.parse(json.stdout).items).toEqual([
      expect.objectContaining({ email: emails[0], changed: true }),
      { ref: 'nobody@example.org', ok: false, error: expect.objectContaining({ code: 'user_not_found' }) },
      { ref: 'no-one', ok: false, error: expect.objectContaining({ code: 'user_not_found' }) },
      expect.objectContaining({ email: emails[1], changed: true }),
    ])
    const none = await run('ch202 users get -', { stdin: 'nobody\nno-one\n' })
    expect([none.status, none.stdout]).toEqual([3, ''])
  })

  test('that are empty are a usage error', async () => {
    for (const stdin of ['', '\n \n'])
      expect(await run('ch202 users get -', { stdin })).toMatchObject({ status: 2, stdout: '' })
  })

  test('require --yes to be deleted', async () => {
    const emails = await newUsers(2)
    const stdin = emails.join('\n')
    for (const flags of ['', `--confirm ${emails[0]}`])
      expect(await run(`ch202 users delete - ${flags}`, { stdin })).toMatchObject({ status: 2, stdout: '' })
    expect(await statusOf(emails[0] ?? '')).toBe(200)
    expect(await run('ch202 users delete - --yes', { stdin })).toMatchObject({ status: 0 })
    expect(await Promise.all(emails.map(statusOf))).toEqual([404, 404])
  })

  test('each get a password', async () => {
    const emails = await newUsers(2)
    const { items } = await asJson('ch202 users set-password - --generate', { stdin: emails.join('\n') })
    for (const { email, password } of items) expect((await logIn(instance.system, email, password)).status).toBe(200)
    expect(items[0].password).not.toBe(items[1].password)
    for (const flags of ['--password-stdin', '--password-stdin --generate']) {
      const one = await run(`ch202 users set-password - ${flags}`, { stdin: emails.join('\n') })
      expect([one.status, one.stderr]).toEqual([2, expect.stringContaining('--generate')])
    }
  })

  test('stop between two users at a Ctrl-C, and the tool prints how to continue', async () => {
    const listMany = 'ch202 users list --role MANY --sort email --all -o ids > refs'
    expect((await run(listMany)).status).toBe(0)
    const stopped = instance.shell.start('trap : INT\n< refs ch202 users get - -o ids', { group: true })
    await stopped.printed(/\n/, 2)
    stopped.signal('SIGINT')
    const { status, stdout, stderr } = await stopped.ended
    const done = lines(stdout).length
    expect([status, done < MANY]).toEqual([130, true])
    expect(stderr).toBe(`Stopped after ${done} of ${MANY}\n→ … | tail -n +${done + 1} | ch202 users get - -o ids\n`)
    const rest = await run(`cat refs ${stderr.split('→ …')[1]}`)
    expect((await run('cat refs')).stdout).toBe(stdout + rest.stdout)
    // With -o json the output is still complete JSON.
    const json = instance.shell.start('trap : INT\n< refs ch202 users get - -o json --debug', { group: true })
    await eventually(() => json.stderr().includes('GET') || undefined)
    json.signal('SIGINT')
    const ended = await json.ended
    expect([ended.status, ended.stderr]).toEqual([130, expect.stringContaining('tail -n +')])
    expect(JSON.parse(ended.stdout).items.length).toBeLessThan(MANY)
  })
})

test('the last administrator cannot be removed, and the failure suggests a command', async () => {
  for (const line of ['disable ana', 'update ana --role USER', 'delete ana --yes']) {
    const { status, stdout, stderr } = await run(`ch202 users ${line}`)
    expect([line, status, stdout]).toEqual([line, 6, ''])
    expect(stderr).toMatch(/^✗ .*\(last_admin, request [\w-]+\)\n→ ch202 users list --role ADMIN\n$/)
  }
  expect(await asJson('ch202 users get ana')).toMatchObject({ roles: ['USER', 'ADMIN'], status: 'active' })
})

test('every command exits 3 for an unknown user, and suggests a search', async () => {
  for (const [line, options] of [
    ['get', ''],
    ['update', '--no-name'],
    ['disable', ''],
    ['enable', ''],
    ['set-password', '--generate'],
    ['send-reset', ''],
  ])
    for (const ref of line === 'get' ? ['no-one', 'no-one@example.org', crypto.randomUUID()] : ['no-one']) {
      const { status, stdout, stderr } = await run(`ch202 users ${line} ${ref} ${options}`)
      expect([line, ref, status, stdout]).toEqual([line, ref, 3, ''])
      expect(stderr).toMatch(
        /^✗ There is no user \S+ \(user_not_found, request [\w-]+\)\n→ ch202 users list --search \S+\n$/,
      )
    }
})

test('a name that would change the path is an unknown user', async () => {
  const refs = ['', '.', '..', '../users', 'a/../../ana', 'ana?size=1', 'ana#x', '%2e%2e', '@', '../@/..']
  for (const ref of sliced(refs, 3)) {
    const { status, stdout } = await run(`ch202 users get '${ref}'`)
    expect([ref, status, stdout]).toEqual([ref, 3, ''])
  }
})
