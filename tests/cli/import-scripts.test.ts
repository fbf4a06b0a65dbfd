import { describe, expect, test } from 'bun:test'
import { FakeUsers } from '../fixtures/fake-users.ts'
import { formatWords, importing, summaryOf } from '../fixtures/importing.ts'
import { type Person, WRITTEN } from '../fixtures/written.ts'
import { runTool } from '../support/tool.ts'
import { sliced } from '../support/whole.ts'

const here = importing('import-scripts')
const MANY = 2160
const NAME_MAX = 200
const REQUEST_MAX = 1024 * 1024

/** A name, a role and a username of each script; the accents of the first two are letters of their own (NFD). */
const SCRIPTS = [
  { script: 'Cyrillic', name: 'Йосип Ёлкин ', role: 'редактор', username: 'ёлкин' },
  { script: 'Greek', name: 'Ελένη Παπαδοπούλου ', role: 'συντάκτης', username: 'ελένη' },
  { script: 'Arabic', name: 'فاطمة الزهراء ', role: 'محرر', username: 'فاطمة' },
  { script: 'CJK', name: '李小龍、さくら・김민준 ', role: '編集者', username: '李小龍' },
  { script: 'Devanagari', name: 'क्षितिज श्रीवास्तव ', role: 'संपादक', username: 'क्षितिज' },
  { script: 'emoji', name: '👩‍👩‍👧‍👦 🏳️‍🌈 🐴 ', role: '🛠️', username: '🐴🐴🐴' },
]

/** 200 characters of a script, however many units and bytes they are. */
const nameOf = (n: number) => {
  const { name } = SCRIPTS[n % SCRIPTS.length] as (typeof SCRIPTS)[number]
  const number = `${n} `
  const composed = (number + name.repeat(NAME_MAX)).normalize('NFC')
  return `${[...composed].slice(0, NAME_MAX - 1).join('')}.`
}
const peopleOf = (domain: string): Person[] =>
  Array.from({ length: MANY }, (_, n) => {
    const { role, username } = SCRIPTS[n % SCRIPTS.length] as (typeof SCRIPTS)[number]
    return {
      email: `p${n}@${domain}`,
      name: nameOf(n).normalize(n % 12 < 6 ? 'NFD' : 'NFC'),
      username: `${username}${n}`,
      roles: [role, 'staff'],
      hash: `$2b$04$${'a'.repeat(53)}`,
    }
  })
const skippedRoles = SCRIPTS.map(({ role }) => [role, MANY / SCRIPTS.length] as const)
const skippedRolesIn = (stdout: string) =>
  JSON.parse(stdout).roles_left_out.map(({ role, users }: { role: string; users: number }) => [role, users])

describe(`${MANY} users of six scripts, with names of ${NAME_MAX} characters`, () => {
  test.each(sliced(Object.keys(WRITTEN), 2))(
    '%s: each user is sent once, in as few requests as possible',
    async (format) => {
      const fake = new FakeUsers()
      await fake.start()
      try {
        const env = { CH202_URL: fake.url, OPERATOR_API_KEY: 'key', XDG_STATE_HOME: here.folder }
        const isOwnFormat = format === 'jsonl' || format === 'csv'
        // Usernames in other scripts are invalid here: JSONL and CSV files must not have them.
        const people = peopleOf('scripts.example.org').map(({ username, ...person }) =>
          isOwnFormat ? person : { ...person, username: username ?? '' },
        )
        const path = here.file(WRITTEN[format]?.(people) ?? '')
        const words = ['users', 'import', path, ...formatWords(format), '-o', 'json']
        const dry = await runTool([...words, '--dry-run'], { env })
        expect([dry.status, JSON.parse(dry.stdout).ready, skippedRolesIn(dry.stdout)]).toEqual([0, MANY, skippedRoles])
        const done = await runTool(words, { env })
        expect(summaryOf(done.stdout)).toMatchObject({ created: MANY, failed: 0, total: MANY })
        // An import that takes seconds prints its progress too.
        const withoutProgress = (text: string) => text.replace(/^[\d,]+ records \(.*\n/gm, '')
        expect([skippedRolesIn(done.stdout), withoutProgress(done.stderr)]).toEqual([
          skippedRoles,
          withoutProgress(dry.stderr),
        ])
        const state = fake.state()
        expect(state.map(({ name }) => name)).toEqual(Array.from({ length: MANY }, (_, n) => nameOf(n)))
        expect(new Set(state.map(({ roles }) => String(roles)))).toEqual(
          new Set([isOwnFormat ? 'STAFF' : 'USER,STAFF']),
        )
        if (format !== 'firebase' && !isOwnFormat)
          expect(done.stderr).toContain(`Invalid usernames left out: ${MANY.toLocaleString('en-US')}`)
        // Counted, not timed.
        const bytes = state.reduce((sum, line) => sum + Buffer.byteLength(JSON.stringify(line)) + 64, 0)
        expect(fake.requests).toBeLessThanOrEqual(Math.ceil(bytes / REQUEST_MAX) + 1)
        expect(fake.lines).toBe(MANY)
      } finally {
        fake.stop()
      }
    },
  )

  test('are exported unchanged, also into another format', async () => {
    const domain = 'real.example.org'
    const path = here.file(WRITTEN.django?.(peopleOf(domain)) ?? '')
    const done = await here.users(['import', path, '--format', 'django', '-o', 'json'])
    expect(summaryOf(done.stdout)).toMatchObject({ created: MANY, failed: 0 })
    const names = (stdout: string) =>
      new Map(
        stdout
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line))
          .filter(({ email }) => email.endsWith(domain))
          .map(({ email, name }) => [email, name]),
      )
    const exported = await here.users(['export'])
    const expected = new Map(Array.from({ length: MANY }, (_, n) => [`p${n}@${domain}`, nameOf(n)]))
    expect(names(exported.stdout)).toEqual(expected)
    const csv = await here.users(['export', '--format', 'csv', '--with-hashes'])
    const again = await here.users(
      ['import', '-', '--format', 'csv', '--on-conflict', 'update', '-o', 'json'],
      csv.stdout,
    )
    expect(summaryOf(again.stdout)).toMatchObject({ unchanged: MANY, failed: 0 })
  })
})
