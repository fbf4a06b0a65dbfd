/**
 * The long version of the fault tests, `bun run soak`; with `--postgres`, of the tests on PostgreSQL. The exit status is 1
 * when something failed, and 2 for a wrong argument.
 */

import { parseArgs } from 'node:util'
import { soakKills } from './soak-kills.ts'
import { PARTS, soakPostgres } from './soak-postgres.ts'

const NAMES = [...new Set(PARTS.map(({ name }) => name))]

function readArguments() {
  const { values } = parseArgs({ options: { postgres: { type: 'boolean' }, only: { type: 'string' } } })
  const names = values.only?.split(',') ?? NAMES
  const unknown = names.find((name) => !NAMES.includes(name))
  if (unknown !== undefined) throw new Error(`There is no part '${unknown}'`)
  if (values.only !== undefined && !values.postgres) throw new Error('--only selects parts of --postgres')
  return { onPostgres: values.postgres === true, names }
}

function readArgumentsOrExit() {
  try {
    return readArguments()
  } catch (error) {
    console.error(`${(error as Error).message}\nbun run soak [--postgres [--only ${NAMES.join(',')}]]`)
    process.exit(2)
  }
}

const { names, onPostgres } = readArgumentsOrExit()
const isDone = onPostgres ? await soakPostgres(PARTS.filter(({ name }) => names.includes(name))) : await soakKills()
process.exitCode = isDone ? 0 : 1
