import type { Caller } from '../../kit/caller.ts'
import { DAY } from '../../kit/clock.ts'
import { Problem } from '../../kit/problem.ts'
import { auditEvent } from '../audit/record.ts'
import { hashOf } from '../challenges/secrets.ts'
import { type ChallengeUseContext, type MailProof, useChallenge } from '../challenges/use.ts'
import type { Notices } from '../mail/notices.ts'
import type { Token } from '../schemas/tokens.ts'
import type { AccountStore, DeviceStore } from '../store/index.ts'
import { type EntryContext, enter } from './enter.ts'
import { wrongCode } from './wrong-code.ts'

/** How long a device stays known, in milliseconds. */
const LIFETIME = 90 * DAY

/**
 * Confirms a new device by the code that was mailed when the password was right, and opens the session.
 * @returns the tokens, and the token by which later logins are known to come from the device
 * @throws Problem `invalid_challenge` also when the account has changed since, `invalid_code`, as `enter`
 */
export async function confirmDevice(
  context: ChallengeUseContext & EntryContext & { store: AccountStore & DeviceStore; notices: Notices },
  proof: MailProof,
  caller: Caller,
): Promise<Token & { device_token: string }> {
  const { clock, notices, random, store } = context
  const { account, login } = await useChallenge(
    context,
    'device',
    proof,
    async ({ data, userId }) => {
      const current = userId === null ? null : await store.accountById(userId)
      // The password was checked against that version. A newer one may have another password.
      if (!current || !data.login || current.sessionsFrom > data.login.version) throw new Problem('invalid_challenge')
      return { result: { account: current, login: data.login }, event: null }
    },
    wrongCode(context, caller),
  )
  const methods = [...login.methods, 'rba' as const]
  const { tokens } = await enter(context, { account, methods, isDeviceKnown: true }, caller, login.kind)
  const token = Buffer.from(random.bytes(32)).toString('base64url')
  const now = clock.now()
  const { ip, userAgent } = caller
  const device = { id: random.id(), userId: account.userId, tokenHash: hashOf(token), createdAt: now }
  const event = auditEvent(context, caller, 'device.confirmed', account.userId, { device_id: device.id })
  await store.addDevice({ ...device, expiresAt: now + LIFETIME }, { ip, userAgent }, event)
  await notices.add(account, 'device_confirmed', caller)
  return { ...tokens, device_token: token }
}
