import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { PASSWORD } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { openInstance } from '../support/shell.ts'
import { sliced } from '../support/whole.ts'

setDefaultTimeout(120_000)

const FAMILY = '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}'
const USERS = [
  { email: 'ana@example.org', username: 'ana', name: 'Ana Lima', roles: ['USER', 'ADMIN'] },
  { email: 'boris@a-rather-long-name-of-a-company.example.org', username: 'boris', name: 'Борис Константинопольский' },
  { email: 'hanako@example.jp', username: 'hanako', name: '山田花子山田花子山田花子山田花子' },
  {
    email: 'zoe@example.org',
    name: `Zoe\u0308 ${FAMILY}${FAMILY}${FAMILY}${FAMILY}${FAMILY}${FAMILY}${FAMILY}${FAMILY}`,
  },
  { email: 'off@example.org', username: 'off' },
]
const AGENTS = ['curl/8.5.0', `Mozilla/5.0 ${'x'.repeat(120)}`]
const AGO = /\d+[smhd] ago/

let instance: Awaited<ReturnType<typeof openInstance>>
beforeAll(async () => {
  instance = await openInstance('tables')
  const { url } = instance.system
  const operator = (request: string, body: object) => call(url.auth, request, { headers: as.operator, body })
  for (const user of USERS) expect((await operator('POST /users', { ...user, password: PASSWORD })).status).toBe(201)
  for (const agent of AGENTS)
    await call(url.auth, 'POST /api/v1/auth/login', {
      headers: { 'user-agent': agent },
      body: { login: 'ana', password: PASSWORD },
    })
  await call(url.auth, 'POST /api/v1/auth/login', { body: { login: 'boris', password: PASSWORD } })
  await operator('POST /modules', { id: 'billing', name: 'Billing', description: 'Invoices' })
  await operator('POST /modules', {
    id: 'reports-of-a-name-that-is-long',
    name: 'Reports, all of them',
    description: 'd',
  })
  await operator('POST /admin/webhooks', { url: 'https://hooks.example.org/a/path/that/is/long' })
  await operator('POST /admin/clients', { name: 'reports', scopes: ['users:read', 'sessions:read', 'modules:read'] })
  await operator('POST /admin/clients', {
    name: 'The shop with a rather long name',
    redirect_uris: ['https://shop.example.org/a/path/that/is/long', 'https://shop.example.org/callback'],
  })
  await operator('POST /admin/keys/rotate', {})
  for (const { email } of USERS) await operator('POST /admin/mails/test', { to: email, kind: 'email_verification' })
})
afterAll(() => instance?.close())

const run = (line: string) => instance.shell.run(line)
const onScreen = async (line: string, cols: number) => {
  const { screen, status } = await instance.shell.inTerminal(line, { cols, env: { NO_COLOR: '1' } }).ended
  // The sequence that clears a progress bar.
  const lines = screen.replaceAll('\x1b[2K', '').replaceAll('\r', '').trimEnd().split('\n')
  return { status, lines, text: lines.join('\n') }
}
const idOf = async (ref: string) => (await run(`ch202 users get ${ref} -o ids`)).stdout.trim()

describe('S7: a table fits a terminal', () => {
  const LISTS = [
    ...['users list', 'users list --limit 2', 'users list --all', 'users list --sort -email', 'sessions list'],
    ...['sessions list --user ana', 'audit list', 'audit list --all', 'cache list', 'modules list', 'keys list'],
    ...['modules list --user ana', 'webhooks list', 'health', 'ps', 'config show', 'config show --origin', 'doctor'],
    ...['migrate --plan', 'context list', 'audit explain ana', 'audit explain boris', 'status', 'mail list'],
    ...['clients list', 'clients get reports'],
  ]
  const rows = sliced(
    [60, 200].flatMap((cols) => LISTS.map((line) => [cols, line] as const)),
    5,
  )
  test.concurrent.each(rows)('%d columns wide: ch202 %s', async (cols, line) => {
    const { lines } = await onScreen(`ch202 ${line}`, cols)
    expect(lines.length).toBeGreaterThan(1)
    // Commands are printed on one line to be copied; a word longer than its column, such as a path, is not split.
    const wide = lines.filter((text) => Bun.stringWidth(text) > cols && !text.includes('→ ') && !/ \S{27,}$/.test(text))
    expect(wide).toEqual([])
  })

  test('60 columns wide: config show --origin has the origins', async () => {
    const { lines } = await onScreen('ch202 config show --origin', 60)
    expect(lines[0]).toMatch(/^NAME +VALUE +ORIGIN$/)
  })

  test('60 columns wide: the descriptions in the help are wrapped', async () => {
    const { text } = await onScreen('ch202 doctor --help', 60)
    expect(text).toMatch(/\n +--only <ids> +only these checks, separated by\n +commas;/)
  })

  test('60 columns wide: users have a name, and ids that differ', async () => {
    const { lines } = await onScreen('ch202 users list', 60)
    const [header = '', ...users] = lines
    expect(header).toMatch(/^ID +EMAIL +NAME/)
    const ids = (await run('ch202 users list -o ids')).stdout.trim().split('\n')
    expect(users.slice(0, 5).map((line) => line.split(' ')[0])).toEqual(ids.map((id) => `…${id.slice(-8)}`))
    expect(users[0]).toContain('Ana Lima')
    expect(lines.at(-1)).toBe('→ --wide shows every column')
    // Each name begins at the column of its header, whatever characters precede it.
    const at = header.indexOf('NAME')
    for (const [index, name] of ['Ana', 'Борис', '山田'].entries())
      expect(Bun.stringWidth((users[index] ?? '').split(name)[0] ?? '')).toBe(at)
    // A character of several code points is shown completely or not at all.
    expect(users[3]?.replaceAll(FAMILY, '')).not.toMatch(/[\u{1f468}\u{1f469}\u{1f467}]/u)
  })

  test('60 columns wide: users of one import, whose ids end alike, have ids that differ, and names', async () => {
    const lines = Array.from({ length: 70 }, (_, n) =>
      JSON.stringify({ email: `p${n}@imported.test`, name: `Person ${n} of the import` }),
    )
    await instance.shell.run('ch202 users import - --format jsonl', { stdin: lines.join('\n') })
    try {
      for (const limit of [4, 70]) {
        const output = await onScreen(`ch202 users list --search imported.test --limit ${limit}`, 60)
        expect(output.lines[0]).toMatch(/^ID +EMAIL +NAME/)
        const ids = output.lines.filter((line) => line.startsWith('…')).map((line) => line.split(' ')[0])
        expect([ids.length, new Set(ids).size]).toEqual([limit, limit])
      }
    } finally {
      const ids = (await run('ch202 users list --search imported.test --all -o ids')).stdout
      await instance.shell.run('ch202 users delete - --yes', { stdin: ids })
    }
  })

  test('60 columns wide: sessions have an age, and a user if the users differ', async () => {
    const mine = await onScreen('ch202 sessions list --user ana', 60)
    expect(mine.lines[0]).toMatch(/^ID +CREATED +LAST USED +EXPIRES/)
    expect(mine.lines[0]).not.toContain('USER ID')
    for (const line of mine.lines.slice(1, 3)) expect(line).toMatch(/^…[0-9a-f]{8} +\d+s ago +\d+s ago +in \d+d/)
    const all = await onScreen('ch202 sessions list', 60)
    expect(all.lines[0]).toMatch(/^ID +USER ID/)
    expect(all.text).toContain(`…${(await idOf('boris')).slice(-8)}`)
  })

  test('columns with the same value in every row are omitted, others are shown', async () => {
    const alike = await onScreen('ch202 users list --search example.org', 200)
    expect(alike.lines[0]).not.toContain('STATUS')
    expect(alike.lines[0]).toContain('ROLES')
    await run('ch202 users disable off')
    const mixed = await onScreen('ch202 users list --search example.org', 200)
    expect(mixed.lines[0]).toContain('STATUS')
    expect(mixed.text).toContain('disabled')
    await run('ch202 users enable off')
    // A single row has all columns.
    const one = await onScreen('ch202 users list --search zoe', 200)
    expect(one.lines[0]).toMatch(/^ID +EMAIL +NAME +USERNAME +ROLES +STATUS +CREATED AT$/)
    // The status is shown even if it is the same in every row.
    expect((await onScreen('ch202 health', 60)).lines[0]).toContain('STATUS')
    expect((await onScreen('ch202 ps', 60)).lines[0]).toContain('STATE')
    expect((await onScreen('ch202 modules list --user ana', 100)).lines[0]).toContain('ENABLED')
  })

  test('ids and times are complete on a wide terminal and with --wide', async () => {
    const id = await idOf('boris')
    const wholeRow = new RegExp(`^${id} .* \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\dZ$`, 'm')
    const wide = await onScreen('ch202 users list --wide', 60)
    expect(wide.lines[0]).toMatch(/^ID +EMAIL +NAME +USERNAME +ROLES +STATUS +CREATED AT$/)
    expect(wide.text).toMatch(wholeRow)
    expect(wide.text).not.toContain('…')
    const roomy = await onScreen('ch202 users list --search boris', 240)
    expect(roomy.text).toMatch(wholeRow)
    expect(roomy.text).not.toMatch(AGO)
  })

  test('all fields of --fields are shown', async () => {
    const fields = 'id,email,username,name,roles,status,created_at'
    const { lines } = await onScreen(`ch202 users list --fields ${fields}`, 90)
    expect(lines[0]).toMatch(/^ID .*EMAIL .*USERNAME .*NAME .*ROLES .*STATUS .*CREATED$/)
    for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(90)
    const alike = await onScreen('ch202 users list --search example.org --fields email,status', 60)
    expect(alike.lines[0]).toMatch(/^EMAIL +STATUS$/)
  })

  test('a pipe gets all columns, whatever the width of the terminal', async () => {
    const { stdout } = await run('COLUMNS=60 ch202 users list --search lima')
    expect(stdout).toBe(
      `${await idOf('ana')}  ana@example.org  Ana Lima  ana  USER,ADMIN  active  ${/\S+Z/.exec(stdout)}\n`,
    )
    expect((await run('ch202 sessions list --user ana')).stdout.split(await idOf('ana')).length).toBe(3)
  })

  test('an incomplete list says so below it', async () => {
    const { text } = await onScreen('ch202 users list --limit 2', 60)
    expect(text).toMatch(/^2 of 5\n→ ch202 users list --limit 2 --cursor \S+$/m)
  })

  test('sentences are wrapped between words', async () => {
    const { items } = JSON.parse((await run('ch202 doctor --only settings,db.auth -o json')).stdout)
    const { lines } = await onScreen('ch202 doctor --only settings,db.auth', 60)
    const messages = lines.map((line) => line.replace(/^(ok|warning|failed|skipped) +\S+/, '').trim())
    expect(messages.join(' ')).toBe(items.map(({ message }: { message: string }) => message).join(' '))
    expect(lines.length).toBeGreaterThan(items.length)
  })
})

describe('S7: the end of an id', () => {
  const ENDS: [line: string, list: string][] = [
    ['users get …0123abcd', 'users list'],
    ['users disable …0123abcd', 'users list'],
    ['users get ...0123abcd', 'users list'],
    ['sessions list --user …0123abcd', 'users list'],
    ['sessions revoke …0123abcd', 'sessions list'],
    ['sessions revoke --dry-run …0123abcd', 'sessions list'],
    ['keys remove …0123abcd --yes', 'keys list'],
    ['webhooks delete …0123abcd --yes', 'webhooks list'],
    ['webhooks disable …0123abcd', 'webhooks list'],
    ['clients get …0123abcd', 'clients list'],
    ['clients rotate-secret …0123abcd', 'clients list'],
    ['clients delete …0123abcd --yes', 'clients list'],
  ]
  test.each(sliced(ENDS, 2))('names nothing, and says how to get the whole: ch202 %s', async (line, list) => {
    const { status, stdout, stderr } = await run(`ch202 ${line}`)
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(/0123abcd is a shortened id from a narrow table/)
    expect(stderr).toContain(`→ ch202 ${list} --wide`)
  })
})
