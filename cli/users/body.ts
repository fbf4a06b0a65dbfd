/** Nothing came for that long: whoever answers is gone, or its network is. Milliseconds. */
const SILENCE = 60_000

/**
 * The bytes of an answer, as they come.
 * @param stop aborts the request; it is called where nothing comes any more
 * @throws whatever cut the connection
 */
export async function* bodyOf(response: Response, stop: AbortController): AsyncGenerator<Uint8Array> {
  let timer = setTimeout(() => stop.abort(), SILENCE)
  try {
    for await (const chunk of response.body ?? []) {
      clearTimeout(timer)
      timer = setTimeout(() => stop.abort(), SILENCE)
      yield chunk
    }
  } finally {
    clearTimeout(timer)
  }
}
