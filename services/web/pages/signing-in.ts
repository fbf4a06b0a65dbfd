import type { Token } from '../../auth/schemas/tokens.ts'
import { redirect } from '../components/render.tsx'
import type { BrowserRequest } from '../request/browser-request.ts'
import type { Outcome } from '../request/outcome.ts'
import { HOME } from '../request/return-to.ts'

export type { Token }

/**
 * Keeps the session of a way in, or begins the next step of it. A further factor is one more step here.
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
  const returning = url === HOME ? '' : `&return_to=${encodeURIComponent(url)}`
  if (code === 'device_confirmation_required') {
    request.waitForCode({ kind: 'device', challengeId, email, returnTo: url })
    return redirect(request, `/sign-in?step=device${returning}`)
  }
  if (code === 'email_not_verified') {
    request.waitForCode({ kind: 'verification', challengeId, email, returnTo: url })
    return redirect(request, '/verify-email?step=sign-in')
  }
  return undefined
}
