import { createHash } from 'node:crypto'
import type { Caller } from '../../kit/caller.ts'
import { InternalError } from '../../kit/log.ts'
import type { Config } from '../../kit/process/config.ts'
import type { AuthMethod } from '../../kit/tokens/access-token.ts'
import { type CachedAccountContext, cachedAccount } from '../accounts/cached-account.ts'
import type { PasskeyOptions } from '../schemas/passkeys.ts'
import type { Account, FactorStore, FactStore, Passkey, UsedChallenge } from '../store/index.ts'
import {
  newPasskeyChallenge,
  PASSKEY_CHALLENGE_LIFE,
  type PasskeyChallengeContext,
  type PasskeyPurpose,
  passkeyChallengeExpiry,
} from './passkey-challenge.ts'
import {
  type AuthenticationResponse,
  type Ceremony,
  identityIn,
  PasskeyError,
  verifyAuthentication,
} from './webauthn.ts'

export type PasskeysContext = PasskeyChallengeContext &
  CachedAccountContext & {
    store: FactorStore & FactStore
    config: Pick<Config, 'passkeyOrigins' | 'passkeyRpId' | 'publicUrl'>
  }

/** A ceremony that remembers when the challenge that it accepted expires. */
export interface PasskeyCeremony extends Ceremony {
  rpId: string
  /** The challenge, as the store keeps it until it would have expired. */
  used(challenge: Uint8Array): UsedChallenge
}

/** The id of the relying party: that of the first passkey, or else that of the settings. */
export async function rpIdOf({ config, store }: Pick<PasskeysContext, 'config' | 'store'>): Promise<string> {
  return (await store.fact('passkey_rp_id')) ?? config.passkeyRpId ?? new URL(config.publicUrl).hostname
}

/** Returns what an answer to a challenge must fit. */
export async function ceremonyFor(context: PasskeysContext, purpose: PasskeyPurpose): Promise<PasskeyCeremony> {
  const { passkeyOrigins, publicUrl } = context.config
  return {
    rpId: await rpIdOf(context),
    origins: [new URL(publicUrl).origin, ...passkeyOrigins],
    isChallenge: (challenge) => passkeyChallengeExpiry(context, challenge, purpose) !== null,
    used: (challenge) => ({
      hash: createHash('sha256').update(challenge).digest(),
      expiresAt: passkeyChallengeExpiry(context, challenge, purpose) ?? 0,
    }),
  }
}

/**
 * The options of a login with a passkey (WebAuthn 3, 5.5).
 * @param passkeys those that may answer; empty: any that the browser has for us
 */
export async function authenticationOptions(
  context: PasskeysContext,
  purpose: PasskeyPurpose,
  passkeys: readonly Passkey[],
): Promise<PasskeyOptions> {
  return {
    challenge: newPasskeyChallenge(context, purpose).toString('base64url'),
    timeout: PASSKEY_CHALLENGE_LIFE,
    rpId: await rpIdOf(context),
    allowCredentials: passkeys.map(descriptorOf),
    userVerification: 'required',
  }
}

/** Names a passkey to a browser. */
export function descriptorOf({ credentialId, transports }: Pick<Passkey, 'credentialId' | 'transports'>) {
  return { type: 'public-key' as const, id: Buffer.from(credentialId).toString('base64url'), transports }
}

/** How a passkey authenticates: it has verified its user, which makes it two factors (RFC 8176). */
export function methodsOf({ backupEligible }: Pick<Passkey, 'backupEligible'>): AuthMethod[] {
  return [backupEligible ? 'swk' : 'hwk', 'user', 'mfa']
}

/** A login with a passkey that was right. */
export interface ProvedPasskey {
  account: Account
  methods: AuthMethod[]
}

/**
 * Verifies a login with a passkey, and uses its challenge up.
 * @param userId the user whose passkey it must be; null: any user
 * @returns the account; otherwise why not, for the audit, and whose passkey it is, if that is known
 * @throws Problem `users_unavailable`
 */
export async function provePasskey(
  context: PasskeysContext,
  credential: AuthenticationResponse,
  purpose: PasskeyPurpose,
  userId: string | null,
  caller: Caller,
): Promise<ProvedPasskey | { account: null; userId: string | null; reason: string }> {
  const { clock, store } = context
  const identity = read(() => identityIn(credential))
  const passkey = identity && (await store.passkeyByCredential(identity.credentialId))
  if (!passkey) return { account: null, userId, reason: 'unknown_passkey' }
  const refused = (reason: string) => ({ account: null, userId: passkey.userId, reason })
  if (!isOwner(passkey, userId, identity.userHandle)) return refused('passkey_of_another')
  const ceremony = await ceremonyFor(context, purpose)
  const use = read(() => verifyAuthentication(ceremony, credential, passkey))
  // A passkey cannot become one that is backed up (WebAuthn 3, 7.2).
  if (!use || use.backupEligible !== passkey.backupEligible) return refused('wrong_passkey')
  const { backedUp, challenge, counter } = use
  const login = { id: passkey.id, counter, backedUp, challenge: ceremony.used(challenge), now: clock.now() }
  if (!(await store.usePasskey(login))) return refused('replayed_or_copied_passkey')
  const account = await cachedAccount(context, passkey.userId, caller)
  return account ? { account, methods: methodsOf(passkey) } : refused('account_deleted')
}

/** Whether a passkey is that of the user: by who has logged in so far, or else by the handle that it has signed in with. */
function isOwner(passkey: Passkey, userId: string | null, userHandle: string | null): boolean {
  if (userHandle !== null && userHandle !== passkey.userId) return false
  return userId === null ? userHandle !== null : userId === passkey.userId
}

/** Reads a part of an answer; null: it does not fit. */
export function read<T>(verification: () => T): T | null {
  try {
    return verification()
  } catch (error) {
    if (error instanceof PasskeyError) return null
    throw new InternalError('A passkey could not be verified', { cause: error })
  }
}
