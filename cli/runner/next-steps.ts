import { hasWildcardHost } from '../../services/kit/outgoing.ts'
import { descriptorOf, SERVICE_NAMES } from '../../services/registry.ts'
import { compiled } from '../executable.ts'
import { note } from '../terminal/terminal.ts'
import { readStored, type Storage } from './stored-data.ts'

const LABEL_WIDTH = 'Documentation'.length + 2
/** The names of the services of pages. */
const PAGES: readonly string[] = SERVICE_NAMES.filter((name) => descriptorOf(name).pagePaths !== undefined)
const FLAGS = '    --role USER --role ADMIN --generate'

/**
 * Prints on a terminal, once everything is ready, the addresses of the pages and of the API, and how to create the first
 * administrator as long as nobody is one. Prints nothing elsewhere, where the services' own lines contain what is needed.
 * @param addresses by the name of the service, the same address for those of one process
 */
export async function printNextSteps(storage: Storage, addresses: ReadonlyMap<string, string>): Promise<void> {
  if (process.stdout.isTTY !== true || process.stderr.isTTY !== true) return
  const services = [...addresses].map(([name, url]) => ({ name, url: reachable(url) }))
  const api = services.filter(({ name }) => !PAGES.includes(name))
  const [first] = api
  if (!first) return
  const labelled = (label: string, text: string) => label.padEnd(LABEL_WIDTH) + text
  const lines = services.filter(({ name }) => PAGES.includes(name)).map(({ url }) => labelled('Pages', url))
  if (api.every(({ url }) => url === first.url)) lines.push(labelled('API', first.url))
  else {
    const width = Math.max(...api.map(({ url }) => url.length))
    lines.push(...api.map(({ name, url }, at) => labelled(at === 0 ? 'API' : '', `${url.padEnd(width)}  ${name}`)))
  }
  lines.push(labelled('Documentation', `${first.url}/swagger`))
  if (!(await adminExists(storage)))
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

/** Reads the database, because a request would add a line to the log that a newcomer is reading. */
async function adminExists(storage: Storage): Promise<boolean> {
  // If it cannot be read, there is no advice to give.
  return (await readStored(storage, 'users', (users) => users.hasAdmin(), true)) ?? false
}
