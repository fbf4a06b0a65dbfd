import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SERVICE_NAMES } from '../../services/registry.ts'
import { PURPOSES, proofOf, useMailed, wrongCode } from '../support/challenge-purposes.ts'
import { as, call } from '../support/http.ts'
import { overProcesses } from '../support/processes.ts'
import { running } from '../support/running.ts'
import type { System } from '../support/system.ts'
import { Canaries, filesUnder } from './canaries.ts'

const SETTINGS = { RATE_LIMIT: 'off', EMAIL_LOGIN: 'on', DEVICE_TRUST: 'all' }
const ALL = Object.entries(PURPOSES)

describe('the secrets of codes and links, over processes', () => {
  const here = running(overProcesses('apart'), { ...SETTINGS, LOG_LEVEL: 'debug' })
  const opened: Database[] = []
  afterAll(() => {
    for (const file of opened) file.close()
  })

  test('check 41: no code and no token is in a database, a log or the audit, and no challenge_id in a log or the audit', async () => {
    const tokens = new Canaries()
    const ids = new Canaries()
    const codes: string[] = []
    const answers: string[] = []
    // One that is used, one that is not, and one with wrong codes.
    for (const [name, { has, path, prepare }] of ALL)
      for (const fate of ['used', 'left', 'wrong'] as const) {
        const mailed = await prepare(here.system)
        const { challenge_id, code, token } = mailed
        if (token !== '') tokens.add(`token of ${name}, ${fate}`, token)
        if (challenge_id !== undefined) ids.add(`challenge_id of ${name}, ${fate}`, challenge_id)
        if (code !== '') codes.push(code)
        const [by = 'token'] = has
        const use = (proof: Record<string, unknown>) => useMailed(here.system, path, mailed, proof)
        if (fate === 'used') answers.push((await use(proofOf(mailed, by))).text)
        if (fate === 'used') answers.push((await use(proofOf(mailed, by))).text)
        if (fate === 'wrong' && by === 'code')
          for (let n = 1; n < 7; n++) answers.push((await use({ challenge_id, code: wrongCode(code, n) })).text)
        // A token where it does not belong.
        const url = `/api/v1/auth/${path}?${new URLSearchParams(proofOf(mailed, by) as Record<string, string>)}`
        answers.push((await call(here.system.url.auth, `GET ${url}`)).text)
        answers.push((await use({ ...proofOf(mailed, by), email: token, challenge_id: [code] })).text)
      }
    expect(codes.length).toBe(12)
    // Everything that can be read: files, output, and what operators see.
    const audit = await pagesOf('/api/v1/admin/audit')
    const logs = here.system.output() + logFiles(here.system)
    const rows = rowsOf(here.system)
    for (const service of SERVICE_NAMES) await here.system.terminate(service)
    const files = filesUnder(here.system.dataDir).filter((path) => !path.includes('/mail/'))
    expect(files.some((path) => path.endsWith('auth.sqlite'))).toBe(true)
    expect(files.flatMap((path) => tokens.in(readFileSync(path)))).toEqual([])
    for (const text of [audit, logs, answers.join('\n'), JSON.stringify(rows.audit)])
      expect([...tokens.in(text), ...ids.in(text)]).toEqual([])
    const isMentioned = (text: string) => codes.filter((code) => new RegExp(`(?<![\\w.-])${code}(?![\\w-])`).test(text))
    for (const text of [audit, logs, answers.join('\n'), JSON.stringify(rows)]) expect(isMentioned(text)).toEqual([])
    // The check finds what is there: the ids of challenges are in their table.
    expect(ids.in(JSON.stringify(rows.challenges)).length).toBeGreaterThan(0)
    expect(logs).toContain('/auth/email-code-login')
  }, 300_000)

  async function pagesOf(path: string): Promise<string> {
    let all = ''
    let cursor: string | null = ''
    while (cursor !== null) {
      const query: string = cursor === '' ? '' : `&cursor=${cursor}`
      const answer = await call(here.system.url.auth, `GET ${path}?size=200${query}`, { headers: as.operator })
      all += answer.text
      cursor = answer.body.next_cursor
    }
    return all
  }

  /** All rows of auth and users, by table. */
  function rowsOf({ dataDir }: System): Record<string, unknown[]> {
    const all: Record<string, unknown[]> = {}
    for (const service of ['auth', 'users']) {
      const file = new Database(join(dataDir, `${service}.sqlite`), { readonly: true })
      opened.push(file)
      const tables = file.query("SELECT name FROM sqlite_master WHERE type = 'table'").values().flat() as string[]
      for (const table of tables)
        all[table] = [...(all[table] ?? []), ...file.query(`SELECT * FROM "${table}"`).values()]
    }
    return all
  }
})

function logFiles({ dataDir }: System): string {
  return readdirSync(dataDir)
    .filter((name) => name.endsWith('.log'))
    .map((name) => readFileSync(join(dataDir, name), 'utf8'))
    .join('')
}
