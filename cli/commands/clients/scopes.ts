import { SCOPES, USER_SCOPES } from '../../../services/kit/access/scopes.ts'
import { quoted } from '../../terminal/shell.ts'
import type { Tool } from '../../tool/command.ts'
import { nearest } from '../../tool/nearest.ts'
import type { Client } from './client.ts'

/** The scopes that Ch202 defines. */
const SCOPES_OF_CH202 = [...Object.keys(SCOPES), ...Object.keys(USER_SCOPES)]

/** The scope of Ch202 that another scope resembles, so that it may be a typing error; undefined if none does. */
export function resembledScope(scope: string): string | undefined {
  return SCOPES_OF_CH202.includes(scope) ? undefined : nearest(scope, SCOPES_OF_CH202)[0]
}

/**
 * Warns of accepted scopes that resemble those of Ch202: `user:read` could be a scope of another service, and opens nothing
 * here.
 */
export function warnOfScopes(tool: Tool, client: Pick<Client, 'name' | 'scopes'>): void {
  const pairs = client.scopes.map((scope) => ({ scope, similar: resembledScope(scope) }))
  const lines = pairs.flatMap(({ scope, similar }) =>
    similar === undefined ? [] : [`${scope} opens nothing in Ch202. Did you mean ${similar}?`],
  )
  if (lines.length === 0) return
  const corrected = pairs.map(({ scope, similar = scope }) => similar)
  tool.out.say(`${lines.join('\n')}\n→ ch202 clients update ${quoted(client.name)} --scope ${corrected.join(',')}`)
}
