import { type AuditRow, failedAtFactor, judgeFactor, type RefusedLogin } from '../../../services/kit/login-verdict.ts'
import { EXIT } from '../../exit.ts'
import { asFailure } from '../../terminal/failures.ts'
import { quoted } from '../../terminal/shell.ts'
import { toTheSecond } from '../../terminal/times.ts'
import type { Tool } from '../../tool/command.ts'
import { userOf } from '../../tool/refs.ts'
import { explainClient } from './client-events.ts'
import { type Explanation, evidenceOf, from } from './explanation.ts'
import { refusal } from './refused.ts'
import { explainFactor, hasFactors } from './second-factor.ts'

const PAGE_SIZE = '50'
/** Maximum length of a request id, in characters. */
const REQUEST_ID_MAX = 128

/** Explains the outcome of a request from its audit rows or from the refused logins; undefined without either. */
export async function explainRequest(tool: Tool, request_id: string): Promise<Explanation | undefined> {
  if (request_id.length > REQUEST_ID_MAX) return undefined
  const api = await tool.api()
  const [audit, refused] = await Promise.all([
    api.auth((auth) => auth.admin.audit.get({ query: { request_id, size: PAGE_SIZE } })),
    api.auth((auth) => auth.admin['refused-logins'].get({ query: { request_id } })),
  ])
  const rows = audit.items as AuditRow[]
  const [refusedLogin] = refused.items as RefusedLogin[]
  const failed = rows.find(({ type }) => type === 'login.failed')
  if (failed) return explainFailed(tool, failed, rows)
  if (refusedLogin) return refusal(refusedLogin, await emailOf(tool, refusedLogin.user_id))
  const [newest] = rows
  if (!newest) return undefined
  if (rows.every(({ type }) => type === 'session.created')) return succeeded(tool, newest)
  return (await explainClient(tool, rows)) ?? (await notALogin(tool, rows, newest))
}

async function explainFailed(tool: Tool, failed: AuditRow, rows: AuditRow[]): Promise<Explanation> {
  const name = typeof failed.detail.email === 'string' ? failed.detail.email : undefined
  const email = (await emailOf(tool, failed.user_id)) ?? (await emailOfRef(tool, name))
  const at = `at ${toTheSecond(failed.at)}${from(failed.ip)}`
  const lockoutRow = rows.find(({ type }) => type === 'login.paused')
  const lockoutText = lockoutRow ? ` This locked logins until ${toTheSecond(String(lockoutRow.detail.until))}.` : ''
  const evidence = evidenceOf(rows)
  if (failed.detail.reason === 'account_disabled')
    return {
      reason: 'account_disabled',
      explanation: `The password of ${email ?? 'the user'} was correct ${at}, but the account was disabled.`,
      suggestion: email === undefined ? null : `ch202 users enable ${quoted(email)}`,
      evidence,
    }
  if (email === undefined && failed.user_id === null)
    return {
      reason: 'no_such_user',
      explanation: `There was no user ${name ?? 'with the typed name'} ${at}.${lockoutText}`,
      suggestion: name === undefined ? null : `ch202 audit explain ${quoted(name)}`,
      evidence,
    }
  if (failed.detail.reason === 'no_password')
    return {
      reason: 'no_password',
      explanation: `${email ?? `The deleted user ${failed.user_id}`} had no password ${at}.${lockoutText}`,
      suggestion: email === undefined ? null : `ch202 users send-reset ${quoted(email)}`,
      evidence,
    }
  if (failedAtFactor(failed, failed.user_id !== null && (await hasFactors(tool, failed.user_id)))) {
    const name = email ?? `The deleted user ${failed.user_id}`
    return { ...explainFactor(judgeFactor([failed]), { email: name, ref: quoted(email ?? '') }), evidence }
  }
  if (failed.detail.reason === 'wrong_code')
    return {
      reason: 'wrong_code',
      explanation: `${email ?? `The deleted user ${failed.user_id}`} entered a wrong code of a mail ${at}.`,
      suggestion: email === undefined ? null : `ch202 audit explain ${quoted(email)}`,
      evidence,
    }
  return {
    reason: 'wrong_password',
    explanation: `The password of ${email ?? `the deleted user ${failed.user_id}`} was wrong ${at}.${lockoutText}`,
    suggestion: email === undefined ? null : `ch202 users send-reset ${quoted(email)}`,
    evidence,
  }
}

async function succeeded(tool: Tool, row: AuditRow): Promise<Explanation> {
  const email = await emailOf(tool, row.user_id)
  return {
    reason: 'no_failure',
    explanation: `The login of ${email ?? row.user_id} succeeded at ${toTheSecond(row.at)}${from(row.ip)}.`,
    suggestion: email === undefined ? null : `ch202 sessions list --user ${quoted(email)}`,
    evidence: evidenceOf([row]),
  }
}

async function notALogin(tool: Tool, rows: AuditRow[], newest: AuditRow): Promise<Explanation> {
  const email = await emailOf(tool, newest.user_id)
  const types = [...new Set(rows.map(({ type }) => type).reverse())].join(', ')
  const ofUser = newest.user_id === null ? '' : ` of ${email ?? newest.user_id}`
  return {
    reason: 'not_a_login',
    explanation: `This request was not a failed login: ${types}${ofUser} by ${newest.actor}, at ${toTheSecond(newest.at)}${from(newest.ip)}.`,
    suggestion: email === undefined ? null : `ch202 audit list --user ${quoted(email)}`,
    evidence: evidenceOf(rows),
  }
}

/** The email of a user; undefined if they are deleted or the users service is unreachable. */
async function emailOf(tool: Tool, userId: string | null): Promise<string | undefined> {
  return userId === null ? undefined : await emailOfRef(tool, userId)
}

async function emailOfRef(tool: Tool, ref: string | undefined): Promise<string | undefined> {
  if (ref === undefined) return undefined
  try {
    return (await userOf(tool, ref)).email
  } catch (error) {
    if ([EXIT.notFound, EXIT.tryAgain].includes(asFailure(error).exit as 3)) return undefined
    throw error
  }
}
