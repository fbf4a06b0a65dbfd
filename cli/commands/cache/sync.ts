import type { Command } from 'commander'
import { EXIT, Failure } from '../../exit.ts'
import type { Row } from '../../terminal/table.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { forEachRef, REFS } from '../../tool/refs.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { userOrEntry } from './entry.ts'

/** How many users the sync changed, removed and left as they were. */
interface Counts {
  synced: number
  removed: number
  unchanged: number
  duration_ms: number
}

/** Milliseconds until the response must begin: an hour. */
const TIMEOUT = 3_600_000
/** Milliseconds between two lines that say that the sync continues. */
const REPORT_EVERY = 5000
/** Milliseconds between two looks into the audit log. */
const POLL = 500

/** Adds `cache sync`. */
export function addSync(cache: Command): void {
  addCommand(cache, 'sync', 'Sync the cache with the users service', [
    'ch202 cache sync',
    'ch202 cache sync --user ana@example.org -o json',
  ])
    .option('--user <ref>', `only this user: ${REFS}`)
    .action(withTool(sync))
}

async function sync(tool: Tool, { user }: { user?: string }): Promise<void> {
  if (user === undefined) return tool.out.record(await syncRecord(tool))
  await forEachRef(tool, user, async (ref) => {
    const { email, id } = await userOrEntry(tool, ref)
    return { user_id: id, ...withoutUndefined({ email }), ...(await syncRecord(tool, id)) }
  })
}

async function syncRecord(tool: Tool, userId?: string): Promise<Row> {
  const counts = await syncCache(tool, userId)
  return { ...counts, changed: counts.synced + counts.removed > 0 }
}

/**
 * Syncs the password cache with the users service, for one user or all. A million users take minutes, and the connection
 * may not survive so long without data: if it breaks, the sync continues, and its result is read from the audit log.
 * @throws Failure of auth, or if auth was restarted meanwhile
 */
async function syncCache(tool: Tool, userId?: string): Promise<Counts> {
  const api = await tool.api()
  const startedAt = performance.now()
  const requestId = crypto.randomUUID()
  const reportTimer = setInterval(() => {
    tool.out.say(`still syncing after ${Math.round((performance.now() - startedAt) / 1000)} s`)
  }, REPORT_EVERY)
  try {
    const answer = await api.fetch('auth', '/api/v1/admin/password-cache/sync', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': requestId },
      body: JSON.stringify(userId === undefined ? {} : { user_id: userId }),
      timeoutMs: TIMEOUT,
    })
    await api.refuseProblem('auth', answer)
    const counts = (await answer.json().catch(() => null)) as Counts | null
    if (typeof counts?.synced !== 'number') throw api.notOurService('auth')
    return counts
  } catch (error) {
    if (!(error instanceof Failure) || error.details.code !== 'unreachable') throw error
    return await resultFromAudit(tool, requestId, startedAt)
  } finally {
    clearInterval(reportTimer)
  }
}

/** Waits for the sync's row in the audit log. @throws Failure if auth was restarted, which ends the sync */
async function resultFromAudit(tool: Tool, request_id: string, startedAt: number): Promise<Counts> {
  const api = await tool.api()
  const query = { request_id, type: 'cache.synced', size: '1' }
  for (; ; await Bun.sleep(POLL)) {
    const { uptime_s } = (await (await api.fetch('auth', '/health')).json()) as { uptime_s: number }
    const [row] = (await api.auth((auth) => auth.admin.audit.get({ query }))).items
    const elapsed = performance.now() - startedAt
    if (row) return { ...(row.detail as unknown as Omit<Counts, 'duration_ms'>), duration_ms: Math.round(elapsed) }
    // The uptime has whole seconds.
    if ((uptime_s + 1) * 1000 < elapsed)
      throw new Failure(EXIT.tryAgain, 'Auth was restarted during the sync', {
        code: 'interrupted',
        suggestion: 'ch202 cache sync',
        retryable: true,
      })
  }
}
