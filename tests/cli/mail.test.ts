import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createUser, newEmail, registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { ScriptedMailServer } from '../support/servers/mail-server.ts'
import { openInstance, openShell } from '../support/shell.ts'
import { ownSettings } from '../support/tool.ts'

setDefaultTimeout(120_000)

const server = new ScriptedMailServer()
let instance: Awaited<ReturnType<typeof openInstance>>
beforeAll(async () => {
  const SMTP_URL = `smtp://127.0.0.1:${await server.start()}`
  instance = await openInstance('mail', { SMTP_URL, EMAIL_VERIFICATION: 'off' })
})
afterAll(async () => {
  await instance?.close()
  server.stop()
})
beforeEach(() => {
  server.script = {}
})

const run = (line: string, options?: Parameters<typeof instance.shell.run>[1]) =>
  instance.shell.run(`ch202 ${line}`, options)
const json = async (line: string, options?: Parameters<typeof run>[1]) => {
  const { status, stderr, stdout } = await run(`${line} -o json`, options)
  if (stdout === '') throw new Error(`${line}: ${status} ${stderr}`)
  return { exit: status, ...JSON.parse(stdout) }
}
const onScreen = async (line: string, cols = 60) => {
  const { screen, status } = await instance.shell.inTerminal(`ch202 ${line}`, { cols, env: { NO_COLOR: '1' } }).ended
  return { status, lines: screen.replaceAll('\r', '').trimEnd().split('\n') }
}
const requestReset = (email: string) =>
  call(instance.system.url.auth, 'POST /api/v1/auth/password-reset-request', { body: { email } })
const addUser = async (fields: object = {}) => {
  const email = newEmail()
  const answer = await call(instance.system.url.users, 'POST /api/v1/users', {
    headers: as.operator,
    body: { email, ...fields },
  })
  expect(answer.status).toBe(201)
  return { id: answer.body.id as string, email }
}
const copies = (email: string) => server.messages.filter(({ to }) => to === email)

describe('mail list', () => {
  test('shows the emails of a user in each form, and fits 60 columns', async () => {
    const { email, id } = await registerUser(instance.system)
    await requestReset(email)
    const sent = await eventually(async () => (await json(`mail list --user ${email} --status sent`)).items[0])
    expect(sent).toMatchObject({ kind: 'password_reset', user_id: id, to: email, status: 'sent', tries: 1 })
    expect((await run(`mail list --user ${id} -o ids`)).stdout).toBe(`${sent.id}\n`)
    expect((await run(`mail list --user ${email} --status queued`)).stdout).toBe('')
    expect((await run(`mail list --user ${email} --kind notice`)).stdout).toBe('')
    for (const line of ['mail list', 'mail list --limit 1', 'mail list --all']) {
      const { lines, status } = await onScreen(line)
      expect([line, status]).toEqual([line, 0])
      expect(lines.filter((text) => Bun.stringWidth(text) > 60 && !text.includes('→ '))).toEqual([])
    }
  })

  test('suggests how to continue, and refuses unknown values', async () => {
    for (let n = 0; n < 3; n++) await run(`mail send-test ${newEmail()} --kind device`)
    const first = await run('mail list --kind device --limit 2 -o ids')
    const next = /^2 of \d+\n→ (ch202 mail list --kind device --limit 2 --cursor \S+)$/m.exec(first.stderr)?.[1]
    expect((await instance.shell.run(`${next} -o ids`)).status).toBe(0)
    for (const line of ['mail list --status lost', 'mail list --kind spam', 'mail list x'])
      expect([line, (await run(line)).status]).toEqual([line, 2])
    expect((await run('mail list --user nobody')).status).toBe(3)
  })
})

describe('mail send-test', () => {
  test('says that the mail server took it', async () => {
    const to = newEmail()
    const { exit, ...sent } = await json(`mail send-test ${to} --kind email_code --locale ru`)
    expect([exit, sent]).toEqual([
      0,
      expect.objectContaining({ to, kind: 'email_code', status: 'sent', changed: true }),
    ])
    expect(copies(to)).toHaveLength(1)
    expect((await run(`mail send-test ${newEmail()}`)).stderr).toBe('✓ The mail server took the email\n')
  })

  test.each([
    [{ RCPT: '550 5.1.1 No such user' }, 1, 'mailbox_refused', /refuses this address/],
    [{ MAIL: '550 5.7.1 Not your sender' }, 7, 'sender_refused', /refuses the sender.*tried again[\s\S]*→ MAIL_FROM=/],
    [{ RCPT: '450 4.2.0 Greylisted' }, 7, 'deferred', /try again later.*tried again/],
  ] as const)('says why not, and what to do: %j', async (script, exit, code, text) => {
    server.script = script
    const to = newEmail()
    const { status, stderr, stdout } = await run(`mail send-test ${to}`)
    expect([status, stdout]).toEqual([exit, ''])
    expect(stderr).toMatch(text)
    expect(stderr).toContain(`(${code})`)
    const error = { code, suggestion: expect.any(String), retryable: exit === 7 }
    expect(await json(`mail send-test ${to}`)).toMatchObject({ exit, ok: false, error })
  })

  test('refuses what is no address', async () => {
    expect((await run('mail send-test nobody')).status).toBe(1)
    expect((await run('mail send-test a@example.org --kind spam')).status).toBe(2)
  })
})

describe('mail retry', () => {
  test('sends what failed again, by an id or by standard input', async () => {
    const users = await Promise.all([1, 2].map(() => registerUser(instance.system)))
    server.script = { message: '554 5.7.1 Spam' }
    for (const { email } of users) await requestReset(email)
    const failed = async ({ email }: { email: string }) =>
      (await run(`mail list --user ${email} --status failed -o ids`)).stdout.trim()
    const ids = await Promise.all(users.map((user) => eventually(async () => (await failed(user)) || undefined)))
    server.script = {}
    const first = await json(`mail retry ${ids[0]}`)
    expect(first).toMatchObject({ exit: 0, id: ids[0], changed: true })
    expect((await run('mail retry - -o ids', { stdin: `${ids[1]}\n` })).stdout).toBe(`${ids[1]}\n`)
    for (const { email } of users)
      await eventually(async () => (await json(`mail list --user ${email}`)).items[0].status === 'sent')
    const again = await run(`mail retry ${ids[0]}`)
    expect([again.status, again.stderr]).toEqual([3, expect.stringContaining('was sent already')])
  })

  test('says what to do for a link that is void, an unknown id, and a shortened one', async () => {
    const { email, id } = await registerUser(instance.system)
    server.script = { message: '554 5.7.1 Spam' }
    await requestReset(email)
    const mailId = await eventually(async () => (await json(`mail list --user ${id} --status failed`)).items[0]?.id)
    await run(`users set-password ${id} --generate`)
    const voided = await run(`mail retry ${mailId}`)
    expect([voided.status, voided.stderr]).toEqual([
      1,
      expect.stringMatching(/has expired.*\n→ ch202 users send-reset/),
    ])
    const unknown = await run('mail retry 00000000-0000-7000-8000-000000000000')
    expect([unknown.status, unknown.stderr]).toEqual([3, expect.stringContaining('→ ch202 mail list --status failed')])
    expect((await run('mail retry …12ab')).status).toBe(2)
    const { stdout } = await run(`complete -- mail retry ''`)
    expect(stdout).toContain(mailId)
  })
})

describe('mail preview', () => {
  const shell = openShell('preview')
  afterAll(shell.close)
  const settings = (more: Record<string, string> = {}) => ({ env: ownSettings(shell.fresh(), more) })

  test('prints a mail while nothing runs, in the language of the installation or the one asked for', async () => {
    const { status, stderr, stdout } = await shell.run(
      'ch202 mail preview invitation',
      settings({ PRODUCT_NAME: 'Acme' }),
    )
    expect([status, stdout]).toEqual([
      0,
      expect.stringMatching(/^Subject: .*Acme.*\n\n[\s\S]*https?:\/\/\S+\/invitation\?token=/),
    ])
    expect(stderr).toContain('{{link}} (required)')
    const russian = await shell.run('ch202 mail preview password_reset', settings({ LOCALE: 'ru' }))
    const inRussian = await shell.run('ch202 mail preview password_reset --locale ru', settings())
    expect(russian.stdout).toMatch(/^Subject: [А-Я]/)
    expect(inRussian.stdout).toMatch(/^Subject: [А-Я]/)
    const html = await shell.run('ch202 mail preview notice --html', settings())
    expect(html.stdout).toStartWith('<!doctype html>')
    const form = JSON.parse((await shell.run('ch202 mail preview device -o json', settings())).stdout)
    expect(form).toMatchObject({ kind: 'device', locale: 'en', subject: expect.any(String), html: expect.any(String) })
    expect(form.placeholders).toContainEqual(expect.objectContaining({ name: 'code', required: true }))
    expect((await shell.run('ch202 mail preview spam', settings())).status).toBe(2)
  })

  test('fits 60 columns; only a link is longer', async () => {
    const env = { CH202_DATA_DIR: shell.fresh() }
    const { screen } = await shell.inTerminal('ch202 mail preview email_changed', { cols: 60, env }).ended
    const lines = screen.replaceAll('\r', '').split('\n')
    expect(lines.filter((line) => Bun.stringWidth(line) > 60 && !/^ *\S+$/.test(line))).toEqual([])
    expect(lines.some((line) => /https?:\S+$/.test(line))).toBe(true)
  })

  test('has the texts of the operator, and names their faults', async () => {
    const ownTexts = settings()
    const folder = join(ownTexts.env.CH202_DATA_DIR ?? '', 'mails', 'en')
    mkdirSync(folder, { recursive: true })
    const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
    write('invitation.subject.txt', 'Come to {{product}}')
    write('invitation.txt', 'Here: {{link}}')
    write('invitation.html', '<a href="{{link}}">Here</a>')
    const { stdout } = await shell.run('ch202 mail preview invitation', ownTexts)
    expect(stdout).toMatch(/^Subject: Come to Ch202\n\nHere: http/)
    write('invitation.txt', 'Nothing: {{nothing}}')
    for (const line of [
      'ch202 mail preview invitation',
      'ch202 config validate',
      'ch202 doctor --only settings.valid',
    ]) {
      const broken = await shell.run(line, ownTexts)
      expect([line, broken.status !== 0]).toEqual([line, true])
      expect(broken.stdout + broken.stderr).toContain('{{nothing}}')
    }
  })
})

describe('users invite', () => {
  const linkIn = (message: string) => /https?:\/\/\S+\/invitation\?token=\S+/.exec(message)?.[0]

  test('mails a link to a new user, and says what to do for one with a password', async () => {
    const email = newEmail()
    const invited = await json(`users invite ${email} --name "New User" --role USER --role ADMIN --locale ru`)
    expect(invited).toMatchObject({ exit: 0, email, name: 'New User', roles: ['USER', 'ADMIN'], has_password: false })
    expect(Date.parse(invited.expires_at)).toBeGreaterThan(Date.now())
    const copy = await eventually(() => copies(email)[0])
    expect(linkIn(copy.message)).toBeDefined()
    const user = await createUser(instance.system)
    const withPassword = await run(`users invite ${user.email}`)
    expect([withPassword.status, withPassword.stderr]).toEqual([
      6,
      expect.stringMatching(/has a password.*\n→ ch202 users send-reset/),
    ])
    const disabled = newEmail()
    await run(`users invite ${disabled}`)
    await run(`users disable ${disabled}`)
    const toDisabled = await run(`users invite ${disabled}`)
    expect([toDisabled.status, toDisabled.stderr]).toEqual([
      6,
      expect.stringMatching(/is disabled.*\n→ ch202 users enable/),
    ])
    // An email may begin like an option.
    expect((await run(`users invite -o json -- -${newEmail()}`)).status).toBe(0)
    const others = [newEmail(), newEmail()]
    expect((await run('users invite - -o ids', { stdin: others.join('\n') })).stdout.trim().split('\n')).toHaveLength(2)
    for (const other of others) await eventually(() => copies(other)[0])
  })

  test('mails every user without a password once, however often it runs', async () => {
    const users = [await addUser(), await addUser(), await addUser()]
    const disabled = await addUser({ status: 'disabled' })
    const first = await json('users invite --without-password --all --yes')
    expect(first).toMatchObject({ exit: 0, failed: 0, changed: true })
    expect(first.invited).toBeGreaterThanOrEqual(3)
    for (const { email } of users) await eventually(() => copies(email)[0])
    const second = await json('users invite --without-password --all --yes')
    expect(second).toMatchObject({ exit: 0, invited: 0, failed: 0, changed: false })
    expect(second.skipped).toBeGreaterThanOrEqual(first.invited)
    await run(`users invite --without-password --all --again --yes`)
    for (const { email } of users) await eventually(() => copies(email).length === 2)
    expect(copies(disabled.email)).toEqual([])
    const onTerminal = await onScreen('users invite --without-password --all --yes')
    expect(onTerminal.lines.filter((text) => Bun.stringWidth(text) > 60)).toEqual([])
  })

  test('asks before it mails many, and refuses what makes no sense', async () => {
    await addUser()
    expect(await run('users invite --without-password --all')).toMatchObject({ status: 2, stdout: '' })
    const typed = [[/Email \d+ users? without/, '\r']] as const
    expect(
      (await instance.shell.inTerminal('ch202 users invite --without-password --all', { typed }).ended).status,
    ).toBe(1)
    for (const line of ['', '--all', '--without-password', 'a@example.org --all', '--without-password --all --role A'])
      expect([line, (await run(`users invite ${line}`)).status]).toEqual([line, 2])
  })
})

test('mail send-test: without a mail server, it names the file', async () => {
  const without = await openInstance('mail-files')
  try {
    const to = newEmail()
    const { status, stderr } = await without.shell.run(`ch202 mail send-test ${to}`)
    const file = /Written to (\S+\.eml)/.exec(stderr)?.[1] ?? ''
    expect([status, readFileSync(file, 'utf8').includes(`To: ${to}\n`)]).toEqual([0, true])
  } finally {
    await without.close()
  }
})
