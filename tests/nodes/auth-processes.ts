import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sharedPostgres } from '../support/postgres/shared.ts'
import { type Process, spawnServe, untilReady } from '../support/processes.ts'
import { freePort } from '../support/servers/ports.ts'
import { type Name, newAddresses, systemSettings } from '../support/settings.ts'

/** Several nodes of auth on one database, each at an address of its own, with a users service and a modules service. */
export interface AuthNodes {
  /** The address of the services, with that of one node for auth. */
  urlsOf(node: number): Record<Name, string>
  count: number
  processes: { nodes: readonly Process[]; users: Process; modules: Process }
  /** A directory with the mails of all nodes. */
  dataDir: string
  /** The address of the database. */
  databaseUrl: string
  output(): string
  stop(): Promise<void>
}

/**
 * Starts the processes by `ch202 serve`. The users service polls the first node, the modules service the second.
 * @param env settings of all processes
 * @param databaseOf gives the address that a node of auth has for the database
 * @param databaseOfOthers the address that users and modules have for it
 */
export async function startAuthNodes(
  count: number,
  {
    env = {},
    databaseOf = async (_, address) => address,
    databaseOfOthers,
  }: {
    env?: Record<string, string>
    databaseOf?(node: number, address: string): Promise<string>
    databaseOfOthers?: string
  } = {},
): Promise<AuthNodes> {
  const directory = mkdtempSync(join(tmpdir(), 'ch202-nodes-'))
  const databaseUrl = await (await sharedPostgres()).newDatabase()
  const { all, url } = newAddresses('apart')
  const nodeUrls = [url.auth, ...Array.from({ length: count - 1 }, () => `http://127.0.0.1:${freePort()}`)]
  const urlsOf = (node: number) => ({ ...url, auth: nodeUrls[node % count] ?? url.auth })
  const { PATH = '', HOME = '' } = process.env
  const children: Process[] = []
  let printed = ''

  const mailDirectory = join(directory, 'mail')
  mkdirSync(mailDirectory, { mode: 0o700 })

  const launch = async (service: Name, node: number, name: string) => {
    const urls = { all, url: urlsOf(node) }
    mkdirSync(join(directory, name), { mode: 0o700 })
    // A test need not know which node sends a mail.
    symlinkSync(mailDirectory, join(directory, name, 'mail'))
    const settings = systemSettings(join(directory, name), urls, {
      DATABASE_URL: service === 'auth' ? await databaseOf(node, databaseUrl) : (databaseOfOthers ?? databaseUrl),
      ISSUER: 'https://auth.example.org',
      RATE_LIMIT: 'off',
      LOG_LEVEL: 'warn',
      ...env,
    })
    const child = spawnServe([service], { PATH, HOME, ...settings })
    children.push(child)
    await untilReady(child, name, (text) => {
      printed += text
    })
    return child
  }
  const stop = async () => {
    for (const child of children.toReversed()) {
      child.kill('SIGCONT')
      child.kill('SIGTERM')
    }
    await Promise.all(children.map((child) => child.exited))
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    // All at once, on an empty database: they have one key and one feed nevertheless.
    const [nodes, users, modules] = await Promise.all([
      Promise.all(nodeUrls.map((_, node) => launch('auth', node, `auth-${node}`))),
      launch('users', 0, 'users'),
      launch('modules', 1, 'modules'),
    ])
    return {
      count,
      urlsOf,
      dataDir: directory,
      databaseUrl,
      output: () => printed,
      stop,
      processes: { nodes, users, modules },
    }
  } catch (error) {
    await stop()
    throw error
  }
}
