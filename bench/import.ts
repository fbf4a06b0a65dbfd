import { PASSWORD } from '../tests/support/actors.ts'
import { call } from '../tests/support/http.ts'
import { operator } from './ch202.ts'

/** Bytes of a body of `POST /users/import`. */
const BODY_MAX = 1024 * 1024
/** Import requests at the same time. */
const CONCURRENCY = 2
/** The hash of `PASSWORD` at the default cost, so that imported users can log in. */
const HASH = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 10 })

/** A line of an import: one user. */
interface Line {
  email: string
  username: string
  name: string
  password_hash: string
}

/** The number and the name of the user whose name has letters that no other name has. */
export const RARE = { n: 7, name: 'Žofie Ťáková' }

/** The line of user number `n`. Every field is unique, except the hash. */
export function lineOf(n: number): Line {
  const hash = Bun.hash(String(n)).toString(36).padStart(13, '0')
  return {
    email: `${hash.slice(0, 7)}.${n}@example.org`,
    username: `u${n}.${hash.slice(7)}`,
    name: n === RARE.n ? RARE.name : `Ana ${hash} de Vries`,
    password_hash: HASH,
  }
}

/** Bodies of just under 1 MiB, with their numbers of lines. */
function* bodies(from: number, to: number): Generator<{ body: string; lines: number }> {
  let text: string[] = []
  let size = 0
  for (let n = from; n < to; n++) {
    const line = `${JSON.stringify(lineOf(n))}\n`
    if (size + line.length > BODY_MAX) {
      yield { body: text.join(''), lines: text.length }
      text = []
      size = 0
    }
    text.push(line)
    size += line.length
  }
  yield { body: text.join(''), lines: text.length }
}

/** Imports `count` users, from number `from` on, by `POST /users/import`. */
export async function importUsers(url: string, count: number, from = 0): Promise<void> {
  const remaining = bodies(from, from + count)
  const worker = async () => {
    for (const { body, lines } of remaining) {
      const answer = await fetch(`${url}/api/v1/users/import?on_conflict=skip`, {
        method: 'POST',
        headers: { ...operator, 'content-type': 'application/x-ndjson' },
        body,
      })
      const created = (await answer.text()).split('"status":"created"').length - 1
      if (created !== lines) throw new Error(`${created} of ${lines} were created: ${answer.status}`)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
}

/** Waits until users has delivered all its notices to auth. */
export async function waitForAuth(url: string): Promise<void> {
  for (;;) {
    const { text } = await call(url, 'GET /metrics', { headers: operator })
    if (!/^ch202_outbox_waiting\{service="users"[^}]*\} [1-9]/m.test(text)) return
    await Bun.sleep(500)
  }
}
