import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createUser } from '../../support/actors.ts'
import { openChromium } from '../../support/browser/chromium.ts'
import { createClient } from '../../support/oauth/clients.ts'
import { processes } from '../../support/processes.ts'
import { freePort } from '../../support/servers/ports.ts'
import { launch, type Running } from '../../support/tool.ts'
import { django } from './django.ts'
import { goOidc } from './go-oidc.ts'
import { mcp } from './mcp.ts'
import { oauth2Proxy } from './oauth2-proxy.ts'
import type { Party } from './party.ts'
import { pgAdmin } from './pgadmin.ts'
import { pocketBase } from './pocketbase.ts'
import { spring } from './spring.ts'
import { Visit } from './visit.ts'

export const PARTIES: readonly Party[] = [goOidc, oauth2Proxy, spring, django, pgAdmin, pocketBase, mcp]

/** Installs a party, runs it, and prints what came of it. @returns whether it works */
export async function tryParty(party: Party): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), `ch202-${party.name}-`))
  try {
    const version = await party.install(folder)
    await runParty(party, folder)
    console.log(`${party.name} ${version}: works`)
    return true
  } catch (error) {
    console.error(`${party.name}: ${error instanceof Error ? error.message : error}`)
    return false
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function runParty(party: Party, folder: string): Promise<void> {
  // An empty setting counts as none: the pages are at the address of the system.
  const settings = { PUBLIC_URL: '', RATE_LIMIT: 'off', OAUTH_PRIVATE_HOSTS: 'localhost', LOG_LEVEL: 'warn' }
  const system = await processes('together', { ...settings, ...party.settings })
  const browser = await openChromium()
  const started: Running[] = []
  try {
    const port = freePort()
    const origin = `http://localhost:${port}`
    const client = await createClient(system, party.client(origin))
    const user = await createUser(system, { email_verified: true, name: 'Ana' })
    const env = {
      APP_URL: origin,
      ISSUER: system.url.auth,
      CLIENT_ID: client.id,
      // A public client has none.
      CLIENT_SECRET: client.client_secret ?? '',
    }
    const visit = new Visit(await browser.newPage({ locale: 'en-GB' }), system, user)
    const start: Parameters<Party['run']>[0]['start'] = (command, options = {}) => {
      const program = launch(command, { ...options, env: { ...env, ...options.env }, group: true })
      started.push(program)
      return program
    }
    await party.run({ system, folder, origin, port, client, env, user, visit, start }).catch((error: Error) => {
      const output = started.map((program) => program.stdout() + program.stderr()).join('\n')
      throw new Error(
        `${error.message}\nIt printed:\n${output.slice(-6000)}\nCh202 logged:\n${system.output().slice(-2000)}`,
      )
    })
  } finally {
    await Promise.all(started.map(kill))
    await browser.close()
    await system.stop()
  }
}

async function kill(program: Running): Promise<void> {
  try {
    program.signal('SIGKILL')
  } catch {
    // It has ended by itself.
  }
  await program.ended
}
