import type { AuditRow } from '../../../services/kit/login-verdict.ts'
import { EXIT } from '../../exit.ts'
import { asFailure } from '../../terminal/failures.ts'
import { quoted } from '../../terminal/shell.ts'
import { toTheSecond } from '../../terminal/times.ts'
import type { Tool } from '../../tool/command.ts'
import { allClients } from '../clients/client.ts'
import { type Explanation, evidenceOf, from } from './explanation.ts'

/** The changes of clients, and of what users gave them, in plain sentences, by the type of their audit row. */
const SENTENCES: Record<string, (client: string, detail: AuditRow['detail']) => string> = {
  'client.created': (client) => `created ${client}`,
  'client.updated': (client, { fields }) => `changed ${client}: ${[fields].flat().join(', ')}`,
  'client.deleted': (client) => `deleted ${client}; its tokens are refused`,
  'client.secret_rotated': (client, { only }) =>
    only === true
      ? `gave ${client} another secret; all others stopped working at once`
      : `gave ${client} another secret; the one before works until the next rotation`,
  'client.token_revoked': (client) => `revoked an access token of ${client}`,
  'grant.consented': (client, { scopes }) => `allowed ${client}: ${[scopes].flat().join(', ')}`,
  'grant.issued': (client) => `gave ${client} tokens of a user`,
  'grant.ended': (client) => `took away the access of ${client} to a user`,
  'grant.token_revoked': (client) => `ended the access of ${client} to a user, which it does not need any more`,
  'grant.code_reused': (client) => `had a code of ${client} that was used before; the access that it gave has ended`,
  'grant.reuse_detected': (client) =>
    `had a refresh token of ${client} that was used before; the access to its user has ended`,
}

/**
 * Explains a request that changed an OAuth client, or its access to a user.
 * @param rows the audit rows of the request
 * @returns undefined if it changed neither
 */
export async function explainClient(tool: Tool, rows: readonly AuditRow[]): Promise<Explanation | undefined> {
  const row = rows.find(({ type }) => type in SENTENCES)
  if (!row) return undefined
  const id = String(row.detail.client_id)
  const current = await nameOf(tool, id)
  const name = current ?? (typeof row.detail.name === 'string' ? row.detail.name : undefined)
  const sentence = SENTENCES[row.type]?.(name === undefined ? `the client ${id}` : `the client ${name}`, row.detail)
  const deletion = current === undefined && row.type !== 'client.deleted' ? ' The client was deleted since.' : ''
  return {
    reason: 'not_a_login',
    explanation: `This request was no login: it ${sentence}, by ${row.actor}, at ${toTheSecond(row.at)}${from(row.ip)}.${deletion}`,
    suggestion:
      current === undefined ? 'ch202 audit list --type client.deleted' : `ch202 clients get ${quoted(current)}`,
    evidence: evidenceOf(rows),
  }
}

/** The name of a client now; undefined if it was deleted or auth does not answer. */
async function nameOf(tool: Tool, id: string): Promise<string | undefined> {
  try {
    return (await allClients(tool)).find((client) => client.id === id)?.name
  } catch (error) {
    if (asFailure(error).exit === EXIT.tryAgain) return undefined
    throw error
  }
}
