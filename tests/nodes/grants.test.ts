import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { registerUser } from '../support/actors.ts'
import { type Answer, as, call } from '../support/http.ts'
import { REVOKED, refreshApp, usesOf, VALID } from '../support/oauth/app-tokens.ts'
import type { OAuthClient } from '../support/oauth/clients.ts'
import { codeFor, createApp, redeem, tokensFor } from '../support/oauth/code-flow.ts'
import { type AuthNodes, startAuthNodes } from './auth-processes.ts'

// Checks 49 and 52: codes and grants over three nodes of auth on one database.

setDefaultTimeout(300_000)
const NODES = [0, 1, 2]
const SCOPES = ['openid modules', 'openid modules offline_access']

let nodes: AuthNodes
beforeAll(async () => {
  nodes = await startAuthNodes(NODES.length)
})
afterAll(() => nodes?.stop())

const at = (node: number) => ({ url: nodes.urlsOf(node) })
const asUser = (token: string) => ({ headers: as.bearer(token) })

test('of 30 uses of a code at three nodes at once, one at most gives tokens, and they have ended', async () => {
  const [user, app] = [await registerUser(at(0)), await createApp(at(0))]
  for (const scope of SCOPES)
    for (let round = 0; round < 3; round++) {
      const code = await codeFor(at(round), user.tokens.access_token, app, { scope })
      const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => redeem(at(n), app, code)))
      const outcomes = answers.map(({ body, status }) => (status === 200 ? 'tokens' : body.error))
      const granted = answers.filter(({ status }) => status === 200)
      expect(outcomes.filter((outcome) => outcome === 'invalid_grant')).toHaveLength(30 - granted.length)
      expect(granted.length).toBeLessThanOrEqual(1)
      for (const { body } of granted)
        for (const node of NODES) expect(await usesOf(at(node), body.access_token)).toEqual(REVOKED)
      const list = await call(at(round + 1).url.auth, 'GET /auth/grants', asUser(user.tokens.access_token))
      expect(list.body.items).toEqual([])
    }
})

test('of 30 refreshes at three nodes at once, all get the same next token', async () => {
  const [user, app] = [await registerUser(at(0)), await createApp(at(0))]
  const { refresh_token } = await tokensFor(at(1), user.tokens.access_token, app, { scope: SCOPES[1] })
  const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => refreshApp(at(n), app, refresh_token)))
  expect(new Set(answers.map(({ body, status }) => `${status} ${body.refresh_token}`)).size).toBe(1)
  expect((await refreshApp(at(2), app, answers[0]?.body.refresh_token)).status).toBe(200)
})

interface GrantOfTest {
  app: OAuthClient
  grantId: string
  accessToken: string
  tokens: { access_token: string; refresh_token?: string }
}
const ENDS: [name: string, end: (node: number, grant: GrantOfTest) => Promise<Answer>][] = [
  [
    'its user',
    (node, { accessToken, grantId }) => call(at(node).url.auth, `DELETE /auth/grants/${grantId}`, asUser(accessToken)),
  ],
  [
    'its app',
    (node, { tokens }) => call(at(node).url.auth, 'POST /auth/revoke', { body: { token: tokens.access_token } }),
  ],
  [
    'the end of all sessions',
    (node, { accessToken }) => call(at(node).url.auth, 'POST /auth/logout-all', asUser(accessToken)),
  ],
  [
    'the disabling of its client',
    (node, { app }) =>
      call(at(node).url.auth, `PATCH /admin/clients/${app.id}`, { headers: as.operator, body: { status: 'disabled' } }),
  ],
]
test.each(ENDS)('a grant that %s ends at one node is refused at all when the answer is there', async (_, end) => {
  for (const scope of SCOPES)
    for (const node of NODES) {
      const [user, app] = [await registerUser(at(node + 1)), await createApp(at(node))]
      const accessToken = user.tokens.access_token
      const tokens = await tokensFor(at(node + 1), accessToken, app, { scope })
      const list = await call(at(node + 2).url.auth, 'GET /auth/grants', asUser(accessToken))
      for (const each of NODES) expect(await usesOf(at(each), tokens.access_token)).toEqual(VALID)
      const ended = await end(node, { app, grantId: list.body.items[0].id, accessToken, tokens })
      expect(ended.status).toBeOneOf([200, 204])
      for (const each of NODES) expect(await usesOf(at(each), tokens.access_token)).toEqual(REVOKED)
      if (tokens.refresh_token)
        for (const each of NODES)
          expect((await refreshApp(at(each), app, tokens.refresh_token)).status).toBeOneOf([400, 401])
    }
})
