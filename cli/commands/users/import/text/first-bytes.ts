import type { Bytes } from './text-lines.ts'

const BLANK = [32, 9, 10, 13, 0xef, 0xbb, 0xbf]

/** The first byte that says something, and the bytes from their beginning once more. */
export async function restarted(source: Bytes): Promise<{ first: number | undefined; bytes: Bytes }> {
  const reader = source[Symbol.asyncIterator]()
  const seen: Uint8Array[] = []
  let first: number | undefined
  while (first === undefined) {
    const { done, value } = await reader.next()
    if (done) break
    seen.push(value)
    first = value.find((byte) => !BLANK.includes(byte))
  }
  return { first, bytes: again(seen, reader) }
}

async function* again(seen: Uint8Array[], reader: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* seen
  for (let next = await reader.next(); !next.done; next = await reader.next()) yield next.value
}

export function isJson(first: number | undefined): boolean {
  return first === 123 || first === 91
}
