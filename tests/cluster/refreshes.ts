import { registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { call } from '../support/http.ts'
import type { Cluster } from './cluster.ts'
import { askEveryNode } from './every-node.ts'
import type { Faults } from './faults.ts'

const AT_ONCE = 50

/** The results of a run of refreshes. */
export interface RefreshFigures {
  refreshes: number
  /** Refreshes with another answer than the next token of the session. */
  wrong: string[]
  /** Refreshes that were answered with 503, or not at all, and repeated. */
  repeated: number
}

/**
 * Uses each refresh token fifty times at once, at all nodes of auth; a client that gets no answer, or 503, uses the token
 * again at another node. Then all must have the same next token, which works at each node, and the one before it works no
 * more than once in its grace.
 * @param faults those that happen meanwhile
 */
export async function refreshTokens(system: Cluster, rounds: number, faults?: Faults): Promise<RefreshFigures> {
  const figures: RefreshFigures = { refreshes: 0, wrong: [], repeated: 0 }
  /** Refreshes until there is an answer. */
  const refresh = async (n: number, refresh_token: string) => {
    for (let attempt = n; ; attempt++) {
      const count = system.nodes.auth.length
      // The first attempt goes to any node that runs, one that is about to have a fault included.
      const node = faults && attempt > n ? faults.healthy('auth', attempt) : system.node('auth', (attempt % count) + 1)
      const answer = await call(node.url, 'POST /api/v1/auth/refresh', { body: { refresh_token } }).catch(
        () => undefined,
      )
      if (answer && answer.status < 500) return answer
      figures.repeated++
      await Bun.sleep(20)
    }
  }
  for (let round = 0; round < rounds; round++) {
    const { tokens } = await eventually(() =>
      registerUser({
        url: { auth: faults?.healthy('auth', round).url ?? system.url.auth },
      }).catch(() => undefined),
    )
    const answers = await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => refresh(n, tokens.refresh_token)))
    const lineage = answers.find(({ status }) => status === 200)?.body.refresh_token
    figures.refreshes += answers.length
    for (const { body, status } of answers)
      if (status !== 200 || body.refresh_token !== lineage)
        figures.wrong.push(`${round}: ${status} ${body.code ?? 'another token'}`)
    const next = await refresh(round, lineage)
    if (next.status !== 200) {
      figures.wrong.push(`${round}: the next one ${next.status} ${next.body.code}`)
      continue
    }
    // Nobody is signed out: the newest access token works at every node.
    if (!faults)
      for (const [node, answer] of Object.entries(await askEveryNode(system, next.body.access_token)))
        if (answer !== 200) figures.wrong.push(`${round}: ${node} answers ${answer}`)
    // The first token is used up: exactly one lineage is left, and its last token ends with this reuse.
    const reused = await refresh(round, tokens.refresh_token)
    if (reused.body.code !== 'refresh_token_reused') figures.wrong.push(`${round}: the first one is ${reused.status}`)
    const ended = await refresh(round, next.body.refresh_token)
    if (ended.status !== 401) figures.wrong.push(`${round}: after the reuse ${ended.status}`)
  }
  return figures
}

/** Prints the figures of a run. @param name what was run */
export function reportRefreshes(name: string, { refreshes, repeated, wrong }: RefreshFigures): void {
  console.log(name)
  console.log(
    `figures: ${refreshes} refreshes, ${repeated} repeated refreshes, ${wrong.length} wrong answers to refreshes`,
  )
}
