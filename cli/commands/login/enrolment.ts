import type { ServiceName } from '../../../services/registry.ts'
import type { Api } from '../../client/api.ts'
import { isWrongCode } from '../../client/responses.ts'
import { acceptedCode, askText } from '../../terminal/codes.ts'
import { qrCode } from '../../terminal/qr-code.ts'
import { note, plain } from '../../terminal/terminal.ts'

/** Everything that a step of a login works with. */
export interface LoginSteps {
  api: Api
  addresses: Record<ServiceName, string>
  email: string
  /** The command to log in again. */
  again: string
  /** Sends a body to a path of auth. */
  send(path: string, body: object): Promise<Response>
}

/**
 * Adds an app to the account of a login that needs one: shows the key, asks for the first code, and prints the recovery
 * codes, once.
 * @returns an answer with the tokens of the login
 * @throws Failure for a refusal, and after three wrong codes
 */
export async function enrolApp({ again, api, email, send }: LoginSteps, challengeId: string): Promise<Response> {
  const begun = await send('factors/totp', { challenge_id: challengeId })
  await api.refuseProblem('auth', begun)
  const { id, secret, uri } = (await begun.json().catch(() => ({}))) as Partial<Record<'id' | 'secret' | 'uri', string>>
  if (!id || !secret || !uri) throw api.notOurService('auth')
  note(`${plain(email)} must have a second factor. Add it to an app that shows codes:`)
  const picture = await qrCode(uri, process.stderr)
  // Lines that begin with a blank would be wrapped as text.
  if (picture !== undefined) process.stderr.write(`${picture}\n`)
  note(`The key: ${plain(secret).replaceAll(/.{4}(?=.)/g, '$& ')}`)
  const confirm = async (code: string) => {
    const answer = await send('factors/totp/confirm', { challenge_id: challengeId, id, code })
    return (await isWrongCode(answer)) ? undefined : answer
  }
  const confirmed = await acceptedCode('Code that the app shows', askText, confirm, again)
  await api.refuseProblem('auth', confirmed)
  const { recovery_codes, tokens } = (await confirmed.json().catch(() => ({}))) as {
    recovery_codes?: string[]
    tokens?: object
  }
  if (!tokens) throw api.notOurService('auth')
  if (Array.isArray(recovery_codes)) showRecoveryCodes(recovery_codes)
  return Response.json(tokens)
}

function showRecoveryCodes(codes: readonly string[]): void {
  const lines = codes.map((code) => `  ${plain(String(code))}`)
  note(
    ['Recovery codes, each for one login without the app. Store them now: they are not shown again.', ...lines].join(
      '\n',
    ),
  )
}
