import { registerUser, type TestUser } from '../support/actors.ts'
import { atOnce } from '../support/at-once.ts'
import { askEach } from '../support/each-service.ts'
import { eventually } from '../support/eventually.ts'
import type { Cluster } from './cluster.ts'
import type { End } from './ends.ts'
import { percentiles } from './every-node.ts'
import type { Faults } from './faults.ts'
import type { ClusterNode } from './node.ts'

/** The results of a run of ends. */
export interface EndFigures {
  ends: number
  /** Answers of nodes after the answer of an end. */
  checks: number
  /** The nodes that accepted a token after the answer. */
  accepted: string[]
  /** The nodes that refused a token before its end; only without faults. */
  early: string[]
  /** Ends with another answer than a success or 503. */
  refused: string[]
  /** Ends that were answered with 503, or not at all: they promise nothing. */
  busy: number
  /** Milliseconds of the ends that were answered with success. */
  times: number[]
  /** The longest of them for each cause. */
  longest: Map<string, number>
}

type Asked = { node: ClusterNode; result: number | string }

/** Asks a node about a token. @returns the status of a success, the code of a refusal, or that there was no answer */
async function ask(system: Cluster, node: ClusterNode, token: string): Promise<Asked> {
  const { service, url } = node
  const results = await askEach({ ...system, url: { ...system.url, [service]: url } }, token, [service]).catch(() => ({
    [service]: 'no answer',
  }))
  return { node, result: results[service] ?? 'no answer' }
}

/**
 * Ends tokens, each at a node without a fault, and right after the answer tries each at every node. Some are ended at the
 * same time. A node that is frozen answers when it continues, and is waited for at the end.
 * @param names the causes, in turn
 * @param faults those that happen meanwhile
 */
export async function endTokens(
  system: Cluster,
  rounds: number,
  ends: readonly (readonly [cause: string, End])[],
  faults?: Faults,
): Promise<EndFigures> {
  const figures: EndFigures = {
    ends: 0,
    checks: 0,
    accepted: [],
    early: [],
    refused: [],
    busy: 0,
    times: [],
    longest: new Map(),
  }
  const lateAnswers: Promise<void>[] = []
  const urlOf = (service: ClusterNode['service'], round: number) =>
    (faults?.healthy(service, round) ?? system.node(service, (round % system.nodes[service].length) + 1)).url
  const registered = (round: number) =>
    eventually(() => {
      const url = { auth: urlOf('auth', round) }
      return registerUser({ url }).catch(() => undefined)
    })

  /** Tries an ended token at every node. @param cause what ended it */
  const check = async ({ tokens }: TestUser, cause: string) => {
    const take = ({ node, result }: Asked) => {
      if (result !== 'no answer') figures.checks++
      if (typeof result !== 'number') return
      // A node of auth without the database accepts what it does not know to be revoked, for a time.
      if (!exempt.has(node) && !faults?.isCutOff(node)) figures.accepted.push(`${node.name} after ${cause}`)
    }
    const running = system.all().filter((node) => node.isRunning)
    const exempt = new Set(running.filter((node) => faults?.isCutOff(node)))
    await Promise.all(
      running.map(async (node) => {
        const answer = ask(system, node, tokens.access_token).then(take)
        if (faults?.node === node) lateAnswers.push(answer)
        else await answer
      }),
    )
  }

  await atOnce(rounds, async (round) => {
    const [cause, end] = ends[round % ends.length] as readonly [string, End]
    for (let attempt = 0; ; attempt++) {
      const user = await registered(round + attempt)
      // A token in the cache of a node is checked again for its revocation only.
      const before = await Promise.all(
        system
          .all()
          .filter((node) => node.isRunning && node !== faults?.node)
          .map((node) => ask(system, node, user.tokens.access_token)),
      )
      if (!faults)
        figures.early.push(
          ...before.filter(({ result }) => result !== 200).map(({ node, result }) => `${node.name}: ${result}`),
        )
      const happening = faults?.happening ?? 'no fault'
      const begunAt = performance.now()
      const noAnswer = () => ({ status: 0, text: 'no answer', sentAt: begunAt })
      const answer = end(user, (service) => urlOf(service, round + attempt))
      const { sentAt = begunAt, status, text } = await answer.catch(noAnswer)
      const took = performance.now() - sentAt
      // Such an answer promises nothing.
      if (status === 0 || status >= 500) {
        figures.busy++
        continue
      }
      figures.ends++
      if (status >= 300) figures.refused.push(`${cause}: ${status} ${text}`)
      else {
        figures.times.push(took)
        figures.longest.set(cause, Math.max(took, figures.longest.get(cause) ?? 0))
        await check(user, `${cause} in ${took.toFixed(0)} ms, ${happening} … ${faults?.happening}`)
      }
      return
    }
  })
  await Promise.all(lateAnswers)
  return figures
}

/** Prints the figures of a run. @param name what was run */
export function report(
  name: string,
  { accepted, busy, checks, early, ends, longest, refused, times }: EndFigures,
): void {
  console.log(`${name}: ${percentiles(times)}, ${((100 * busy) / (ends + busy)).toFixed(1)} % answered with 503`)
  if (longest.size > 1) console.log([...longest].map(([cause, ms]) => `${cause} ${ms.toFixed(0)} ms`).join(', '))
  console.log(
    `figures: ${ends} ends, ${checks} checks, ${accepted.length} accepted, ${early.length} refused early, ` +
      `${refused.length} refused otherwise, ${busy} answers 503`,
  )
}

/** The lists that must be empty. */
export function wrongIn({ accepted, early, refused }: EndFigures) {
  return { accepted: accepted.slice(0, 9), early: early.slice(0, 9), refused: refused.slice(0, 9) }
}
