/** The results that the API reports for a line (docs/migrate/bulk.md). */
export const STATUSES = ['created', 'updated', 'unchanged', 'skipped', 'failed'] as const
export type Status = (typeof STATUSES)[number]

/** The API's result for one line of the request. */
export interface ResultLine {
  line: number
  status: Status
  id?: string
  code?: string
  message?: string | string[]
}

/** Milliseconds without a byte after which the server or the network counts as gone. */
const SILENCE_MAX = 60_000

/**
 * Yields the bytes of a response as they arrive. Only the wait for the next byte is limited: the consumer may pause for
 * as long as it likes.
 * @param abort aborts the request after `silenceMax` milliseconds without a byte
 * @throws the connection's error
 */
export async function* chunksOf(
  response: Response,
  abort: AbortController,
  silenceMax = SILENCE_MAX,
): AsyncGenerator<Uint8Array> {
  const startTimer = () => setTimeout(() => abort.abort(), silenceMax)
  let timer = startTimer()
  try {
    for await (const chunk of response.body ?? []) {
      clearTimeout(timer)
      yield chunk
      timer = startTimer()
    }
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Yields the results in a response as they arrive, several at a time.
 * @throws the connection's error, after the results that arrived before it
 */
export async function* resultLines(response: Response, abort: AbortController): AsyncGenerator<ResultLine[]> {
  const decoder = new TextDecoder()
  let pending = ''
  for await (const chunk of chunksOf(response, abort)) {
    const text = pending + decoder.decode(chunk, { stream: true })
    const end = text.lastIndexOf('\n') + 1
    pending = text.slice(end)
    if (end > 0)
      yield text
        .slice(0, end - 1)
        .split('\n')
        .map((line) => JSON.parse(line) as ResultLine)
  }
}
