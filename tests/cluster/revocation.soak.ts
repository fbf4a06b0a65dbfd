import { describe, expect, test } from 'bun:test'
import { logIn, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { atOnce } from '../support/at-once.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { type Answer, as, call } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { running } from '../support/running.ts'
import type { Name } from '../support/settings.ts'
import { type Cluster, cluster } from './cluster.ts'
import { askEveryNode, others, percentiles } from './every-node.ts'

/** Ends by each cause. */
const ROUNDS = Number(process.env.SOAK_ENDS ?? 30)
const NEXT_PASSWORD = 'quite another phrase'

describe.each(['balanced', 'same number'] as const)(
  'check 16: from the answer on, no node accepts the token, calls %s',
  (calls) => {
    const here = running((env) => cluster(env, { calls }), { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })

    /** Sends a request to one of the nodes, another one in each round. */
    const at = (system: Cluster, service: Name, round: number) => {
      const nodes = system.nodes[service]
      const url = nodes[round % nodes.length]?.url ?? ''
      return (request: string, headers: Record<string, string>, body?: object) =>
        call(url, request.replace(' ', ' /api/v1'), { headers, ...(body ? { body } : {}) })
    }
    /** Registers a user. A busy machine may need several attempts. */
    const registered = () => eventually(() => registerUser(here.system).catch(() => undefined))
    type End = (user: TestUser, round: number) => Promise<Answer>
    const byUser =
      (service: Name, request: (user: TestUser) => string, body?: object): End =>
      (user, round) =>
        at(here.system, service, round)(request(user), as.bearer(user.tokens.access_token), body)
    const byOperator =
      (service: Name, request: (user: TestUser) => string, body?: object): End =>
      (user, round) =>
        at(here.system, service, round)(request(user), as.operator, body)

    const ENDS: Record<string, End> = {
      'a logout': byUser('auth', () => 'POST /auth/logout'),
      'a logout everywhere': byUser('auth', () => 'POST /auth/logout-all'),
      'a session deleted by its user': byUser('auth', ({ tokens }) => `DELETE /auth/sessions/${tokens.session_id}`),
      'a session ended by an operator': byOperator(
        'auth',
        ({ tokens }) => `DELETE /auth/sessions/${tokens.session_id}`,
      ),
      'all sessions of a user, by an operator': byOperator('auth', ({ id }) => `DELETE /auth/sessions?user_id=${id}`),
      'a refresh token revoked': ({ tokens }, round) =>
        at(here.system, 'auth', round)('POST /auth/revoke', {}, { token: tokens.refresh_token }),
      'a password set by an operator': byOperator('users', ({ id }) => `POST /users/${id}/set-password`, {
        new_password: NEXT_PASSWORD,
      }),
      'a password reset by mail': async (user, round) => {
        const token = await mailedToken(here.auth, here.system, user.email)
        return await at(here.system, 'auth', round)(
          'POST /auth/password-reset-confirm',
          {},
          {
            token,
            new_password: NEXT_PASSWORD,
          },
        )
      },
      'a user disabled': byOperator('users', ({ id }) => `PATCH /users/${id}`, { status: 'disabled' }),
      'roles changed': byOperator('users', ({ id }) => `PATCH /users/${id}`, { roles: ['USER', 'SALES'] }),
      'a user deleted': byOperator('users', ({ id }) => `DELETE /users/${id}`),
      'a password changed in another session': async (user, round) => {
        const { body } = await logIn(here.system, user.email)
        return await at(here.system, 'users', round)(
          `POST /users/${user.id}/change-password`,
          as.bearer(body.access_token),
          {
            current_password: PASSWORD,
            new_password: NEXT_PASSWORD,
          },
        )
      },
    }

    test.each(Object.entries(ENDS))('%s', async (name, end) => {
      const times: number[] = []
      const wrong = { early: [] as string[], accepted: [] as string[], refused: [] as string[] }
      let checks = 0
      let busy = 0
      await atOnce(ROUNDS, async (round) => {
        for (;;) {
          const user = await registered()
          const token = user.tokens.access_token
          // A token in the cache is checked again for its revocation only.
          wrong.early.push(...others(await askEveryNode(here.system, token), 200))
          const sentAt = performance.now()
          const { status, text } = await end(user, round)
          const took = performance.now() - sentAt
          // Such an answer promises nothing: the database was too slow on a busy machine.
          if (status === 503) {
            busy++
            continue
          }
          times.push(took)
          if (status >= 300) wrong.refused.push(text)
          const answers = await askEveryNode(here.system, token)
          checks += Object.keys(answers).length
          const accepting = Object.keys(answers).filter((node) => answers[node] === 200)
          wrong.accepted.push(...accepting)
          const unclear = others(answers, 'token_revoked').length - accepting.length
          if (status < 300 && unclear > 0) wrong.refused.push(`${unclear} nodes for another reason`)
          return
        }
      })
      const { accepted, early, refused } = wrong
      console.log(`${name}: ${percentiles(times)}`)
      console.log(
        `figures: ${ROUNDS} ends, ${checks} checks, ${accepted.length} accepted, ${early.length} refused early, ` +
          `${refused.length} refused otherwise, ${busy} answers 503`,
      )
      expect({ accepted: accepted.slice(0, 9), early: early.slice(0, 9), refused: refused.slice(0, 9) }).toEqual({
        accepted: [],
        early: [],
        refused: [],
      })
      expect(Math.max(...times)).toBeLessThan(PROMPT)
    })
  },
)
