import { randomBytes, randomUUID } from 'node:crypto'

/** Where a service gets ids and unguessable bits; tests pass one that repeats. */
export interface Random {
  /** A UUID v7 (RFC 9562): sorts by the time of its making. For ids, never for secrets. */
  id(): string
  /** A UUID v4: 122 unguessable bits. */
  uuid4(): string
  bytes(length: number): Buffer
}

export const systemRandom: Random = {
  id: () => Bun.randomUUIDv7(),
  uuid4: () => randomUUID(),
  bytes: (length) => randomBytes(length),
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

export function isUuid(text: string): boolean {
  return UUID.test(text)
}
