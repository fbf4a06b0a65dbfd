import { EXIT } from '../../exit.ts'
import { asFailure } from '../../terminal/output.ts'
import { quoted } from '../../terminal/shell.ts'
import { toTheSecond } from '../../terminal/times.ts'
import type { Tool } from '../../tool/command.ts'
import { userOf } from '../../tool/refs.ts'
import { type AuditRow, type Explanation, evidenceOf, from, type Refused } from './explanation.ts'
import { refusal } from './verdict.ts'

const MANY = '50'

/** What became of a request, by what it left: rows of the audit, or its place among the refused logins. */
export async function explainRequest(tool: Tool, request_id: string): Promise<Explanation | undefined> {
  if (request_id.length > 128) return undefined
  const api = await tool.api()
  const [audit, refused] = await Promise.all([
    api.auth((auth) => auth.admin.audit.get({ query: { request_id, size: MANY } })),
    api.auth((auth) => auth.admin['refused-logins'].get({ query: { request_id } })),
  ])
  const rows = audit.items as AuditRow[]
  const [turnedAway] = refused.items as Refused[]
  const failed = rows.find(({ type }) => type === 'login.failed')
  if (failed) return explainFailed(tool, failed, rows)
  if (turnedAway) return refusal(turnedAway, await emailOf(tool, turnedAway.user_id))
  const [newest] = rows
  if (!newest) return undefined
  if (rows.every(({ type }) => type === 'session.created')) return succeeded(tool, newest)
  return notALogin(tool, rows, newest)
}

async function explainFailed(tool: Tool, failed: AuditRow, rows: AuditRow[]): Promise<Explanation> {
  const typed = typeof failed.detail.email === 'string' ? failed.detail.email : undefined
  const email = (await emailOf(tool, failed.user_id)) ?? (await knownAs(tool, typed))
  const at = `at ${toTheSecond(failed.at)}${from(failed.ip)}`
  const pause = rows.find(({ type }) => type === 'login.paused')
  const paused = pause ? ` With it a pause began, until ${toTheSecond(String(pause.detail.until))}.` : ''
  const evidence = evidenceOf(rows)
  if (failed.detail.reason === 'account_disabled')
    return {
      reason: 'account_disabled',
      explanation: `The password of ${email ?? 'the user'} was right ${at}, and the account was disabled.`,
      suggestion: email === undefined ? null : `ch202 users enable ${quoted(email)}`,
      evidence,
    }
  if (email === undefined && failed.user_id === null)
    return {
      reason: 'no_such_user',
      explanation: `No user is called ${typed ?? 'what was typed as the name'}, ${at}.${paused}`,
      suggestion: typed === undefined ? null : `ch202 audit explain ${quoted(typed)}`,
      evidence,
    }
  if (failed.detail.reason === 'no_password')
    return {
      reason: 'no_password',
      explanation: `${email ?? `The user ${failed.user_id}, who is gone,`} had no password ${at}.${paused}`,
      suggestion: email === undefined ? null : `ch202 users send-reset ${quoted(email)}`,
      evidence,
    }
  return {
    reason: 'wrong_password',
    explanation: `The password of ${email ?? `the user ${failed.user_id}, who is gone,`} was wrong ${at}.${paused}`,
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
  const whose = newest.user_id === null ? '' : ` of ${email ?? newest.user_id}`
  return {
    reason: 'not_a_login',
    explanation: `That request was no login that failed: ${types}${whose} by ${newest.actor}, at ${toTheSecond(newest.at)}${from(newest.ip)}.`,
    suggestion: email === undefined ? null : `ch202 audit list --user ${quoted(email)}`,
    evidence: evidenceOf(rows),
  }
}

/** Undefined: it is no one's id any more, or users can't be asked. */
async function emailOf(tool: Tool, userId: string | null): Promise<string | undefined> {
  return userId === null ? undefined : await knownAs(tool, userId)
}

async function knownAs(tool: Tool, ref: string | undefined): Promise<string | undefined> {
  if (ref === undefined) return undefined
  try {
    return (await userOf(tool, ref)).email
  } catch (error) {
    if ([EXIT.notFound, EXIT.tryAgain].includes(asFailure(error).exit as 3)) return undefined
    throw error
  }
}
