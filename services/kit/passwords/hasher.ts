import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { type Log, silentLog } from '../log.ts'
import type { Config } from '../process/config.ts'
import { HashQueue } from './hash-queue.ts'
import { foreignHash } from './imported-hash.ts'
import {
  ARGON2,
  argon2Seconds,
  BCRYPT,
  BCRYPT_COST_TAKEN,
  BCRYPT_READS,
  bcryptSeconds,
  nativeSeconds,
} from './native-hash.ts'
import { yieldToRequests } from './thread-priority.ts'

/** Hashes and checks passwords. Every password handed to it is in NFC, well-formed and not empty. */
export interface Hasher {
  /** @throws Problem `overloaded` when too many wait already */
  hash(password: string): Promise<string>
  /**
   * Whether `password` is the one that `hash` was made of. A hash that can't be read is one that nothing matches.
   * @throws Problem `overloaded` when too many wait already
   */
  verify(password: string, hash: string): Promise<boolean>
  /** Does the work of a check that fails, for an account that doesn't exist. */
  pretend(password: string): Promise<void>
  /** Whether the hash was made otherwise than we would make it today. */
  outdated(hash: string): boolean
  /** How many wait for their turn. */
  readonly waiting: number
}

type Settings = Pick<Config, 'passwordHash' | 'bcryptCost' | 'hashQueue'>

/** As high as BCRYPT_COST may be set: that price is one's own. */
const BCRYPT_COST_MAX = 20
/** Of a core; what takes more, and more than our own, has half of the turns. */
const LONG_SECONDS = 0.5
/** Milliseconds. */
const YIELD_AGAIN = 60_000
/** OWASP's second choice for argon2id: 19 MiB, two passes. */
const ARGON2_MEMORY = 19_456
const ARGON2_PASSES = 2
/** How many hashes are remembered as made elsewhere: each only from its check to the question that follows it. */
const REMEMBERED = 1000

/**
 * bcrypt reads 72 bytes: of a password that has as many or more it is given a digest, so that every byte counts and
 * no hash of ours is one of a password's beginning.
 */
function forBcrypt(password: string): string {
  if (Buffer.byteLength(password) < BCRYPT_READS) return password
  return createHash('sha256').update(password).digest('base64')
}

/** The hashes that are taken from elsewhere, for a message. */
export const KNOWN_HASHES = 'a hash of bcrypt, argon2, pbkdf2, scrypt or fbscrypt, of bearable cost'

/** Whether a hash from elsewhere is one that can be checked here, and at a bearable price. */
export function isKnownHash(hash: string): boolean {
  return isCheckable(hash, BCRYPT_COST_TAKEN)
}

/** Whether it is what Django, and others after it, write for a user without a password: `!`, and anything behind it. */
export function isUnusableHash(hash: string): boolean {
  return hash.startsWith('!')
}

function isCheckable(hash: string, bcryptCostMax: number): boolean {
  return nativeSeconds(hash, bcryptCostMax) !== undefined || foreignHash(hash) !== undefined
}

/** What a check of a hash takes of a core, about. One that can't be read takes nothing. */
function secondsOf(hash: string): number {
  return nativeSeconds(hash, BCRYPT_COST_MAX) ?? foreignHash(hash)?.seconds ?? 0
}

/**
 * The forms of a password that others may have made a hash of: they take what is typed, which on some systems is NFD,
 * where we make one spelling of all (NFC). No hash of ours is made of the other, so it opens nothing but theirs.
 */
function spellings(password: string): string[] {
  const decomposed = password.normalize('NFD')
  return decomposed === password ? [password] : [password, decomposed]
}

/**
 * What others gave to bcrypt, where it is not what we give it: the first 72 bytes of a password. None of our hashes is
 * made of so many, so these too open nothing but what was made elsewhere.
 */
function bcryptFormsOfOthers(password: string): Buffer[] {
  const own = Buffer.from(forBcrypt(password))
  return spellings(password)
    .map((form) => Buffer.from(form).subarray(0, BCRYPT_READS))
    .filter((form) => !form.equals(own))
}

/** One after the other: a check has one turn of the hasher, and so one core. */
async function anyOf<T>(forms: readonly T[], matches: (form: T) => Promise<boolean>): Promise<boolean> {
  for (const form of forms) if (await matches(form)) return true
  return false
}

/**
 * Bun's own hashes, off the event loop, at most as many at once as there are cores (more would cost throughput and
 * gain nothing), the others in a bounded queue that sheds load. The dearest of elsewhere have half of both: else ten
 * guesses at one such account would keep everyone else waiting for half a minute.
 */
export class PasswordHasher implements Hasher {
  private readonly turns: HashQueue
  private readonly ownSeconds: number
  /** The threads of the pool begin with the first hashes, and may end when there are none. */
  private threadsToCome: number
  private yieldedAt = 0
  private pretended: Promise<string> | undefined
  /** Hashes of the form of ours that a password matched in a way of others. */
  private readonly ofOthers = new Set<string>()

  constructor(
    private readonly settings: Settings,
    private readonly log: Log = silentLog,
    cores = availableParallelism(),
  ) {
    const { bcryptCost, hashQueue, passwordHash } = settings
    this.turns = new HashQueue(cores, hashQueue)
    this.threadsToCome = 2 * cores
    this.ownSeconds =
      passwordHash === 'bcrypt' ? bcryptSeconds(bcryptCost) : argon2Seconds(ARGON2_MEMORY, ARGON2_PASSES)
  }

  get waiting(): number {
    return this.turns.waiting
  }

  hash(password: string): Promise<string> {
    return this.turn(false, () => this.compute(password))
  }

  verify(password: string, hash: string): Promise<boolean> {
    const long = secondsOf(hash) > Math.max(LONG_SECONDS, this.ownSeconds)
    return this.turn(long, () => this.check(password, hash))
  }

  async pretend(password: string): Promise<void> {
    this.pretended ??= this.compute(crypto.randomUUID())
    await this.verify(password, await this.pretended)
  }

  outdated(hash: string): boolean {
    const { passwordHash, bcryptCost } = this.settings
    if (this.ofOthers.has(hash)) return true
    if (passwordHash === 'bcrypt') return Number(BCRYPT.exec(hash)?.[1]) !== bcryptCost
    const argon2 = ARGON2.exec(hash)
    return argon2?.[1] !== 'id' || Number(argon2[2]) !== ARGON2_MEMORY || Number(argon2[3]) !== ARGON2_PASSES
  }

  private compute(password: string): Promise<string> {
    const { passwordHash, bcryptCost } = this.settings
    return Bun.password.hash(
      passwordHash === 'bcrypt' ? forBcrypt(password) : password,
      passwordHash === 'bcrypt'
        ? { algorithm: 'bcrypt', cost: bcryptCost }
        : { algorithm: 'argon2id', memoryCost: ARGON2_MEMORY, timeCost: ARGON2_PASSES },
    )
  }

  private async check(password: string, hash: string): Promise<boolean> {
    if (!isCheckable(hash, BCRYPT_COST_MAX)) {
      this.log.error({ event: 'hash.unreadable' })
      return false
    }
    try {
      const foreign = foreignHash(hash)
      if (foreign) return await anyOf(spellings(password), (form) => foreign.matches(form))
      const bcrypt = BCRYPT.test(hash)
      if (await Bun.password.verify(bcrypt ? forBcrypt(password) : password, hash)) return true
      const forms = bcrypt ? bcryptFormsOfOthers(password) : spellings(password).slice(1)
      const matched = await anyOf<string | Buffer>(forms, (form) => Bun.password.verify(form, hash))
      if (matched) this.remember(hash)
      return matched
    } catch (error) {
      this.log.error({ event: 'hash.unreadable', err: error })
      return false
    }
  }

  private async turn<T>(long: boolean, work: () => Promise<T>): Promise<T> {
    return await this.turns.take(long, async () => {
      const result = await work()
      const now = performance.now()
      if (this.threadsToCome > 0 || now - this.yieldedAt > YIELD_AGAIN) {
        this.threadsToCome--
        this.yieldedAt = now
        yieldToRequests()
      }
      return result
    })
  }

  private remember(hash: string): void {
    this.ofOthers.add(hash)
    const [oldest] = this.ofOthers
    if (this.ofOthers.size > REMEMBERED && oldest !== undefined) this.ofOthers.delete(oldest)
  }
}
