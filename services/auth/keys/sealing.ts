import { systemRandom } from '../../kit/random.ts'
import { Sealing } from '../../kit/tokens/sealing.ts'

/** The name under which a private signing key is sealed. */
export function signingKeyName(kid: string): string {
  return `signing key ${kid}`
}

/** The name under which the secret of a webhook is sealed. */
export function webhookSecretName(id: string): string {
  return `webhook ${id}`
}

/**
 * Returns a function that reports whether one of the secrets opens a stored private key. For checks of backups and
 * restores, which run without the auth service.
 * @param secrets the values of CH202_SECRET
 */
export function canUnseal(secrets: readonly string[]): (kid: string, sealed: Uint8Array) => boolean {
  const sealing = new Sealing(secrets, systemRandom)
  return (kid, sealed) => sealing.open(sealed, signingKeyName(kid)) !== undefined
}
