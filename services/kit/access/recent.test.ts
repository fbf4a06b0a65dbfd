import { describe, expect, test } from 'bun:test'
import { addProblemHeaders } from '../messages/problem-response.ts'
import { Problem } from '../problem.ts'
import { requireRecent } from './recent.ts'

const NOW = 1_800_000_000_000
const MINUTES = 60

/** The problem that a caller gets; null: they are admitted. */
function refusal(caller: { userId: string | null; authTime: number | null }, maxAge: number | undefined) {
  try {
    requireRecent(caller, maxAge, NOW)
    return null
  } catch (error) {
    return error as Problem
  }
}

const secondsAgo = (seconds: number) => ({ userId: 'ana', authTime: NOW / 1000 - seconds })

describe('Contract 11, recent authentication', () => {
  test.each([
    ['a user who has just authenticated', secondsAgo(0), 600_000, true],
    ['a user at the last moment', secondsAgo(10 * MINUTES), 600_000, true],
    ['a user one second later', secondsAgo(10 * MINUTES + 1), 600_000, false],
    ['a user whose clock is ahead of this one', secondsAgo(-1), 600_000, true],
    ['a user whose token does not say when', { userId: 'ana', authTime: 0 }, 600_000, false],
    ['a user without a time', { userId: 'ana', authTime: null }, 600_000, false],
    ['a key, which belongs to no user', { userId: null, authTime: null }, 600_000, true],
    ['any user without a limit', { userId: 'ana', authTime: 0 }, undefined, true],
  ])('%s', (_, caller, maxAge, isAdmitted) => {
    expect(refusal(caller, maxAge)?.code).toBe(isAdmitted ? undefined : 'reauthentication_required')
  })

  test('the answer has the challenge of RFC 9470', () => {
    const problem = refusal(secondsAgo(3600), 90_500)
    if (!problem) throw new Error('admitted')
    const headers: Record<string, unknown> = {}
    addProblemHeaders(headers, problem, 'a-request')
    expect(problem.status).toBe(401)
    expect(headers['www-authenticate']).toBe('Bearer error="insufficient_user_authentication", max_age=90')
  })
})

test('the details of a problem are fields of its body', () => {
  const details = { challenge_id: 'c', expires_in: 600 }
  expect(new Problem('device_confirmation_required', { details }).body('r')).toEqual({
    statusCode: 403,
    error: 'Forbidden',
    code: 'device_confirmation_required',
    message: 'The new device must be confirmed by the code that was mailed',
    requestId: 'r',
    ...details,
  })
})
