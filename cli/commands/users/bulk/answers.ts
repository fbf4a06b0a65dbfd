import { bodyOf } from './body.ts'
import type { Status } from './counts.ts'

/** What the API says of a line (docs/bulk.md). */
export interface AnswerLine {
  line: number
  status: Status
  id?: string
  code?: string
  message?: string | string[]
}

/**
 * The lines of an answer, as they come.
 * @throws whatever cut the connection; what came before was given
 */
export async function* answerLines(response: Response, stop: AbortController): AsyncGenerator<AnswerLine[]> {
  const decoder = new TextDecoder()
  let pending = ''
  for await (const chunk of bodyOf(response, stop)) {
    const text = pending + decoder.decode(chunk, { stream: true })
    const end = text.lastIndexOf('\n') + 1
    pending = text.slice(end)
    if (end > 0)
      yield text
        .slice(0, end - 1)
        .split('\n')
        .map((line) => JSON.parse(line) as AnswerLine)
  }
}
