import { checker, codesOf, type Documented, type OpenApiDocument } from './document.ts'

/** What a judge looks at of an answer. */
interface Judged {
  status: number
  headers: { get(name: string): string | null }
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: an answer is of any shape until it has been judged
  body: any
}

/** Says what in an answer is not as the document has it. */
export type Complaint = (one: Documented, answer: Judged) => string[]

export const LINES = 'application/x-ndjson'

/** Holds answers to a document: the status, the content type, the schema, and the code of a problem. */
export function judge(document: OpenApiDocument): Complaint {
  const check = checker(document)
  return ({ call: name, operation }, answer) => {
    const { status } = answer
    const where = `${name}: ${status}`
    const documented = operation.responses[status]
    if (!documented) return [`${where} is not documented: ${answer.text}`]
    const contents = Object.entries(documented.content ?? {})
    if (contents.length === 0) return answer.text === '' ? [] : [`${where} has a body: ${answer.text}`]
    const type = answer.headers.get('content-type')?.split(';')[0] ?? ''
    const [, media] = contents.find(([known]) => known === type) ?? []
    if (!media) return [`${where} is ${type}`]
    const said = valuesIn(type, answer)
      .map((value) => check(media.schema, value))
      .find(Boolean)
    if (said) return [`${where} ${said}: ${answer.text}`]
    if (status < 400) return []
    return codesOf(operation).get(status)?.includes(answer.body.code)
      ? []
      : [`${where} ${answer.body.code} is not documented`]
  }
}

function valuesIn(type: string, { body, text }: Judged): unknown[] {
  if (type !== LINES) return [body]
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}
