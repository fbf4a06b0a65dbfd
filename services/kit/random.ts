import { randomBytes, randomUUID } from 'node:crypto'

/** The source of ids and unguessable bytes of a service. Tests pass a repeatable one. */
export interface Random {
  /** A UUID v7 (RFC 9562), which sorts by its time of creation. For ids, never for secrets. */
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

/** Whether a text is a UUID in lower case, as `Random` writes them. */
export function isUuid(text: string): boolean {
  return UUID.test(text)
}
