import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Config } from './config.ts'
import { type Log, silentLog } from './log.ts'
import { Problem } from './problem.ts'

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

const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/
const ARGON2 =
  /^\$argon2(id|i|d)\$v=19\$m=(\d{1,7}),t=(\d{1,4}),p=(\d{1,3})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,171}$/
const BCRYPT_READS = 72
/** OWASP's second choice for argon2id: 19 MiB, two passes. */
const ARGON2_MEMORY = 19_456
const ARGON2_PASSES = 2

/**
 * bcrypt reads 72 bytes: of a password that has as many or more it is given a digest, so that every byte counts and
 * no hash of ours is one of a password's beginning.
 */
function forBcrypt(password: string): string {
  if (Buffer.byteLength(password) < BCRYPT_READS) return password
  return createHash('sha256').update(password).digest('base64')
}

/** Whether a hash from elsewhere is one that can be checked here, and at a bearable price. */
export function isKnownHash(hash: string): boolean {
  const bcrypt = BCRYPT.exec(hash)
  if (bcrypt) return Number(bcrypt[1]) >= 4 && Number(bcrypt[1]) <= 20
  const argon2 = ARGON2.exec(hash)
  return argon2 !== null && Number(argon2[2]) <= 1_048_576 && Number(argon2[3]) <= 64
}

/**
 * Bun's own hashes, off the event loop, at most as many at once as there are cores (more would cost throughput and
 * gain nothing), the others in a bounded queue that sheds load.
 */
export class PasswordHasher implements Hasher {
  private readonly queue: (() => void)[] = []
  private running = 0
  private pretended: Promise<string> | undefined

  constructor(
    private readonly settings: Settings,
    private readonly log: Log = silentLog,
    private readonly cores = availableParallelism(),
  ) {}

  get waiting(): number {
    return this.queue.length
  }

  hash(password: string): Promise<string> {
    return this.turn(() => this.compute(password))
  }

  verify(password: string, hash: string): Promise<boolean> {
    return this.turn(() => this.check(password, hash))
  }

  async pretend(password: string): Promise<void> {
    this.pretended ??= this.compute(crypto.randomUUID())
    await this.verify(password, await this.pretended)
  }

  outdated(hash: string): boolean {
    const { passwordHash, bcryptCost } = this.settings
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
    if (!isKnownHash(hash)) {
      this.log.error({ event: 'hash.unreadable' })
      return false
    }
    try {
      if (!BCRYPT.test(hash)) return await Bun.password.verify(password, hash)
      if (await Bun.password.verify(forBcrypt(password), hash)) return true
      // Others made a bcrypt hash of the first 72 bytes of a password. None of ours is made of so many, so this opens
      // nothing but what was made elsewhere.
      const bytes = Buffer.from(password)
      if (bytes.length < BCRYPT_READS) return false
      return await Bun.password.verify(bytes.subarray(0, BCRYPT_READS), hash)
    } catch (error) {
      this.log.error({ event: 'hash.unreadable', err: error })
      return false
    }
  }

  private async turn<T>(work: () => Promise<T>): Promise<T> {
    if (this.running >= this.cores) {
      if (this.queue.length >= this.settings.hashQueue) throw new Problem('overloaded', { retryAfter: 2 })
      await new Promise<void>((resolve) => this.queue.push(resolve))
    } else this.running++
    try {
      return await work()
    } finally {
      // The turn passes on to the next in line, or ends.
      const next = this.queue.shift()
      if (next) next()
      else this.running--
    }
  }
}
