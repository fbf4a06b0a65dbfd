import { systemRandom } from '../../kit/random.ts'
import { Sealing } from './sealing.ts'

/**
 * Whether one of the secrets opens a private key as auth keeps it: what the check of a backup asks, with auth down.
 * @param secrets the values of CH202_SECRET
 */
export function signingKeyOpener(secrets: readonly string[]): (kid: string, sealed: Uint8Array) => boolean {
  const sealing = new Sealing(secrets, systemRandom)
  return (kid, sealed) => sealing.open(sealed, `signing key ${kid}`) !== undefined
}
