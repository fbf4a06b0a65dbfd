/**
 * Turns the OpenAPI document on standard input into the types of a client, on standard output, as a team with
 * `openapi-typescript` does. It needs the API of the compiler, which TypeScript 7 does not have: for this alone
 * TypeScript 5 is there beside it.
 */
import { plugin } from 'bun'
import compiler from 'typescript-5'

plugin({
  name: 'an older compiler',
  setup(build) {
    build.module('typescript', () => ({ exports: { ...compiler, default: compiler }, loader: 'object' }))
  },
})

const { astToString, default: openapiTypes } = await import('openapi-typescript')
process.stdout.write(astToString(await openapiTypes(await Bun.stdin.json())))
