/**
 * The long version of the fault tests, `bun run soak`; with `--postgres`, of the tests on PostgreSQL; with `--long`, an hour of
 * everything at once. The exit status is 1
 * when something failed, and 2 for a wrong argument.
 */

import { parseArgs } from 'node:util'
import { soakKills } from './soak-kills.ts'
import { PARTS, soakPostgres } from './soak-postgres.ts'

const NAMES = [...new Set(PARTS.map(({ name }) => name))]

function readArguments() {
  const { values } = parseArgs({
    options: { postgres: { type: 'boolean' }, long: { type: 'boolean' }, only: { type: 'string' } },
  })
  if (values.long) return { onPostgres: true, names: ['everything'], isLong: true }
  const names = values.only?.split(',') ?? NAMES
  const unknown = names.find((name) => !NAMES.includes(name))
  if (unknown !== undefined) throw new Error(`There is no part '${unknown}'`)
  if (values.only !== undefined && !values.postgres) throw new Error('--only selects parts of --postgres')
  return { onPostgres: values.postgres === true, names, isLong: false }
}

function readArgumentsOrExit() {
  try {
    return readArguments()
  } catch (error) {
    console.error(`${(error as Error).message}\nbun run soak [--long] [--postgres [--only ${NAMES.join(',')}]]`)
    process.exit(2)
  }
}

const { isLong, names, onPostgres } = readArgumentsOrExit()
// Before a release: an hour, half of it on each engine.
if (isLong) process.env.SOAK_MINUTES ??= '30'
const isDone = onPostgres ? await soakPostgres(PARTS.filter(({ name }) => names.includes(name))) : await soakKills()
process.exitCode = isDone ? 0 : 1
