import { pageAnswer, pageRequest } from '../../kit/schema/page.ts'
import type { ChainedEvent } from '../store/index.ts'
import { type AuditContext, eventRead, filterOf } from './admin.ts'

interface ChainQuery {
  user_id?: string
  type?: string
  since?: string
  until?: string
  size?: string
  cursor?: string
}

/**
 * Lists the audit in the order of its chain, with what a reader needs to compute the hash of each row, and the head.
 * @throws Problem `validation_failed` for a cursor of another list
 */
export async function listChain({ store }: AuditContext, query: ChainQuery) {
  const { since, type, until, user_id } = query
  const list = JSON.stringify(['chain', user_id, type, since, until])
  const request = pageRequest(query, list)
  const after = 'after' in request ? Number(request.after[0]) : null
  const { head, next, rows } = await store.auditChain(filterOf(query), after, request.size)
  const slice = { rows, total: null, next: next === null ? null : [next] }
  const { items, next_cursor } = pageAnswer(slice, request, list, chainedRead)
  return { items, next_cursor, head }
}

function chainedRead({ detailSeal, originSeal, prevHash, rowHash, seq, ...event }: ChainedEvent) {
  const seals = { origin_seal: originSeal, detail_seal: detailSeal, row_hash: rowHash }
  return { seq, ...eventRead(event), prev_hash: prevHash, ...seals }
}
