import type { FieldError } from '../../../services/kit/field-errors.ts'
import { Failure } from '../../exit.ts'
import { asFailure } from '../../terminal/failures.ts'
import { quoted } from '../../terminal/shell.ts'
import type { ClientBody } from './client.ts'
import { resembledScope } from './scopes.ts'

/** A change of the command line that avoids an error. An empty `to` removes the word; `add` is appended as it is. */
type Fix = { from: string; to: string } | { add: string }

/**
 * Gives a function that suggests, for the errors of a refused client, the same command with the errors corrected.
 * @param body the refused request
 * @param otherwise the command if an error has no obvious correction
 */
export function suggestFix(body: Partial<ClientBody>, otherwise: string) {
  return (code: string, errors: readonly FieldError[]): string | undefined => {
    if (code === 'client_exists' && body.name !== undefined) return `ch202 clients get ${quoted(body.name)}`
    if (code !== 'validation_failed') return undefined
    const fixes = errors.map((error) => fixOf(error, body))
    return fixes.every((fix) => fix !== undefined) && fixes.length > 0 ? corrected(fixes) : otherwise
  }
}

/** The options that set fields of a client. */
const OPTION_OF: Record<string, string> = {
  scopes: '--scope',
  redirect_uris: '--redirect-uri',
  post_logout_redirect_uris: '--post-logout-redirect-uri',
  backchannel_logout_uri: '--backchannel-logout-uri',
  resources: '--resource',
  grant_types: '--grant',
  token_auth_method: '--auth-method',
  jwks_uri: '--jwks-uri',
}

/**
 * Waits for the answer to a request about a client. A single error names the option, and the scope, in place of the field.
 * Addresses are not repeated, because they may contain a secret.
 * @throws Failure
 */
export async function namingOptions<T>(answer: Promise<T>, body: Partial<ClientBody>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    const failure = asFailure(error)
    const [{ field = '', message = '' } = {}, ...others] = failure.details.errors ?? []
    const [name = '', index] = field.split('.')
    const option = OPTION_OF[name]
    if (option === undefined || others.length > 0) throw error
    const scope = name === 'scopes' && index !== undefined ? ` ${body.scopes?.[Number(index)]}` : ''
    throw new Failure(failure.exit, `${option}${scope} ${message}`, failure.details)
  }
}

function fixOf({ code, field }: FieldError, body: Partial<ClientBody>): Fix | undefined {
  const [name = '', index] = field.split('.')
  if (code === 'required') return MISSING[name]
  const value = (body as Record<string, unknown>)[name]
  const text = index === undefined ? value : (value as unknown[] | undefined)?.[Number(index)]
  if (name === 'require_pkce') return { from: '--no-pkce', to: '' }
  if (typeof text !== 'string') return undefined
  if (name === 'token_auth_method') return body.kind === 'public' ? { from: text, to: 'none' } : { add: '--public' }
  if (name === 'scopes') {
    const similar = resembledScope(text)
    return similar === undefined ? undefined : { from: text, to: similar }
  }
  return text.startsWith('http://') ? { from: text, to: text.replace('http:', 'https:') } : undefined
}

/** The options that set required fields. */
const MISSING: Record<string, Fix> = {
  redirect_uris: { add: '--redirect-uri <address>' },
  jwks_uri: { add: '--jwks-uri <address>' },
}

/** The command line of this process with the fixes applied. */
function corrected(fixes: readonly Fix[]): string {
  const added = fixes.flatMap((fix) => ('add' in fix ? [fix.add] : []))
  const replacements = fixes.flatMap((fix) => ('add' in fix ? [] : [fix]))
  const words = process.argv.slice(2).map((word) => replacements.reduce((text, fix) => replaced(text, fix), word))
  return ['ch202', ...words.filter(Boolean).map(quoted), ...new Set(added)].join(' ')
}

/** A word is a value, `--option=value`, or a list with commas or spaces. */
function replaced(word: string, { from, to }: { from: string; to: string }): string {
  if (word.endsWith(from) && ['', '='].includes(word.slice(0, -from.length).slice(-1)))
    return word.slice(0, -from.length) + to
  return word
    .split(/([\s,=]+)/)
    .map((part) => (part === from ? to : part))
    .join('')
}
