import type { Status } from './counts.ts'

/** What the API says of a line (docs/bulk.md). */
export interface AnswerLine {
  line: number
  status: Status
  id?: string
  code?: string
  message?: string | string[]
}

/** Nothing came for that long: whoever answers is gone, or its network is. */
const SILENCE = 60_000

/**
 * The lines of an answer, as they come.
 * @throws whatever cut the connection; what came before was given
 */
export async function* answerLines(response: Response, stop: AbortController): AsyncGenerator<AnswerLine[]> {
  const decoder = new TextDecoder()
  let pending = ''
  let timer = setTimeout(() => stop.abort(), SILENCE)
  try {
    for await (const chunk of response.body ?? []) {
      clearTimeout(timer)
      timer = setTimeout(() => stop.abort(), SILENCE)
      const text = pending + decoder.decode(chunk, { stream: true })
      const end = text.lastIndexOf('\n') + 1
      pending = text.slice(end)
      if (end > 0)
        yield text
          .slice(0, end - 1)
          .split('\n')
          .map((line) => JSON.parse(line) as AnswerLine)
    }
  } finally {
    clearTimeout(timer)
  }
}
