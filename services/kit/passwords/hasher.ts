import { availableParallelism } from 'node:os'
import { type Log, silentLog } from '../log.ts'
import { Problem } from '../problem.ts'
import type { Config } from '../process/config.ts'
import type { HashJob, HashParameters } from './hash-job.ts'
import { HashQueue } from './hash-queue.ts'
import { HashWorkers, WorkerFailure } from './hash-workers.ts'
import { parseImportedHash } from './imported-hash.ts'
import { ARGON2, argon2Seconds, BCRYPT, bcryptSeconds, IMPORTED_BCRYPT_COST_MAX, nativeSeconds } from './native-hash.ts'

/** A password that matches a hash. */
export interface PasswordMatch {
  /** Whether the hash is outdated: of another algorithm or cost than the settings ask for, or not made by Ch202. */
  rehash: boolean
}

/** Hashes and verifies passwords. Every password passed in must be NFC, well-formed and not empty. */
export interface Hasher {
  /** @throws Problem `overloaded` when too many hashes wait already, or the thread that hashed failed */
  hash(password: string): Promise<string>
  /**
   * Checks a password against a hash. An unreadable hash matches nothing.
   * @returns null when they do not match: an object for both results would be truthy for a wrong password too
   * @throws Problem `overloaded` when too many hashes wait already, or the thread that hashed failed
   */
  verify(password: string, hash: string): Promise<PasswordMatch | null>
  /** Does the work of a failing check, so that an account that does not exist takes as long as a wrong password. */
  verifyDecoy(password: string): Promise<void>
  /** The number of hashes that wait for a core. */
  readonly waiting: number
  /** The number of hashes that a core works on. */
  readonly running: number
  /** How many hashes were refused so far, because too many waited. */
  readonly shed: number
}

type Settings = Pick<Config, 'passwordHash' | 'bcryptCost' | 'hashQueue'>

/** The maximum of BCRYPT_COST. The operator may choose a higher cost for their own hashes than imports may have. */
const BCRYPT_COST_MAX = 20
/** Seconds of a core. A check is slow if it takes longer than this and longer than one of our own hashes. */
const SLOW_SECONDS = 0.5
/** Milliseconds that a hash may take at least, and how many times its estimate: its thread has a low priority. */
const PATIENCE_LEAST = 60_000
const PATIENCE_TIMES = 60
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
 * Hashes with Bun's own algorithms, in threads of our own. At most one hash per core runs at a time (more would only cost
 * throughput), the others wait in a bounded queue that sheds load. Expensive imported hashes may use at most half of
 * both: otherwise ten guesses at one such account would make everyone else wait for half a minute.
 */
export class PasswordHasher implements Hasher {
  private readonly queue: HashQueue
  /** The algorithm and the cost of new hashes. */
  private readonly parameters: HashParameters
  /** The estimated time of one of our own hashes, in seconds of a core. */
  private readonly secondsPerHash: number
  /** The hash of a random password that decoys are checked against. */
  private decoy: Promise<string> | undefined

  constructor(
    { bcryptCost, hashQueue, passwordHash }: Settings,
    private readonly log: Log = silentLog,
    cores = availableParallelism(),
    private readonly workers = new HashWorkers(),
  ) {
    this.queue = new HashQueue(cores, hashQueue)
    this.parameters =
      passwordHash === 'bcrypt'
        ? { algorithm: 'bcrypt', cost: bcryptCost }
        : { algorithm: 'argon2id', memoryCost: ARGON2_MEMORY, timeCost: ARGON2_PASSES }
    this.secondsPerHash =
      passwordHash === 'bcrypt' ? bcryptSeconds(bcryptCost) : argon2Seconds(ARGON2_MEMORY, ARGON2_PASSES)
  }

  get waiting(): number {
    return this.queue.waiting
  }

  get running(): number {
    return this.queue.running
  }

  get shed(): number {
    return this.queue.shed
  }

  hash(password: string): Promise<string> {
    return this.run({ kind: 'hash', password, parameters: this.parameters }, this.secondsPerHash)
  }

  async verify(password: string, hash: string): Promise<PasswordMatch | null> {
    const isReadable = isCheckable(hash, BCRYPT_COST_MAX)
    const result = isReadable ? await this.run({ kind: 'check', password, hash }, secondsOf(hash)) : 'unreadable'
    if (result === 'unreadable') this.log.error({ event: 'hash.unreadable' })
    if (result === 'match') return { rehash: this.isOutdated(hash) }
    return result === 'imported' ? { rehash: true } : null
  }

  async verifyDecoy(password: string): Promise<void> {
    this.decoy ??= this.hash(crypto.randomUUID()).catch((error) => {
      // The next call computes the hash again.
      this.decoy = undefined
      throw error
    })
    await this.verify(password, await this.decoy)
  }

  /** Whether the settings ask for another algorithm or cost. */
  private isOutdated(hash: string): boolean {
    if (this.parameters.algorithm === 'bcrypt') return Number(BCRYPT.exec(hash)?.[1]) !== this.parameters.cost
    const argon2 = ARGON2.exec(hash)
    return argon2?.[1] !== 'id' || Number(argon2[2]) !== ARGON2_MEMORY || Number(argon2[3]) !== ARGON2_PASSES
  }

  /** @param seconds the estimated time of the job, in seconds of a core */
  private async run<Job extends HashJob>(job: Job, seconds: number) {
    const isSlow = seconds > Math.max(SLOW_SECONDS, this.secondsPerHash)
    const patience = Math.max(PATIENCE_LEAST, PATIENCE_TIMES * seconds * 1000)
    try {
      return await this.queue.run(isSlow ? 'slow' : 'fast', () => this.workers.run(job, patience))
    } catch (error) {
      if (!(error instanceof WorkerFailure)) throw error
      this.log.error({ event: 'hash.worker_failed', code: error.code })
      // The job is not repeated here: whatever ended one thread could end another.
      throw new Problem('overloaded', { retryAfter: 2 })
    }
  }
}

function isCheckable(hash: string, bcryptCostMax: number): boolean {
  return nativeSeconds(hash, bcryptCostMax) !== undefined || parseImportedHash(hash) !== undefined
}

/** The estimated time to check a hash, in seconds of a core; 0 for an unreadable hash. */
function secondsOf(hash: string): number {
  return nativeSeconds(hash, BCRYPT_COST_MAX) ?? parseImportedHash(hash)?.seconds ?? 0
}
