import Ajv, { type ValidateFunction } from 'ajv/dist/2020'
import formats from 'ajv-formats'
import type { OpenApiDocument, Paths } from '../../services/kit/http/openapi/document.ts'
import type { ProblemCode } from '../../services/kit/problem.ts'
import { isEmail } from '../../services/kit/schema/email.ts'

export type { OpenApiDocument } from '../../services/kit/http/openapi/document.ts'

type Operation = Paths[string][string]

export interface Documented {
  /** Method and path, as the document has it. */
  call: string
  operation: Operation
}

export function operationsOf({ paths }: OpenApiDocument): Documented[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({ call: `${method.toUpperCase()} ${path}`, operation })),
  )
}

/** The codes that an operation can answer with, by their status. */
export function codesOf({ responses }: Operation): Map<number, ProblemCode[]> {
  return new Map(
    Object.entries(responses)
      .filter(([status]) => Number(status) >= 400)
      .map(([status, { content = {} }]) => [
        Number(status),
        Object.values(content).flatMap(({ examples = {} }) => Object.keys(examples) as ProblemCode[]),
      ]),
  )
}

/** The schema says that a value must be of its kind; what is wrong with it, in words. */
export type Check = (schema: object, value: unknown) => string | undefined

/** Judges by the schemas of a document: JSON Schema 2020-12, with formats, as OpenAPI 3.1 has it. */
export function checker(document: OpenApiDocument): Check {
  const ajv = new Ajv({ strict: false, allErrors: true })
  formats(ajv)
  ajv.addFormat('idn-email', isEmail)
  for (const [name, schema] of Object.entries(document.components.schemas ?? {}))
    ajv.addSchema(schema as object, `#/components/schemas/${name}`)
  // One schema stands at many places of the document, and to compile it is what takes the time.
  const compiled = new Map<string, ValidateFunction>()
  return (schema, value) => {
    const key = JSON.stringify(schema)
    const validate = compiled.get(key) ?? ajv.compile(schema)
    compiled.set(key, validate)
    return validate(value) ? undefined : ajv.errorsText(validate.errors)
  }
}
