import { describe, expect, test } from 'bun:test'
import { formatWords, importing, summaryOf } from '../fixtures/importing.ts'
import { type Person, WRITTEN } from '../fixtures/written.ts'
import { logIn } from '../support/actors.ts'

const here = importing('import-repairs')
const FORMATS = Object.keys(WRITTEN)
const FAMILY = '👩‍👩‍👧‍👦'
const CONTROLS = 'Control characters in a name replaced by spaces'
const CUT = 'Names shortened'
const BLANKS = 'Spaces around an email or another field removed'

/** A name, the imported name, and the repairs that are reported. */
const NAMES: [what: string, name: string, expected: string, said: string[]][] = [
  ['a tab', 'Ana\tLima', 'Ana Lima', [CONTROLS]],
  ['a line break', 'Ana\r\nLima\n', 'Ana Lima', [CONTROLS]],
  ['NUL, DEL and a line separator', 'Ana\u0000Lima\u007fÖz\u2028', 'Ana Lima Öz', [CONTROLS]],
  ['210 letters', 'x'.repeat(210), 'x'.repeat(200), [CUT]],
  ['200 letters of other scripts', 'Ж李ع'.repeat(70).slice(0, 200), 'Ж李ع'.repeat(70).slice(0, 200), []],
  ['210 letters of two units', '𝔸'.repeat(210), '𝔸'.repeat(200), [CUT]],
  ['a cut through a character of several code points', 'x'.repeat(196) + FAMILY.repeat(3), 'x'.repeat(196), [CUT]],
  ['a cut through a letter and its mark', `${'x'.repeat(199)}क्षि and more`, 'x'.repeat(199), [CUT]],
  ['a cut after a blank', `${'x'.repeat(199)} ${'y'.repeat(20)}`, 'x'.repeat(199), [CUT]],
  ['400 letters and marks that are 200 letters', 'e\u0301'.repeat(200), 'é'.repeat(200), []],
  ['a tab and 210 letters', `\t${'я'.repeat(210)}`, 'я'.repeat(200), [CONTROLS, CUT]],
]

let tags = 0
const fresh = () => `r${tags++}.repairs.example.org`
const saidIn = (stderr: string) => [CONTROLS, CUT, BLANKS].filter((what) => stderr.includes(`! ${what}: `))

/** Imports people after a dry run, which reports the same; each is created. */
async function imported(format: string, people: Person[]) {
  const path = here.file(WRITTEN[format]?.(people) ?? '')
  const words = ['import', path, ...formatWords(format), '-o', 'json']
  const dry = await here.users([...words, '--dry-run'])
  expect([dry.status, dry.stdout.includes(`"ready":${people.length},`)]).toEqual([0, true])
  const done = await here.users(words)
  expect(summaryOf(done.stdout)).toMatchObject({ created: people.length, failed: 0 })
  expect(done.stderr).toBe(dry.stderr)
  return done.stderr
}

test('a dry run refuses what an import refuses, in the same words', async () => {
  const people = [
    { email: `one@${fresh()}` },
    { email: 'no email', password: 'short' },
    { email: `two@${fresh()}`, password: '' },
    { email: `three@${fresh()}`, password: 'short' },
    { email: `four@${fresh()}`, password: 'пароль123' },
    { email: `five@${fresh()}`, password: `five@${fresh()}`, name: 'half a pair: \ud83d' },
    { email: `six@${fresh()}`, username: 'sixth of them', password: 'sixth of them' },
    { email: `seven@${fresh()}`, password_hash: 'md5$salt$5f4dcc3b5aa765d61d8327deb882cf99' },
    { email: `eight@${fresh()}`, password_hash: '$2b$05$short', password: 'correct horse battery' },
    { email: `nine@${fresh()}`, nickname: 'nine' },
    { email: `ten@${fresh()}`, password: 'ten@repairs', roles: ['a', 1] },
  ]
  const path = here.file(people.map((one) => JSON.stringify(one)).join('\n'), 'jsonl')
  const dry = await here.users(['import', path, '-o', 'json', '--dry-run'])
  expect(JSON.parse(dry.stdout)).toMatchObject({ ready: 1, failed: people.length - 1 })
  const done = await here.users(['import', path, '-o', 'json'])
  expect(summaryOf(done.stdout)).toMatchObject({ created: 1, failed: people.length - 1 })
  expect(dry.stderr).toBe(done.stderr)
})

describe('R10: an import repairs and reports', () => {
  for (const format of FORMATS) {
    test.each(NAMES)(`${format}: a name with %s`, async (_, name, expected, repairs) => {
      const email = `a@${fresh()}`
      expect(saidIn(await imported(format, [{ email, name }]))).toEqual(repairs)
      expect((await here.read(email)).name).toBe(expected)
    })

    test(`${format}: blanks around an email and a username`, async () => {
      const domain = fresh()
      const n = Bun.randomUUIDv7().slice(-12)
      const people = [
        { email: ` a@${domain}\t`, username: `  a-${n} ` },
        { email: `\u00a0b@${domain}\r\n`, username: `b-${n}\t` },
        { email: `c@${domain}`, username: `c-${n}` },
      ]
      const stderr = await imported(format, people)
      expect(stderr).toContain(`! ${BLANKS}: 2 `)
      for (const who of ['a', 'b', 'c'])
        expect(await here.read(`${who}@${domain}`)).toMatchObject({
          email: `${who}@${domain}`,
          username: format === 'firebase' ? null : `${who}-${n}`,
        })
    })
  }

  test('jsonl: NUL in metadata', async () => {
    const email = `a@${fresh()}`
    const path = here.file(JSON.stringify({ email, metadata: { city: 'Ri\0o', tags: ['a\0'] } }), 'jsonl')
    const { stderr } = await here.users(['import', path])
    expect(stderr).toContain('! NUL characters in metadata replaced by spaces: 1 ')
    expect((await here.read(email)).metadata).toEqual({ city: 'Ri o', tags: ['a '] })
  })

  test('each user once in the counts', async () => {
    const domain = fresh()
    const stderr = await imported('jsonl', [
      { email: ` a@${domain}`, name: 'a\tb\tc', username: ` a.${domain.slice(0, 5)} ` },
      { email: `b@${domain} `, name: 'a\tb' },
    ])
    expect(stderr).toContain(`! ${CONTROLS}: 2 `)
    expect(stderr).toContain(`! ${BLANKS}: 2 `)
  })

  test.each(['jsonl', 'csv'])('%s: blanks around every other field except passwords', async (format) => {
    const domain = fresh()
    const hash = await Bun.password.hash('correct horse battery', { algorithm: 'bcrypt', cost: 4 })
    const id = Bun.randomUUIDv7()
    const rows: Partial<Record<string, string>>[] = [
      {
        id: ` ${id} `,
        email: `a@${domain}`,
        status: ' Disabled',
        created_at: ' 2024-05-01T09:30:00Z ',
        password_hash: `${hash}\n`,
      },
      { email: `b@${domain}`, password: '  two blanks ', status: ' active ' },
    ]
    const names = ['id', 'email', 'status', 'created_at', 'password_hash', 'password'] as const
    const cells = (row: Partial<Record<string, string>>) =>
      names.map((name) => (row[name] === undefined ? '' : `"${row[name]}"`))
    const text =
      format === 'jsonl'
        ? rows.map((row) => JSON.stringify(row)).join('\n')
        : [names.join(','), ...rows.map((row) => cells(row).join(','))].join('\n')
    const done = await here.users(['import', here.file(text), '--format', format, '-o', 'json'])
    expect(summaryOf(done.stdout)).toMatchObject({ created: 2 })
    expect(await here.read(`a@${domain}`)).toMatchObject({
      id,
      status: 'disabled',
      created_at: '2024-05-01T09:30:00.000Z',
    })
    expect((await logIn(here.system, `a@${domain}`)).body.code).toBe('account_disabled')
    expect((await logIn(here.system, `b@${domain}`, '  two blanks ')).status).toBe(200)
    expect((await logIn(here.system, `b@${domain}`, 'two blanks')).status).toBe(401)
  })

  test('null for a missing value', async () => {
    const email = `a@${fresh()}`
    const line = { email, username: null, name: null, password: null, password_hash: null }
    const done = await here.users(['import', '-', '--format', 'jsonl', '-o', 'json'], JSON.stringify(line))
    expect(summaryOf(done.stdout)).toMatchObject({ created: 1 })
  })

  test('no record that cannot be repaired: it fails', async () => {
    const domain = fresh()
    const rows = [`a\tb@${domain}`, `a b@${domain}`, `${'x'.repeat(250)}@${domain}`]
    const text = rows.map((email) => JSON.stringify({ email })).join('\n')
    for (const words of [['--dry-run'], []]) {
      const done = await here.users(['import', '-', '--format', 'jsonl', ...words], text)
      expect([done.status, done.stderr.match(/validation_failed/g)?.length]).toEqual([1, 3])
    }
  })
})
