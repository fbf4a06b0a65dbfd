import type { Caller } from '../../kit/caller.ts'
import { MINUTE } from '../../kit/clock.ts'
import { Problem } from '../../kit/problem.ts'
import { qrCode } from '../../kit/qr-code.ts'
import { totpSecretName } from '../factors/check-code.ts'
import { totpRead } from '../factors/factors.ts'
import { matchedStep, NEW_TOTP, TOTP_SECRET_BYTES, toBase32, totpUri } from '../factors/totp.ts'
import type { NewTotp } from '../schemas/factors.ts'
import type { Totp } from '../store/index.ts'
import { type Enrolled, type EnrolmentContext, enrol, enrollerOf } from './enrolment.ts'

/** How long a new secret waits for its first code, in milliseconds. */
const PENDING = 10 * MINUTE

/**
 * Makes a secret for an app that shows codes. It is no factor before a code of it was typed.
 * @throws Problem as `enrollerOf`
 */
export async function startTotp(
  context: EnrolmentContext,
  { challenge_id }: { challenge_id?: string },
  caller: Caller,
): Promise<NewTotp> {
  const { account } = await enrollerOf(context, challenge_id, caller)
  const { clock, config, random, sealing, store } = context
  const secret = random.bytes(TOTP_SECRET_BYTES)
  const id = random.id()
  const now = clock.now()
  const totp: Totp = {
    ...NEW_TOTP,
    id,
    userId: account.userId,
    name: 'Authenticator app',
    sealedSecret: sealing.seal(secret, totpSecretName(account.userId, id)),
    createdAt: now,
    confirmedAt: null,
    expiresAt: now + PENDING,
    lastUsedAt: null,
    lastStep: -1,
  }
  await store.startTotp(totp)
  const uri = totpUri(secret, totp, { issuer: config.productName, account: account.email })
  return { id, secret: toBase32(secret), uri, qr: qrCode(uri) }
}

/**
 * Makes an app a factor, by its first code.
 * @throws Problem `factor_not_found` for a secret that is unknown or has expired, `invalid_code`, as `enrollerOf`
 */
export async function confirmTotp(
  context: EnrolmentContext,
  { challenge_id, code, id }: { id: string; code: string; challenge_id?: string },
  caller: Caller,
): Promise<Enrolled> {
  const enroller = await enrollerOf(context, challenge_id, caller)
  const { clock, sealing, store } = context
  const { userId } = enroller.account
  const now = clock.now()
  const totp = await store.pendingTotp(userId, id.toLowerCase(), now)
  if (!totp) throw new Problem('factor_not_found')
  const secret = sealing.open(totp.sealedSecret, totpSecretName(userId, totp.id))
  const step = secret ? matchedStep(secret, totp, code, now) : null
  if (step === null) throw new Problem('invalid_code')
  const factor = totpRead({ ...totp, lastUsedAt: now })
  return await enrol(
    context,
    enroller,
    { factor: { kind: 'totp', id: totp.id, step }, read: factor, methods: ['otp', 'mfa'], now },
    caller,
  )
}
