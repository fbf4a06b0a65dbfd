import type { Access } from '../../access/access.ts'
import type { ProblemCode } from '../../problem.ts'

/** An OpenAPI 3.1 document: the part of the specification that Ch202 writes. */
export interface OpenApiDocument {
  openapi: string
  info: { title: string; version: string; description: string; license: { name: string; identifier: string } }
  servers: { url: string }[]
  tags: { name: string; description: string }[]
  /** Groups of tags, as the documentation page shows them (an extension that Redoc and Scalar share). */
  'x-tagGroups': { name: string; tags: string[] }[]
  paths: Paths
  components: Record<string, Record<string, unknown>>
}

/** Operations by path and method. */
export type Paths = Record<string, Record<string, Operation>>

export interface Operation {
  operationId: string
  tags: string[]
  summary: string
  description?: string
  security: Record<string, string[]>[]
  parameters?: Parameter[]
  requestBody?: { required?: boolean; content: Record<string, Media> }
  responses: Record<string, { description: string; content?: Record<string, Media> }>
  'x-access'?: Access
  'x-module'?: string
  'x-problems'?: ProblemCode[]
  /** Whether the bodies are lines of JSON, each of the schema. */
  'x-lines'?: boolean
}

export interface Parameter {
  name: string
  in: string
  required: boolean
  description?: string
  schema: JsonSchema
  example?: unknown
}

export interface Media {
  schema: JsonSchema
  example?: unknown
  examples?: Record<string, { $ref: string } | { value: unknown }>
}

export type JsonSchema = Record<string, unknown>
