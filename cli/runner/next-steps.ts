import { hasWildcardHost } from '../../services/kit/outgoing.ts'
import { compiled } from '../executable.ts'
import { note } from '../terminal/terminal.ts'
import { readStored } from './stored-data.ts'

const LABEL_WIDTH = 'Documentation'.length + 2
const FLAGS = '    --role USER --role ADMIN --generate'

/**
 * Prints on a terminal, once everything is ready, the addresses and how to create the first administrator if there is
 * none. Prints nothing elsewhere, where the services' own lines contain what is needed.
 * @param addresses by the name of the service, or `ch202` for all in one process
 */
export async function printNextSteps(dataDir: string, addresses: ReadonlyMap<string, string>): Promise<void> {
  if (process.stdout.isTTY !== true || process.stderr.isTTY !== true) return
  const services = [...addresses].map(([name, url]) => ({ name, url: reachable(url) }))
  const [first] = services
  if (!first) return
  const width = Math.max(...services.map(({ url }) => url.length))
  const suffix = (name: string) => (services.length > 1 ? `  ${name}` : '')
  const lines = services.map(
    ({ name, url }, at) => (at === 0 ? 'API' : '').padEnd(LABEL_WIDTH) + url.padEnd(width) + suffix(name),
  )
  lines.push(`${'Documentation'.padEnd(LABEL_WIDTH)}${first.url}/swagger`)
  if (!(await adminExists(dataDir)))
    lines.push(
      'There is no administrator yet. In another terminal, run:',
      `  ${toolCommand()} users create you@example.org \\`,
      FLAGS,
    )
  note(`\n${lines.map((line) => line.trimEnd()).join('\n')}\n`)
}

/** Replaces an address that listens on all interfaces with one that this machine can open. */
function reachable(url: string): string {
  return hasWildcardHost(url) ? url.replace(/^(\w+:\/\/)[^/]*?(:\d+)?$/, '$1127.0.0.1$2') : url
}

/** How to run this tool in another terminal; npx keeps the Bun that it downloaded in a directory of its own. */
function toolCommand(): string {
  if (compiled) return 'ch202'
  return process.execPath.includes('/_npx/') ? 'npx bun ch202' : 'bun ch202'
}

/** Reads the database file, because a request would add a line to the log that a newcomer is reading. */
async function adminExists(dataDir: string): Promise<boolean> {
  // If the file cannot be read, there is no advice to give.
  const exists = await readStored(
    { dataDir, service: 'users' },
    async (database) => (await import('../../db/sqlite/inspect/index.ts')).hasAdmin(database),
    true,
  )
  return exists ?? false
}
