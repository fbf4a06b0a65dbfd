import { availableParallelism } from 'node:os'
import { type Log, silentLog } from '../log.ts'
import type { Config } from '../process/config.ts'
import { HashQueue, type HashSpeed } from './hash-queue.ts'
import { parseImportedHash } from './imported-hash.ts'
import { ARGON2, argon2Seconds, BCRYPT, bcryptSeconds, IMPORTED_BCRYPT_COST_MAX, nativeSeconds } from './native-hash.ts'
import { forBcrypt, importedBcryptForms, unicodeForms } from './password-forms.ts'
import { lowerHashingPriority } from './thread-priority.ts'

/** A password that matches a hash. */
export interface PasswordMatch {
  /** Whether the hash is outdated: of another algorithm or cost than the settings ask for, or not made by Ch202. */
  rehash: boolean
}

/** Hashes and verifies passwords. Every password passed in must be NFC, well-formed and not empty. */
export interface Hasher {
  /** @throws Problem `overloaded` when too many hashes wait already */
  hash(password: string): Promise<string>
  /**
   * Checks a password against a hash. An unreadable hash matches nothing.
   * @returns null when they do not match: an object for both results would be truthy for a wrong password too
   * @throws Problem `overloaded` when too many hashes wait already
   */
  verify(password: string, hash: string): Promise<PasswordMatch | null>
  /** Does the work of a failing check, so that an account that does not exist takes as long as a wrong password. */
  verifyDecoy(password: string): Promise<void>
  /** The number of hashes that wait for a core. */
  readonly waiting: number
}

type Settings = Pick<Config, 'passwordHash' | 'bcryptCost' | 'hashQueue'>

/** The maximum of BCRYPT_COST. The operator may choose a higher cost for their own hashes than imports may have. */
const BCRYPT_COST_MAX = 20
/** Seconds of a core. A check is slow if it takes longer than this and longer than one of our own hashes. */
const SLOW_SECONDS = 0.5
/** Milliseconds after which the priority is lowered again: idle threads end, and new ones have the normal priority. */
const LOWER_AGAIN_AFTER = 60_000
/** OWASP's second choice for argon2id: 19 MiB, two passes. */
const ARGON2_MEMORY = 19_456
const ARGON2_PASSES = 2

/** The hashes that can be imported, for a message. */
export const SUPPORTED_HASHES =
  'a supported hash (bcrypt, argon2, pbkdf2, scrypt or fbscrypt) within the allowed cost limits'

/** Whether an imported hash can be verified here, within the cost limits. */
export function isSupportedHash(hash: string): boolean {
  return isCheckable(hash, IMPORTED_BCRYPT_COST_MAX)
}

/** Whether a hash marks a user without a password, as Django writes it: `!` and anything after it. */
export function isUnusableHash(hash: string): boolean {
  return hash.startsWith('!')
}

/**
 * Hashes with Bun's own algorithms, off the event loop. At most one hash per core runs at a time (more would only cost
 * throughput), the others wait in a bounded queue that sheds load. Expensive imported hashes may use at most half of
 * both: otherwise ten guesses at one such account would make everyone else wait for half a minute.
 */
export class PasswordHasher implements Hasher {
  private readonly queue: HashQueue
  /** The estimated time of one of our own hashes, in seconds of a core. */
  private readonly secondsPerHash: number
  /** The number of hashes, from the start, after which the pool may have a new thread whose priority must be lowered. */
  private threadStarts: number
  /** When the priority was lowered last. Monotonic milliseconds. */
  private loweredAt = 0
  /** The hash of a random password that decoys are checked against. */
  private decoy: Promise<string> | undefined

  constructor(
    private readonly settings: Settings,
    private readonly log: Log = silentLog,
    cores = availableParallelism(),
  ) {
    const { bcryptCost, hashQueue, passwordHash } = settings
    this.queue = new HashQueue(cores, hashQueue)
    this.threadStarts = 2 * cores
    this.secondsPerHash =
      passwordHash === 'bcrypt' ? bcryptSeconds(bcryptCost) : argon2Seconds(ARGON2_MEMORY, ARGON2_PASSES)
  }

  get waiting(): number {
    return this.queue.waiting
  }

  hash(password: string): Promise<string> {
    return this.run('fast', () => this.compute(password))
  }

  verify(password: string, hash: string): Promise<PasswordMatch | null> {
    const isSlow = secondsOf(hash) > Math.max(SLOW_SECONDS, this.secondsPerHash)
    return this.run(isSlow ? 'slow' : 'fast', () => this.check(password, hash))
  }

  async verifyDecoy(password: string): Promise<void> {
    this.decoy ??= this.compute(crypto.randomUUID())
    await this.verify(password, await this.decoy)
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

  private async check(password: string, hash: string): Promise<PasswordMatch | null> {
    if (!isCheckable(hash, BCRYPT_COST_MAX)) {
      this.log.error({ event: 'hash.unreadable' })
      return null
    }
    try {
      const foreign = parseImportedHash(hash)
      if (foreign) return (await anyOf(unicodeForms(password), (form) => foreign.matches(form))) ? REHASH : null
      const isBcrypt = BCRYPT.test(hash)
      if (await Bun.password.verify(isBcrypt ? forBcrypt(password) : password, hash))
        return { rehash: this.isOutdated(hash) }
      const forms = isBcrypt ? importedBcryptForms(password) : unicodeForms(password).slice(1)
      return (await anyOf<string | Buffer>(forms, (form) => Bun.password.verify(form, hash))) ? REHASH : null
    } catch (error) {
      this.log.error({ event: 'hash.unreadable', err: error })
      return null
    }
  }

  /** Whether the settings ask for another algorithm or cost. */
  private isOutdated(hash: string): boolean {
    const { passwordHash, bcryptCost } = this.settings
    if (passwordHash === 'bcrypt') return Number(BCRYPT.exec(hash)?.[1]) !== bcryptCost
    const argon2 = ARGON2.exec(hash)
    return argon2?.[1] !== 'id' || Number(argon2[2]) !== ARGON2_MEMORY || Number(argon2[3]) !== ARGON2_PASSES
  }

  private async run<T>(speed: HashSpeed, job: () => Promise<T>): Promise<T> {
    return await this.queue.run(speed, async () => {
      const result = await job()
      const now = performance.now()
      if (this.threadStarts > 0 || now - this.loweredAt > LOWER_AGAIN_AFTER) {
        this.threadStarts--
        this.loweredAt = now
        lowerHashingPriority()
      }
      return result
    })
  }
}

/** The match of a hash that another system made. */
const REHASH: PasswordMatch = { rehash: true }

function isCheckable(hash: string, bcryptCostMax: number): boolean {
  return nativeSeconds(hash, bcryptCostMax) !== undefined || parseImportedHash(hash) !== undefined
}

/** The estimated time to check a hash, in seconds of a core; 0 for an unreadable hash. */
function secondsOf(hash: string): number {
  return nativeSeconds(hash, BCRYPT_COST_MAX) ?? parseImportedHash(hash)?.seconds ?? 0
}

/** Tries the forms one after the other: a check has one place in the queue, and so one core. */
async function anyOf<T>(forms: readonly T[], matches: (form: T) => Promise<boolean>): Promise<boolean> {
  for (const form of forms) if (await matches(form)) return true
  return false
}
