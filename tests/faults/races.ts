import { createUser, type TestUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import type { System } from '../support/system.ts'

const CLIENTS = 50

/** Runs one race once. Returns the failure, if there is one. */
export type Race = (system: System) => Promise<string | undefined>

const refresh = ({ url }: System, refresh_token: string) =>
  call(url.auth, 'POST /api/v1/auth/refresh', { body: { refresh_token } })

/** Fifty uses of one token at once: all get the same next token, which is valid. */
async function parallelRefreshes(system: System): Promise<string | undefined> {
  const { tokens } = await createUser(system)
  const answers = await Promise.all(Array.from({ length: CLIENTS }, () => refresh(system, tokens.refresh_token)))
  const refused = answers.find(({ status }) => status !== 200)
  if (refused) return `one of ${CLIENTS} was answered ${refused.status} ${refused.body.code}`
  const next = new Set(answers.map(({ body }) => body.refresh_token))
  if (next.size !== 1) return `${next.size} lineages`
  const { status } = await refresh(system, answers[0]?.body.refresh_token)
  return status === 200 ? undefined : `the token that all were given is ${status}`
}

/** Requests that end the session while it is refreshed. */
const ENDINGS: Record<string, (system: System, user: TestUser) => Promise<{ status: number; text: string }>> = {
  logout: ({ url }, { tokens }) =>
    call(url.auth, 'POST /api/v1/auth/logout', { headers: as.bearer(tokens.access_token) }),
  'a new password': ({ url }, { id }) =>
    call(url.users, `POST /api/v1/users/${id}/set-password`, {
      headers: as.operator,
      body: { new_password: 'another phrase of four' },
    }),
  disabling: ({ url }, { id }) =>
    call(url.users, `PATCH /api/v1/users/${id}`, { headers: as.operator, body: { status: 'disabled' } }),
  deletion: ({ url }, { id }) => call(url.users, `DELETE /api/v1/users/${id}`, { headers: as.operator }),
}

function refreshAgainst(ending: keyof typeof ENDINGS): Race {
  return async (system) => {
    const user = await createUser(system)
    const end = ENDINGS[ending]
    const [ended, ...refreshed] = await Promise.all([
      end?.(system, user),
      ...Array.from({ length: 4 }, () => refresh(system, user.tokens.refresh_token)),
    ])
    if (!ended || ended.status >= 300) return `the end was answered ${ended?.status} ${ended?.text}`
    const tokenPairs = refreshed.filter(({ status }) => status === 200).map(({ body }) => body)
    for (const { access_token, refresh_token } of [user.tokens, ...tokenPairs]) {
      const headers = as.bearer(access_token)
      const answers = await Promise.all([
        call(system.url.auth, 'GET /api/v1/auth/me', { headers }),
        call(system.url.users, `GET /api/v1/users/${user.id}`, { headers }),
        call(system.url.modules, 'GET /api/v1/modules/', { headers }),
        refresh(system, refresh_token),
      ])
      const statuses = answers.map(({ status }) => status)
      if (statuses.some((status) => status !== 401)) return `afterwards: ${statuses}`
    }
    return undefined
  }
}

export const RACES: Record<string, Race> = {
  [`${CLIENTS} refreshes at once`]: parallelRefreshes,
  ...Object.fromEntries(Object.keys(ENDINGS).map((ending) => [`a refresh against ${ending}`, refreshAgainst(ending)])),
}

/** Runs a race so many times, several at once. Returns the failures. */
export async function repeated(system: System, race: Race, times: number, atOnce = 4): Promise<string[]> {
  const wrong: string[] = []
  let remainingRaces = times
  const runner = async () => {
    while (remainingRaces-- > 0) {
      const problem = await race(system)
      if (problem !== undefined) wrong.push(problem)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, runner))
  return wrong
}
