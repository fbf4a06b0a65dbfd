/**
 * Reads an OpenAPI document from standard input and writes the types of a client to standard output, as teams that use
 * `openapi-typescript` do. `openapi-typescript` needs the compiler API, which TypeScript 7 does not have, so TypeScript 5
 * is installed for it.
 */
import { plugin } from 'bun'
import compiler from 'typescript-5'

plugin({
  name: 'TypeScript 5',
  setup(build) {
    build.module('typescript', () => ({ exports: { ...compiler, default: compiler }, loader: 'object' }))
  },
})

const { astToString, default: openapiTypes } = await import('openapi-typescript')
process.stdout.write(astToString(await openapiTypes(await Bun.stdin.json())))
