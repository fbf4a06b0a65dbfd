import type { Caller } from '../../kit/caller.ts'
import { deviceName } from '../../kit/device-name.ts'
import { Problem } from '../../kit/problem.ts'
import { passkeyRead } from '../factors/factors.ts'
import { newPasskeyChallenge, PASSKEY_CHALLENGE_LIFE } from '../factors/passkey-challenge.ts'
import { ceremonyFor, descriptorOf, methodsOf, read, rpIdOf } from '../factors/passkeys.ts'
import { PASSKEY_ALGORITHMS, type RegistrationResponse, verifyRegistration } from '../factors/webauthn.ts'
import type { PasskeyCreationOptions } from '../schemas/passkeys.ts'
import type { Passkey } from '../store/index.ts'
import { type Enrolled, type EnrolmentContext, enrol, enrollerOf } from './enrolment.ts'

/** The options of a new passkey (WebAuthn 3, 5.4). @throws Problem as `enrollerOf` */
export async function passkeyCreationOptions(
  context: EnrolmentContext,
  { challenge_id }: { challenge_id?: string },
  caller: Caller,
): Promise<PasskeyCreationOptions> {
  const { account } = await enrollerOf(context, challenge_id, caller)
  const { config, store } = context
  const { email, profile, userId } = account
  const { passkeys } = await store.factorsOf(userId)
  const name = typeof profile.name === 'string' && profile.name !== '' ? profile.name : email
  return {
    rp: { id: await rpIdOf(context), name: config.productName },
    user: { id: Buffer.from(userId).toString('base64url'), name: email, displayName: name },
    challenge: newPasskeyChallenge(context, { for: 'enrolment', userId }).toString('base64url'),
    pubKeyCredParams: PASSKEY_ALGORITHMS.map((alg) => ({ type: 'public-key', alg })),
    timeout: PASSKEY_CHALLENGE_LIFE,
    excludeCredentials: passkeys.map(descriptorOf),
    authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
    attestation: 'none',
  }
}

/**
 * Adds a passkey.
 * @throws Problem `invalid_credentials` whatever does not fit; `validation_failed` if it was added before; as `enrollerOf`
 */
export async function addPasskey(
  context: EnrolmentContext,
  { challenge_id, credential, name }: { credential: RegistrationResponse; name?: string; challenge_id?: string },
  caller: Caller,
): Promise<Enrolled> {
  const enroller = await enrollerOf(context, challenge_id, caller)
  const { clock, random } = context
  const { userId } = enroller.account
  const ceremony = await ceremonyFor(context, { for: 'enrolment', userId })
  const verified = read(() => verifyRegistration(ceremony, credential))
  if (!verified) throw new Problem('invalid_credentials')
  const { challenge, ...data } = verified
  const passkey: Passkey = {
    ...data,
    id: random.id(),
    userId,
    name: name ?? deviceName(caller.userAgent ?? '') ?? 'Passkey',
    transports: transportsOf(credential),
    createdAt: clock.now(),
    lastUsedAt: null,
  }
  const factor = { kind: 'passkey', passkey, challenge: ceremony.used(challenge), rpId: ceremony.rpId } as const
  return await enrol(
    context,
    enroller,
    { factor, read: passkeyRead(passkey), methods: methodsOf(passkey), now: passkey.createdAt },
    caller,
  )
}

/** The transports that the browser names: words that it gets back with later requests. */
function transportsOf({ response }: RegistrationResponse): string[] {
  const names = Array.isArray(response.transports) ? response.transports : []
  const words = names.filter((name): name is string => typeof name === 'string' && /^[a-z-]{1,20}$/.test(name))
  return [...new Set(words)].slice(0, 8)
}
