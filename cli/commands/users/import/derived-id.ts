const HEX = 16
/** Bits of the record's number that the id has after its first group of twelve bits. */
const LOW_BITS = 20

/** Identifies an import: its start (in milliseconds) and ten random hexadecimal digits. */
export interface RunId {
  startedAt: number
  random: string
}

/** Creates the identity of an import. @param startedAt the current time in milliseconds */
export function newRunId(startedAt: number): RunId {
  const bytes = crypto.getRandomValues(new Uint8Array(5))
  return { startedAt, random: Buffer.from(bytes).toString('hex') }
}

/**
 * Derives the id of a user from the import and the record's number, for records without an id. The id is a UUID v7
 * (RFC 9562). It is the same each time the record is sent, so that a repeated record is recognized, and it grows with the
 * number, so that the database appends.
 * @param record number of the record from 0, below 2^32
 */
export function derivedId({ startedAt, random }: RunId, record: number): string {
  const time = startedAt.toString(HEX).padStart(12, '0')
  const high = (record >>> LOW_BITS).toString(HEX).padStart(3, '0')
  const low = (record & 0xfffff).toString(HEX).padStart(5, '0')
  // The two bits of the variant, the remaining bits of the record's number, then the import's random digits.
  const variant = (0x8 | (Number.parseInt(low.charAt(0), HEX) >> 2)).toString(HEX)
  const bits = ((Number.parseInt(low, HEX) & 0x3ffff) << 2).toString(HEX).padStart(5, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${high}-${variant}${bits.slice(0, 3)}-${bits.slice(3)}${random}`
}
