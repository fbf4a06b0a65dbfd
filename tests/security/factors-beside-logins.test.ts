import { expect, test } from 'bun:test'
import { createUser, logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { appWith, enrolPasskey } from '../support/factors.ts'
import { as } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'
import { WHOLE } from '../support/whole.ts'

const VERIFIED = { email_verified: true }
const WRONG_LOGINS = WHOLE ? 64 : 32
const ROUNDS = WHOLE ? 4 : 2
const SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'

// Not of the speed of the machine: whatever it is, a request that waited behind the hashes would be answered after them.
// Hashes have a low priority: on a busy machine the last ones wait for minutes.
const here = running(inProcess, { BCRYPT_COST: '10', RATE_LIMIT: 'off', IDLE_TIMEOUT: '250s' })
const post = (path: string, body: object) => here.auth(`POST /auth/${path}`, { body })

/** A login that waits for the code of an app. */
async function waitingLogin() {
  const { email, id } = await createUser(here.system, VERIFIED)
  const path = `POST /admin/users/${id}/factors`
  const { body } = await here.auth(path, { headers: as.operator, body: { secret: SECRET } })
  const { challenge_id } = (await logIn(here.system, email)).body
  return { challenge_id, app: appWith({ id: body.id, secret: SECRET }) }
}

test('check 47: codes and passkeys do not wait behind the passwords that are hashed', async () => {
  const user = await createUser(here.system, VERIFIED)
  const passkey = await enrolPasskey(here.system, user.tokens.access_token)
  const waiting = await Promise.all(Array.from({ length: ROUNDS }, waitingLogin))
  // The first login with an unknown name waits until the decoy hash is computed.
  expectProblem(await logIn(here.system, newEmail(), PASSWORD), 401, 'invalid_credentials')

  let answered = 0
  const logins = Array.from({ length: WRONG_LOGINS }, async (_, n) => {
    const answer = await logIn(here.system, n % 2 ? user.email : newEmail(), 'a wrong password')
    answered++
    return answer
  })
  await eventually(() => answered > 0)
  const before = answered
  for (const { app, challenge_id } of waiting) {
    const byCode = await post('second-factor', { challenge_id, code: app.codeAt(Date.now()) })
    expect(byCode.status).toBe(200)
    const options = await post('passkeys/login-options', {})
    expect((await post('passkeys/login', { credential: passkey.get(options.body) })).status).toBe(200)
  }
  // All of these together took less time than half of the hashes.
  expect(answered - before).toBeLessThan(WRONG_LOGINS / 2)
  for (const answer of await Promise.all(logins)) expectProblem(answer, 401, 'invalid_credentials')
}, 600_000)
