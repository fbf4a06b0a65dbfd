import { EXIT, Failure } from '../../exit.ts'
import type { Tool } from '../../tool/command.ts'

interface Counts {
  synced: number
  removed: number
  unchanged: number
  duration_ms: number
}

const PATIENCE = 3_600_000
const SAID_EVERY = 5000
const LOOKED_FOR_EVERY = 500

/**
 * Brings the password cache in line with users, of one or of all. All of a million take minutes, and a connection may not
 * live that long without a byte: where it breaks, the sync goes on, and what came of it is read in the audit.
 * @throws Failure of auth, or where auth was stopped meanwhile
 */
export async function syncedCache(tool: Tool, userId?: string): Promise<Counts> {
  const api = await tool.api()
  const began = performance.now()
  const requestId = crypto.randomUUID()
  const waiting = setInterval(() => {
    tool.out.say(`still at it, for ${Math.round((performance.now() - began) / 1000)} s`)
  }, SAID_EVERY)
  try {
    const answer = await api.fetch('auth', '/api/v1/admin/password-cache/sync', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': requestId },
      body: JSON.stringify(userId === undefined ? {} : { user_id: userId }),
      patience: PATIENCE,
    })
    await api.refuseProblem('auth', answer)
    const counts = (await answer.json().catch(() => null)) as Counts | null
    if (typeof counts?.synced !== 'number') throw api.notOurService('auth')
    return counts
  } catch (error) {
    if (!(error instanceof Failure) || error.details.code !== 'unreachable') throw error
    return await outcome(tool, requestId, began)
  } finally {
    clearInterval(waiting)
  }
}

/** @throws Failure where auth is away: the sync has ended with it */
async function outcome(tool: Tool, request_id: string, began: number): Promise<Counts> {
  const api = await tool.api()
  const query = { request_id, type: 'cache.synced', size: '1' }
  for (; ; await Bun.sleep(LOOKED_FOR_EVERY)) {
    const { uptime_s } = (await (await api.fetch('auth', '/health')).json()) as { uptime_s: number }
    const [row] = (await api.auth((auth) => auth.admin.audit.get({ query }))).items
    const took = performance.now() - began
    if (row) return { ...(row.detail as unknown as Omit<Counts, 'duration_ms'>), duration_ms: Math.round(took) }
    // Its seconds are whole ones.
    if ((uptime_s + 1) * 1000 < took)
      throw new Failure(EXIT.tryAgain, 'Auth was started anew while it synced', {
        code: 'interrupted',
        suggestion: 'ch202 cache sync',
        retryable: true,
      })
  }
}
