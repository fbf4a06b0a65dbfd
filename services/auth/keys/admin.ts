import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import { type RecentContext, requireRecentUser } from '../assurance/recent.ts'
import type { RotateQuery } from '../schemas/keys.ts'
import type { StoredKey } from '../store/index.ts'
import type { KeyRing } from './ring.ts'
import type { KeyRotation } from './rotation.ts'

export interface KeysContext extends RecentContext {
  keyRing: Pick<KeyRing, 'list'>
  rotation: Pick<KeyRotation, 'remove' | 'rotate' | 'signsAt'>
}

/** Lists the signing keys: the pending one, the active one, then the retiring ones, newest first. */
export function listKeys({ keyRing }: Pick<KeysContext, 'keyRing'>) {
  return { items: keyRing.list().map(keyRead) }
}

/**
 * Publishes a new key of an algorithm, which signs after SIGNING_KEY_LEAD, or with `now` at once. Tokens of the previous key
 * stay valid until they expire.
 * @returns `signsAt`: when the key starts to sign (RFC 3339); undefined when it signs already
 * @throws Problem `reauthentication_required`; `validation_failed` for an algorithm that is not in use
 */
export async function rotateKey(context: KeysContext, { alg, now }: RotateQuery, caller: Caller) {
  await requireRecentUser(context, caller)
  const { rotation } = context
  const key = await rotation.rotate(caller, now === 'true' ? 'sign now' : 'sign after lead', alg)
  return { key: keyRead(key), signsAt: key.status === 'pending' ? timestamp(rotation.signsAt(key)) : undefined }
}

/** Removes a key: every service refuses its tokens at once. @throws Problem `not_found`, `reauthentication_required` */
export async function removeKey(context: KeysContext, kid: string, caller: Caller): Promise<void> {
  await requireRecentUser(context, caller)
  await context.rotation.remove(kid, caller)
}

function keyRead({ alg, createdAt, kid, status }: StoredKey) {
  return { kid, alg, created_at: timestamp(createdAt), status }
}
