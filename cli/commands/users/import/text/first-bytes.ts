import type { Bytes } from './text-lines.ts'

const BLANK = [32, 9, 10, 13, 0xef, 0xbb, 0xbf]

/** Finds the first byte that is not white space, and gives all bytes from the beginning again. */
export async function peekFirst(source: Bytes): Promise<{ first: number | undefined; bytes: Bytes }> {
  const reader = source[Symbol.asyncIterator]()
  const chunks: Uint8Array[] = []
  let first: number | undefined
  while (first === undefined) {
    const { done, value } = await reader.next()
    if (done) break
    chunks.push(value)
    first = value.find((byte) => !BLANK.includes(byte))
  }
  return { first, bytes: restart(chunks, reader) }
}

async function* restart(chunks: Uint8Array[], reader: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks
  for (let next = await reader.next(); !next.done; next = await reader.next()) yield next.value
}

/** Whether a text with this first byte is JSON: an object or an array. */
export function isJson(first: number | undefined): boolean {
  return first === 123 || first === 91
}
