import { type Answer, type Api, errorOf } from './api.ts'
import type { Sessions } from './sessions.ts'
import type { Store } from './store.ts'
import type { Client, Credentials, PasskeyOptions, SignInResult } from './types.ts'

const DEVICE = 'device'

/** The ways in. Every answer to one of them becomes a result: the session begins, or a step remains. */
export function openWaysIn(
  api: Api,
  store: Store,
  sessions: Sessions,
): Pick<Client, 'signUp' | 'signIn' | 'verifyEmail'> {
  /** @param again repeats the way in after the email was verified */
  async function enter(answer: Answer, again: () => Promise<SignInResult>): Promise<SignInResult> {
    const { body, sentAt } = answer
    if (body.access_token) {
      if (body.device_token) await store.set(DEVICE, body.device_token)
      await sessions.begin(body, sentAt)
      return { status: 'complete', challengeId: null }
    }
    const challengeId = body.challenge_id ?? ''
    const step = { challengeId, expiresIn: body.expires_in }
    const challenge = { challenge_id: challengeId }
    const confirmAt = (path: string) => async (answered: string | object) => {
      const proof = typeof answered === 'string' ? { code: answered } : { credential: answered }
      return await enter(await api.ask(path, { ...challenge, ...proof }), again)
    }
    switch (body.code) {
      case 'second_factor_required':
        return {
          status: 'second_factor',
          methods: body.methods ?? [],
          ...step,
          confirm: confirmAt('second-factor'),
          passkeyOptions: async () =>
            (await api.send('passkeys/login-options', challenge)) as unknown as PasskeyOptions,
        }
      case 'device_confirmation_required':
        return { status: 'confirm_device', ...step, confirm: confirmAt('device-confirm') }
      case 'second_factor_enrolment_required':
        return { status: 'enrol_factor', ...step }
      case 'email_not_verified':
        return verifyFirst(challengeId, body.expires_in, again)
    }
    throw errorOf(answer)
  }

  function verifyFirst(
    challengeId: string,
    expiresIn: number | undefined,
    again: () => Promise<SignInResult>,
  ): SignInResult {
    const confirm = async (code: string) => {
      await verifyEmail({ challengeId, code })
      return await again()
    }
    return { status: 'verify_email', challengeId, expiresIn, confirm }
  }

  async function signIn(credentials: Credentials): Promise<SignInResult> {
    const device = await store.get(DEVICE)
    const body = device ? { ...credentials, device_token: device } : credentials
    return await enter(await api.ask('login', body), () => signIn(credentials))
  }

  async function verifyEmail(proof: { challengeId: string; code: string } | { token: string }): Promise<void> {
    const body = 'token' in proof ? { token: proof.token } : { challenge_id: proof.challengeId, code: proof.code }
    await api.send('email-verification-confirm', body)
  }

  return {
    signIn,
    verifyEmail,
    async signUp(user) {
      const answer = await api.ask('register', user)
      if (answer.status >= 400) throw errorOf(answer)
      const { challenge_id: challengeId = null, tokens } = answer.body
      if (tokens) {
        await sessions.begin(tokens, answer.sentAt)
        return { status: 'complete', challengeId }
      }
      const again = () => signIn({ email: user.email, password: user.password })
      return challengeId ? verifyFirst(challengeId, undefined, again) : await again()
    },
  }
}
