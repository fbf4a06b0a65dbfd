import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../support/servers/ports.ts'
import { untilServed } from '../../support/servers/served.ts'
import { execute, type Party } from './party.ts'

const SOURCE = join(import.meta.dir, '../mcp')
const PORT = freePort()
const RESOURCE = `http://localhost:${PORT}/mcp`

/** The login of an MCP client at an MCP server, both with the official SDK. */
export const mcp: Party = {
  name: 'mcp',
  async install(folder) {
    cpSync(SOURCE, folder, { recursive: true })
    await execute([process.execPath, 'install', '--frozen-lockfile'], folder)
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    return manifest.dependencies['@modelcontextprotocol/sdk']
  },
  client: () => ({
    kind: 'public',
    token_auth_method: 'none',
    // Whichever port is free when the person signs in.
    redirect_uris: ['http://localhost/callback'],
    scopes: ['orders:read', 'offline_access'],
    resources: [RESOURCE],
  }),
  async run({ folder, start, user, visit }) {
    const server = start(['node', 'server.mjs'], { cwd: folder, env: { RESOURCE } })
    await untilServed(server, RESOURCE)
    const client = start(['node', 'client.mjs'], { cwd: folder, env: { RESOURCE } })
    await client.printed(/Open http/)
    const [, address = ''] = /Open (\S+)/.exec(client.stdout()) ?? []
    await visit.page.goto(address)
    await visit.signIn()
    await visit.see('You can close this page')
    await client.printed(new RegExp(`Signed in as ${user.id}`), 2)
  },
}
