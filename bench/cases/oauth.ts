import { join } from 'node:path'
import { basic } from '../../tests/support/oauth/clients.ts'
import { authorizationOf, createApp, PKCE, tokensFor } from '../../tests/support/oauth/code-flow.ts'
import { createUsers, logIn, operator, startCh202 } from '../ch202.ts'
import { type BenchOptions, type Figure, measureBoth, type Result, underLoad } from '../measure.ts'
import { type Measurable, measureAlone, send } from '../processes.ts'
import type { App } from '../scripts.ts'

const CLIENTS = 16

interface Bench extends BenchOptions {
  ch202: Measurable
  app: App
  users: { id: string; email: string; token: string }[]
  folder: string
}

type NewTokens = () => Promise<{ access_token: string; refresh_token: string }[]>

/** Measures what an app sends for its users: the code flow, refreshes, and the claims of a user. */
export async function oauth(options: BenchOptions, folder: string): Promise<Result[]> {
  const ch202 = await startCh202(join(folder, 'data'), {})
  try {
    const users = await createUsers(ch202.url, CLIENTS)
    const client = await createApp({ url: { auth: ch202.url } as never }, {}, operator)
    const app = {
      authorization: basic(client.id, client.client_secret).authorization,
      request: authorizationOf(client),
      verifier: PKCE.verifier,
    }
    const bench: Bench = { ...options, ch202, app, users, folder }
    const tokens = () =>
      Promise.all(
        users.map(({ token }) =>
          tokensFor({ url: { auth: ch202.url } as never }, token, client, { scope: 'openid email offline_access' }),
        ),
      )
    return [await codeFlow(bench), await refreshes(bench, tokens), await userInfo(bench, tokens)]
  } finally {
    await ch202.stop()
  }
}

/** A flow is two requests, each with a commit; the second signs an access token and an ID token of RS256. */
async function codeFlow({ app, ch202, folder, rounds, seconds, users }: Bench): Promise<Result> {
  const data = { app, tokens: users.map(({ token }) => token) }
  const flows = () =>
    underLoad(
      ch202,
      () => send({ script: 'codeFlow', url: ch202.url, clients: CLIENTS, seconds, data }),
      ({ rate }) => rate / 2,
    )
  const words = ['--file', join(folder, 'commits.sqlite'), '--seconds', String(seconds), '--what', 'insert']
  const commits = async (): Promise<Figure> => ({
    value: (await measureAlone<{ rate: number }>('limits/commits.ts', words)).rate,
  })
  return {
    name: `code flow with an ID token of RS256, ${CLIENTS} clients`,
    unit: 'a second',
    limitIs: 'durable commits of one row',
    ...(await measureBoth(rounds, flows, commits)),
  }
}

async function refreshes({ app, ch202, rounds, seconds, users }: Bench, tokens: NewTokens): Promise<Result> {
  const ofApp = async () => {
    const refreshTokens = (await tokens()).map(({ refresh_token }) => refresh_token)
    const data = { app, refreshTokens }
    return await underLoad(ch202, () =>
      send({ script: 'grantRefresh', url: ch202.url, clients: CLIENTS, seconds, data }),
    )
  }
  const ofSessions = async () => {
    const sessions = await Promise.all(users.map(({ email }) => logIn(ch202.url, email)))
    const data = { refreshTokens: sessions.map(({ refreshToken }) => refreshToken) }
    return await underLoad(ch202, () => send({ script: 'refresh', url: ch202.url, clients: CLIENTS, seconds, data }))
  }
  return {
    name: `refresh of an app, with an ID token of RS256, ${CLIENTS} clients`,
    unit: 'a second',
    limitIs: 'POST /auth/refresh',
    ...(await measureBoth(rounds, ofApp, ofSessions)),
  }
}

async function userInfo({ ch202, rounds, seconds, users }: Bench, tokens: NewTokens): Promise<Result> {
  const reading = async () => {
    const data = { tokens: (await tokens()).map(({ access_token }) => access_token) }
    return await underLoad(ch202, () => send({ script: 'userInfo', url: ch202.url, clients: CLIENTS, seconds, data }))
  }
  const limit = () =>
    underLoad(ch202, () => send({ script: 'readUser', url: ch202.url, clients: CLIENTS, seconds, data: { users } }))
  return {
    name: `GET /oauth/userinfo, ${CLIENTS} clients`,
    unit: 'a second',
    limitIs: 'GET /users/{id}',
    ...(await measureBoth(rounds, reading, limit)),
  }
}
