import { existsSync } from 'node:fs'
import { isUnreachable } from '../../services/kit/process/base-url.ts'
import { compiled } from '../commands/package/executable.ts'
import { note } from '../terminal/terminal.ts'

/**
 * Says on a terminal, once all is ready, where what was started is, and how the first administrator is made where there
 * is none yet. Elsewhere nothing: there the lines of the services say what is needed.
 * @param addresses by the name of the service, or `ch202` for all in one process
 */
export async function sayNextSteps(dataDir: string, addresses: ReadonlyMap<string, string>): Promise<void> {
  if (process.stdout.isTTY !== true || process.stderr.isTTY !== true) return
  const places = [...addresses].map(([name, url]) => ({ name, url: reachable(url) }))
  const [first] = places
  if (!first) return
  const width = Math.max(...places.map(({ url }) => url.length))
  const of = (name: string) => (places.length > 1 ? `  ${name}` : '')
  const lines = places.map(
    ({ name, url }, at) => `${at === 0 ? 'API' : ''}`.padEnd(LABEL) + url.padEnd(width) + of(name),
  )
  lines.push(`${'Documentation'.padEnd(LABEL)}${first.url}/swagger`)
  if (!(await isAdminThere(dataDir)))
    lines.push(
      'There is no administrator yet. In another terminal:',
      `  ${toolHere()} users create you@example.org \\`,
      FLAGS,
    )
  note(`\n${lines.map((line) => line.trimEnd()).join('\n')}\n`)
}

const LABEL = 'Documentation'.length + 2
const FLAGS = '    --role USER --role ADMIN --generate'

/** Where this machine finds what listens at every address. */
function reachable(url: string): string {
  return isUnreachable(url) ? url.replace(/^(\w+:\/\/)[^/]*?(:\d+)?$/, '$1127.0.0.1$2') : url
}

/** How whoever started this runs the tool: npx keeps the Bun that it fetched in a directory of its own. */
function toolHere(): string {
  if (compiled) return 'ch202'
  return process.execPath.includes('/_npx/') ? 'npx bun ch202' : 'bun ch202'
}

/** Read in the file: a request would stand in the log, between what a newcomer reads. */
async function isAdminThere(dataDir: string): Promise<boolean> {
  const [{ databases }, { InspectedDatabase, hasAdmin }] = await Promise.all([
    import('../../db/sqlite/databases.ts'),
    import('../../db/sqlite/inspect/index.ts'),
  ])
  const users = databases(dataDir).find(({ name, path }) => name === 'users' && existsSync(path))
  if (!users) return false
  try {
    const examined = InspectedDatabase.open(users)
    const hasOne = hasAdmin(examined)
    examined.close()
    return hasOne
  } catch {
    // Who can't tell says nothing.
    return true
  }
}
