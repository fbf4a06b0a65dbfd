/** Nothing came for that long: whoever answers is gone, or its network is. Milliseconds. */
const SILENCE = 60_000

/**
 * The bytes of an answer, as they come. Whoever takes them may pause for as long as they like.
 * @param stop aborts the request; it is called where nothing comes any more
 * @param silence milliseconds without a byte after which nothing comes any more
 * @throws whatever cut the connection
 */
export async function* bodyOf(
  response: Response,
  stop: AbortController,
  silence = SILENCE,
): AsyncGenerator<Uint8Array> {
  const listen = () => setTimeout(() => stop.abort(), silence)
  let timer = listen()
  try {
    for await (const chunk of response.body ?? []) {
      clearTimeout(timer)
      yield chunk
      timer = listen()
    }
  } finally {
    clearTimeout(timer)
  }
}
