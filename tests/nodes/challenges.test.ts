import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { type Prepared, PURPOSES, proofOf, useMailed, wrongCode } from '../support/challenge-purposes.ts'
import { requested } from '../support/challenges.ts'
import { all, askEach } from '../support/each-service.ts'
import { expectProblem } from '../support/expectations.ts'
import { type Answer, as, call } from '../support/http.ts'
import { type AuthNodes, startAuthNodes } from './auth-processes.ts'

// Checks 41, 43 and 52: codes and links over three nodes of auth on one database.

setDefaultTimeout(300_000)
const NODES = 3
const ATTEMPTS = 50
const ALL = Object.entries(PURPOSES)

let nodes: AuthNodes
beforeAll(async () => {
  nodes = await startAuthNodes(NODES, { env: { EMAIL_LOGIN: 'on', DEVICE_TRUST: 'all' } })
})
afterAll(() => nodes?.stop())

/** The system as one node of auth serves it. */
const at = (node: number) => ({ url: nodes.urlsOf(node), dataDir: nodes.dataDir })
const authOf = (node: number) => nodes.urlsOf(node).auth

/** Sends requests to all nodes at once. @returns how many answers had each end */
async function endsOf(send: (node: number, n: number) => Promise<Answer>): Promise<Record<string, number>> {
  const answers = await Promise.all(Array.from({ length: ATTEMPTS }, (_, n) => send(n % NODES, n)))
  const counts: Record<string, number> = {}
  for (const { body, status } of answers) {
    const end = status < 300 ? 'success' : `${status} ${body.code}`
    counts[end] = (counts[end] ?? 0) + 1
  }
  return counts
}

describe.each(ALL)('check 52: %s, over three nodes', (_, { has, path, prepare, refusal }) => {
  const use = (mailed: Prepared, proof: Record<string, unknown>, node: number) =>
    useMailed(at(0), path, mailed, proof, authOf(node))

  test.each(has)('of 50 parallel uses of one %s, one succeeds', async (by) => {
    for (let node = 0; node < NODES; node++) {
      const mailed = await prepare(at(node))
      const ends = await endsOf((to) => use(mailed, proofOf(mailed, by), to))
      expect([node, ends]).toEqual([node, { success: 1, [`400 ${refusal}`]: ATTEMPTS - 1 }])
    }
  })

  if (has.includes('code'))
    test('tries are counted over all nodes', async () => {
      const mailed = await prepare(at(1))
      const { challenge_id, code } = mailed
      for (let n = 1; n <= 4; n++)
        expectProblem(await use(mailed, { challenge_id, code: wrongCode(code, n) }, n % NODES), 401, 'invalid_code')
      const ends = await endsOf((to, n) => use(mailed, { challenge_id, code: wrongCode(code, n + 5) }, to))
      expect(ends).toEqual({ '401 invalid_code': 1, '400 invalid_challenge': ATTEMPTS - 1 })
      for (let node = 0; node < NODES; node++)
        expectProblem(await use(mailed, { challenge_id, code }, node), 400, 'invalid_challenge')
    })
})

test('check 43: what an owner proves at one node ends everything at all of them', async () => {
  for (let node = 0; node < NODES; node++) {
    const email = newEmail()
    const body = { email, password: PASSWORD }
    const { body: user } = await call(authOf(node), 'POST /api/v1/auth/register', { body })
    const { body: second } = await logIn({ url: nodes.urlsOf(node + 1) }, email)
    const headers = as.bearer(user.tokens.access_token)
    const change = await requested(at(node), 'email-change-request', { new_email: newEmail() }, headers)
    const { token } = await requested(at(node + 2), 'email-code-request', { email })
    const confirm = { headers, body: { token: change.token } }
    const [owner, ...others] = await Promise.all([
      call(authOf(node + 1), 'POST /api/v1/auth/email-code-login', { body: { token } }),
      ...Array.from({ length: 12 }, (_, n) => Bun.sleep(n * 5).then(() => logIn({ url: nodes.urlsOf(n) }, email))),
    ])
    expect(owner.status).toBe(200)
    const tokens = [user.tokens, second, ...others.filter(({ status }) => status === 200).map((answer) => answer.body)]
    for (const { access_token, refresh_token } of tokens)
      for (let to = 0; to < NODES; to++) {
        expect(await askEach({ url: nodes.urlsOf(to) }, access_token)).toEqual(all('token_revoked'))
        const refreshed = await call(authOf(to), 'POST /api/v1/auth/refresh', { body: { refresh_token } })
        expectProblem(refreshed, 401, 'invalid_refresh_token')
      }
    for (let to = 0; to < NODES; to++) {
      expectProblem(await logIn({ url: nodes.urlsOf(to) }, email), 401, 'invalid_credentials')
      const late = await call(authOf(to), 'POST /api/v1/auth/email-change-confirm', confirm)
      expectProblem(late, 401, 'token_revoked')
      const me = await call(authOf(to), 'GET /api/v1/auth/me', { headers: as.bearer(owner.body.access_token) })
      expect([me.status, me.body.email, me.body.email_verified]).toEqual([200, email, true])
    }
  }
})

describe('contract 17: limits of mails', () => {
  let limited: AuthNodes
  beforeAll(async () => {
    limited = await startAuthNodes(NODES, { env: { EMAIL_LOGIN: 'on', RATE_LIMIT: 'on' } })
  })
  afterAll(() => limited?.stop())

  test.each(['email-code-request', 'email-verification-request'])(
    '%s: an address gets three in a quarter of an hour, from all nodes, also of requests at once',
    async (path) => {
      const { users } = limited.urlsOf(0)
      const user = { email: newEmail(), password: PASSWORD }
      await call(users, 'POST /api/v1/users', { headers: as.operator, body: user })
      for (const email of [user.email, newEmail()]) {
        const answers = await Promise.all(
          Array.from({ length: 15 }, (_, n) =>
            call(limited.urlsOf(n).auth, `POST /api/v1/auth/${path}`, { body: { email } }),
          ),
        )
        expect(answers.map(({ status }) => status).toSorted()).toEqual([...Array(3).fill(202), ...Array(12).fill(429)])
      }
    },
  )
})
