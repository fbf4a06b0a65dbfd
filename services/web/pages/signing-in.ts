import type { Token } from '../../auth/schemas/tokens.ts'
import { redirect } from '../components/render.tsx'
import type { BrowserRequest } from '../request/browser-request.ts'
import type { Outcome } from '../request/outcome.ts'
import { withReturn } from '../request/return-to.ts'

export type { Token }

/** When the step of an answer ends, in milliseconds since the epoch. */
function untilOf({ context }: BrowserRequest, { expires_in }: Readonly<Record<string, unknown>>): number {
  return context.clock.now() + Number(expires_in) * 1000
}

/**
 * Keeps the session of a way in, or begins the next step of it.
 * @param email what the person typed: the mail of the step goes to that account
 * @returns the next step; undefined when the session is open, or the way in has failed
 */
export async function openedSession(
  request: BrowserRequest,
  outcome: Outcome<Token>,
  email: string,
): Promise<Response | undefined> {
  if (outcome.ok) {
    request.endWait()
    await request.signIn(outcome.data)
    return undefined
  }
  const { code, details } = outcome.problem
  const challengeId = String(details.challenge_id ?? '')
  const { url } = request.returnTo
  if (code === 'device_confirmation_required') {
    request.waitForCode({ kind: 'device', challengeId, email, returnTo: url })
    return redirect(request, withReturn('/sign-in?step=device', url))
  }
  if (code === 'second_factor_required') {
    const methods = Array.isArray(details.methods) ? details.methods.map(String) : []
    request.waitForCode({
      kind: 'factor',
      challengeId,
      email,
      returnTo: url,
      until: untilOf(request, details),
      methods,
    })
    return redirect(request, withReturn('/sign-in?step=factor', url))
  }
  if (code === 'second_factor_enrolment_required') {
    request.waitForCode({ kind: 'enrolment', challengeId, email, returnTo: url, until: untilOf(request, details) })
    return redirect(request, withReturn('/sign-in?step=enrol', url))
  }
  if (code === 'email_not_verified') {
    request.waitForCode({ kind: 'verification', challengeId, email, returnTo: url })
    return redirect(request, '/verify-email?step=sign-in')
  }
  return undefined
}
