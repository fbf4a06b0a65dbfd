import type { AuditEvent } from '../kit/audit.ts'
import type { Caller } from '../kit/caller.ts'
import { HOUR, MINUTE } from '../kit/clock.ts'
import { Problem } from '../kit/problem.ts'
import { type AuthContext, eventBy } from './context.ts'
import type { StoredKey } from './store.ts'

const SIGNED_AT_MOST_LATE = MINUTE
const LOOK_EVERY = MINUTE
/**
 * Between two rotations by age, by the monotonic clock: a wall clock that is set years forward and back, again and
 * again, makes no storm of keys.
 */
const LEAST_PAUSE = HOUR

/** Signs with a new key from now on, at someone's request. Resolves when it does. */
export function rotate(context: AuthContext, caller: Caller): Promise<StoredKey> {
  return context.keyRing.exclusively(() =>
    replace(context, (kid) => eventBy(context, caller, 'key.rotated', null, { kid })),
  )
}

/**
 * Takes a key out in an emergency: its tokens are refused everywhere when this resolves. Where it is the one that
 * signs, another takes its place first.
 * @throws Problem `not_found`
 */
export function removeKey(context: AuthContext, kid: string, caller: Caller): Promise<void> {
  const { feed, keyRing, tokens } = context
  return keyRing.exclusively(async () => {
    if (!keyRing.has(kid)) throw new Problem('not_found')
    if (keyRing.active().kid === kid)
      await replace(context, (next) => eventBy(context, caller, 'key.rotated', null, { kid: next }))
    const seq = await keyRing.remove(kid, eventBy(context, caller, 'key.removed', null, { kid }))
    tokens.keysChanged()
    await feed.announceUpTo(seq)
  })
}

/**
 * Makes a new signing key. It is published first and signs only when every service knows it, so that no token is
 * refused meanwhile; the key before it stays until its last token has expired. To be called alone.
 */
async function replace({ clock, config, feed, keyRing }: AuthContext, event: (kid: string) => AuditEvent) {
  const { kid, seq } = await keyRing.add()
  await feed.announceUpTo(seq)
  const goneAt = clock.now() + config.jwtExpire + SIGNED_AT_MOST_LATE
  return await keyRing.activate(kid, goneAt, event(kid))
}

/**
 * Rotates the key that signs when it is older than SIGNING_KEY_MAX_AGE, beside the requests: soon after the start, and
 * looked at every minute. Its age counts from when it was made, which is less than a lease before it began to sign: a
 * key whose rotation was cut short never signs.
 */
export class RotationByAge {
  private timer: ReturnType<typeof setInterval> | undefined
  private looking: Promise<void> = Promise.resolve()
  /** Monotonic milliseconds. */
  private rotatedAt = Number.NEGATIVE_INFINITY

  constructor(private readonly context: AuthContext) {}

  start(): void {
    this.look()
    this.timer = setInterval(() => this.look(), LOOK_EVERY)
  }

  /** Resolves when a rotation that is under way is done. */
  async stop(): Promise<void> {
    clearInterval(this.timer)
    await this.looking
  }

  private look(): void {
    const { log } = this.context
    this.looking = this.looking
      .then(() => this.rotateIfOld())
      .catch((error) => log.error({ event: 'key.rotation_failed', err: error }))
  }

  private async rotateIfOld(): Promise<void> {
    const { clock, keyRing, log } = this.context
    if (!this.isOld() || clock.monotonic() - this.rotatedAt < LEAST_PAUSE) return
    await keyRing.exclusively(async () => {
      // Someone may have just done it by hand.
      if (!this.isOld()) return
      await replace(this.context, (kid) => this.event(kid))
      this.rotatedAt = clock.monotonic()
      log.info({ event: 'key.rotated' })
    })
  }

  /** A key of the future, made while the clock was ahead, is not old. */
  private isOld(): boolean {
    const { clock, config, keyRing } = this.context
    return clock.now() - keyRing.active().createdAt >= config.signingKeyMaxAge
  }

  private event(kid: string): AuditEvent {
    const { clock, random } = this.context
    const at = clock.now()
    return {
      id: random.id(),
      at,
      type: 'key.rotated',
      userId: null,
      actor: 'auth',
      ip: null,
      requestId: null,
      detail: { kid },
    }
  }
}
