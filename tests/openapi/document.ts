import Ajv, { type ValidateFunction } from 'ajv/dist/2020'
import formats from 'ajv-formats'
import type { OpenApiDocument, Paths } from '../../services/kit/http/openapi/document.ts'
import type { ProblemCode } from '../../services/kit/problem.ts'
import { isEmail } from '../../services/kit/schema/email.ts'

export type { OpenApiDocument } from '../../services/kit/http/openapi/document.ts'

type Operation = Paths[string][string]

/** An operation of a document. */
export interface Documented {
  /** The method and the path, as in the document. */
  call: string
  operation: Operation
}

/** The operations of a document, in its order. */
export function operationsOf({ paths }: OpenApiDocument): Documented[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({ call: `${method.toUpperCase()} ${path}`, operation })),
  )
}

/** The error codes of an operation, by status. */
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

/** Checks a value by a schema. @returns the errors in words, or undefined if the value is valid */
export type SchemaCheck = (schema: object, value: unknown) => string | undefined

/** Checks values by the schemas of a document: JSON Schema 2020-12 with formats, as in OpenAPI 3.1. */
export function schemaChecker(document: OpenApiDocument): SchemaCheck {
  const ajv = new Ajv({ strict: false, allErrors: true })
  formats(ajv)
  ajv.addFormat('idn-email', isEmail)
  for (const [name, schema] of Object.entries(document.components.schemas ?? {}))
    ajv.addSchema(schema as object, `#/components/schemas/${name}`)
  // Many places of a document have the same schema, and compiling is slow.
  const compiled = new Map<string, ValidateFunction>()
  return (schema, value) => {
    const key = JSON.stringify(schema)
    const validate = compiled.get(key) ?? ajv.compile(schema)
    compiled.set(key, validate)
    return validate(value) ? undefined : ajv.errorsText(validate.errors)
  }
}
