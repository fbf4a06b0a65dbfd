const HEX = 16
const LATER_BITS = 20

/** What one import is known by: when it was begun (in milliseconds), and ten random hexadecimal digits. */
export interface RunId {
  startedAt: number
  random: string
}

export function newRun(startedAt: number): RunId {
  const bytes = crypto.getRandomValues(new Uint8Array(5))
  return { startedAt, random: Buffer.from(bytes).toString('hex') }
}

/**
 * The id of the user that a record makes, where the record brings none: a UUID v7 (RFC 9562) of the run and the
 * record's number. The same each time, so that a record that is sent again is known by it; and growing with the number,
 * so that the database appends.
 * @param record from 0, below 2^32
 */
export function derivedId({ startedAt, random }: RunId, record: number): string {
  const time = startedAt.toString(HEX).padStart(12, '0')
  const high = (record >>> LATER_BITS).toString(HEX).padStart(3, '0')
  const low = (record & 0xfffff).toString(HEX).padStart(5, '0')
  // The two bits of the variant, then what is left of the record's number, then the run.
  const clock = (0x8 | (Number.parseInt(low.charAt(0), HEX) >> 2)).toString(HEX)
  const bits = ((Number.parseInt(low, HEX) & 0x3ffff) << 2).toString(HEX).padStart(5, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${high}-${clock}${bits.slice(0, 3)}-${bits.slice(3)}${random}`
}
