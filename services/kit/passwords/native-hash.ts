// The hashes that Bun verifies itself, and the cost of checking one.

export const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/
export const ARGON2 =
  /^\$argon2(id|i|d)\$v=19\$m=(\d{1,7}),t=(\d{1,4}),p=(\d{1,3})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,171}$/
/** Bytes of a password that bcrypt reads. It ignores the rest. */
export const BCRYPT_BYTES_MAX = 72
const BCRYPT_COST_MIN = 4
/** The maximum cost of an imported hash: two seconds of a core. */
export const IMPORTED_BCRYPT_COST_MAX = 15
/** Seconds of a core for a check of cost 10. */
const BCRYPT_10_SECONDS = 0.075
/** Limits of an imported hash, in KiB and in KiB times passes: about a second of a core. */
const ARGON2_MEMORY_MAX = 262_144
const ARGON2_WORK_MAX = 1_048_576
const ARGON2_PASSES_MAX = 64
const ARGON2_WORK_PER_SECOND = ARGON2_WORK_MAX

/**
 * The estimated time to check a bcrypt or argon2 hash, in seconds of a core.
 * @returns undefined for any other hash, and for one that would cost too much to check
 */
export function nativeSeconds(hash: string, bcryptCostMax: number): number | undefined {
  const cost = Number(BCRYPT.exec(hash)?.[1])
  if (cost >= BCRYPT_COST_MIN && cost <= bcryptCostMax) return bcryptSeconds(cost)
  const argon2 = ARGON2.exec(hash)
  const [memory, passes, lanes] = [Number(argon2?.[2]), Number(argon2?.[3]), Number(argon2?.[4])]
  return isWithinLimits(memory, passes, lanes) ? argon2Seconds(memory, passes) : undefined
}

/** Whether a hash of argon2 is valid and cheap enough. The lower bounds are argon2's own (RFC 9106, section 3.1). */
function isWithinLimits(memory: number, passes: number, lanes: number): boolean {
  const isValid = passes >= 1 && lanes >= 1 && memory >= 8 * lanes
  return isValid && passes <= ARGON2_PASSES_MAX && memory <= ARGON2_MEMORY_MAX && memory * passes <= ARGON2_WORK_MAX
}

/** The estimated time of bcrypt, in seconds of a core. */
export function bcryptSeconds(cost: number): number {
  return BCRYPT_10_SECONDS * 2 ** (cost - 10)
}

/** The estimated time of argon2, in seconds of a core. @param memory KiB */
export function argon2Seconds(memory: number, passes: number): number {
  return (memory * passes) / ARGON2_WORK_PER_SECOND
}
