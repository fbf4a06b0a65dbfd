import { codesOf, type Documented, type OpenApiDocument, schemaChecker } from './document.ts'

/** The parts of an answer that are validated. */
interface Answer {
  status: number
  headers: { get(name: string): string | null }
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: an answer may have any shape before it is validated
  body: any
}

/** Lists the differences between an answer and the document. */
export type ResponseValidator = (one: Documented, answer: Answer) => string[]

/** The media type of JSON lines. */
export const LINES = 'application/x-ndjson'

/** Compares answers with a document: the status, the content type, the schema, and the error code. */
export function responseValidator(document: OpenApiDocument): ResponseValidator {
  const check = schemaChecker(document)
  return ({ call: name, operation }, answer) => {
    const { status } = answer
    const at = `${name}: ${status}`
    const documented = operation.responses[status]
    if (!documented) return [`${at} is not documented: ${answer.text}`]
    const contents = Object.entries(documented.content ?? {})
    if (contents.length === 0) return answer.text === '' ? [] : [`${at} has a body: ${answer.text}`]
    const type = answer.headers.get('content-type')?.split(';')[0] ?? ''
    const [, media] = contents.find(([mediaType]) => mediaType === type) ?? []
    if (!media) return [`${at} is ${type}`]
    const fault = valuesIn(type, answer)
      .map((value) => check(media.schema, value))
      .find(Boolean)
    if (fault) return [`${at} ${fault}: ${answer.text}`]
    if (status < 400) return []
    return codesOf(operation).get(status)?.includes(answer.body.code)
      ? []
      : [`${at} ${answer.body.code} is not documented`]
  }
}

function valuesIn(type: string, { body, text }: Answer): unknown[] {
  if (type !== LINES) return [body]
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}
