import { SECURITY_SCHEMES } from './callers.ts'
import { FIELD_ERROR, OAUTH_PROBLEM, PROBLEM, problemExamples } from './problems.ts'
import type { OpenApiDocument, Paths } from './types.ts'

export { pathsOf } from './paths.ts'
export type { OpenApiDocument, Paths } from './types.ts'

/** The groups that several services share, after those of the services. */
const COMMON_TAGS: Record<string, string> = {
  health: 'Health checks and metrics',
  v0: 'The API of version 0.0.1, at the root only',
  internal: 'Between the services: with the internal key only',
}

/** The groups of tags by audience, as the documentation page shows them. */
const AUDIENCES: [name: string, tags: RegExp][] = [
  ['Applications', /^(?!admin|internal)/],
  ['Operators', /^admin/],
  ['Services', /^internal/],
]

/**
 * Builds the document of all operations in `paths`, with their groups and components.
 * @param serviceTags the groups of the services, each with a sentence; those without an operation are left out
 */
export function openApiDocument(
  title: string,
  version: string,
  paths: Paths,
  serviceTags: Record<string, string> = {},
): OpenApiDocument {
  const used = new Set(
    Object.values(paths).flatMap((operations) => Object.values(operations).flatMap(({ tags }) => tags)),
  )
  const tags = Object.entries({ ...serviceTags, ...COMMON_TAGS })
    .filter(([name]) => used.has(name))
    .map(([name, description]) => ({ name, description }))
  return {
    openapi: '3.1.0',
    info: {
      title,
      version,
      description: 'Users, logins and feature modules. Every path under `/api/v1` is served at the root as well.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags,
    'x-tagGroups': tagGroups(tags.map(({ name }) => name)),
    paths: Object.fromEntries(Object.entries(paths).sort(([a], [b]) => a.localeCompare(b))),
    components: {
      securitySchemes: SECURITY_SCHEMES,
      schemas: {
        FieldError: FIELD_ERROR,
        Problem: PROBLEM,
        ...(used.has('auth') ? { OAuthProblem: OAUTH_PROBLEM } : {}),
      },
      examples: problemExamples(),
    },
  }
}

function tagGroups(names: string[]): OpenApiDocument['x-tagGroups'] {
  return AUDIENCES.map(([name, pattern]) => ({ name, tags: names.filter((tag) => pattern.test(tag)) })).filter(
    ({ tags }) => tags.length > 0,
  )
}
