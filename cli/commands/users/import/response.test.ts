import { describe, expect, test } from 'bun:test'
import { chunksOf } from './response.ts'

const SILENCE = 100

/** A response with one byte after each pause, in milliseconds. */
function answer(pauses: readonly number[]): { response: Response; stop: AbortController } {
  const stop = new AbortController()
  const remainingPauses = [...pauses]
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const pause = remainingPauses.shift()
        if (pause === undefined) return controller.close()
        await Promise.race([Bun.sleep(pause), new Promise((done) => stop.signal.addEventListener('abort', done))])
        if (stop.signal.aborted) controller.error(new Error('aborted'))
        else controller.enqueue(Uint8Array.of(1))
      },
    },
    { highWaterMark: 0 },
  )
  return { response: new Response(stream), stop }
}

describe('R13: the bytes of an answer', () => {
  test('wait for a slow reader, however long it pauses', async () => {
    const { response, stop } = answer([0, 0, 0])
    let bytes = 0
    for await (const chunk of chunksOf(response, stop, SILENCE)) {
      bytes += chunk.byteLength
      await Bun.sleep(3 * SILENCE)
    }
    expect([bytes, stop.signal.aborted]).toEqual([3, false])
  })

  test('are no longer awaited when the server falls silent', async () => {
    const { response, stop } = answer([0, 60_000])
    const read = async () => {
      let bytes = 0
      try {
        for await (const chunk of chunksOf(response, stop, SILENCE)) bytes += chunk.byteLength
      } catch (error) {
        return [bytes, String(error)]
      }
      return [bytes, 'whole']
    }
    expect(await read()).toEqual([1, 'Error: aborted'])
    expect(stop.signal.aborted).toBe(true)
  })
})
