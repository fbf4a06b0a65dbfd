import { afterAll, beforeAll, expect, setDefaultTimeout } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { as, call, type System, startSystem } from '../harness.ts'
import { ch202, ROOT, temporary } from '../processes.ts'

/** An instance for all tests of a file, and the tool to import into it. */
export function importing(name: string) {
  setDefaultTimeout(60_000)
  const folder = temporary(name)
  let system: System
  beforeAll(async () => {
    system = await startSystem('one process', { RATE_LIMIT: 'off' })
  })
  afterAll(async () => {
    await system?.stop()
    folder.remove()
  })
  const env = () => ({
    CH202_URL: system.url.users,
    OPERATOR_API_KEY: as.operator['x-api-key'] ?? '',
    XDG_STATE_HOME: folder.path,
  })
  let files = 0
  const tool = (): Record<string, string> => ({ ...env(), AUTH_URL: system.url.auth, MODULES_URL: system.url.modules })
  return {
    folder: folder.path,
    env,
    /** For every command of the tool. */
    tool,
    get system() {
      return system
    },
    /** A file of its own. */
    file(text: string | Uint8Array, extension = 'txt') {
      const path = join(folder.path, `${files++}.${extension}`)
      writeFileSync(path, text)
      return path
    },
    users: (words: string[], stdin?: string) =>
      ch202(['users', ...words], { env: env(), ...(stdin === undefined ? {} : { stdin }) }),
    /** Of the user that has the email. */
    read: async (email: string) =>
      (
        await call(system.url.users, `GET /api/v1/users/by-email/${encodeURIComponent(email)}`, {
          headers: as.operator,
        })
      ).body,
  }
}

/** The words that a format needs beside its name. */
export function formatWords(format: string): string[] {
  const config = join(ROOT, 'tests', 'imports', 'firebase-hash-config.txt')
  return ['--format', format, ...(format === 'firebase' ? ['--hash-config', config] : [])]
}

/** The counts of a summary in JSON, without what differs from run to run. */
export function summaryOf(stdout: string) {
  const { duration_ms, ...counts } = JSON.parse(stdout)
  expect(duration_ms).toBeNumber()
  return counts
}
