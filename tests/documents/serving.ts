import { generateKeyPairSync, sign } from 'node:crypto'
import { ofEachService } from '../../services/registry.ts'
import { eventually } from '../support/eventually.ts'
import { type Client, call } from '../support/http.ts'
import { mailsTo, RESET_PAGE, resetLinkIn } from '../support/mails.ts'
import { overProcesses } from '../support/processes.ts'
import { running } from '../support/running.ts'
import type { Name } from '../support/settings.ts'
import { replaceable, type System } from '../support/system.ts'

/**
 * Starts four processes for the `describe` that calls it, or what replaces systems of tests, with a client for each service that sends paths as the
 * documents print them.
 */
export function serving(env: Record<string, string> = {}) {
  const here = running(replaceable(overProcesses('apart')), env)
  const client =
    (name: Name): Client =>
    (request, options) =>
      call(here.system.url[name], request, options)
  return {
    get system() {
      return here.system
    },
    ...ofEachService(client),
  }
}

/** The sorted keys of a response. */
export function keysOf(value: object): string[] {
  return Object.keys(value).sort()
}

/** Forged tokens that resemble `token`. Every service must refuse each of them. */
export function forgeriesOf(token: string): string[] {
  const [header = '', payload = '', signature = ''] = token.split('.')
  const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
  const admin = encoded({ ...claims, roles: ['ADMIN'] })
  const { privateKey } = generateKeyPairSync('ed25519')
  const bySomeoneElse = sign(null, Buffer.from(`${header}.${admin}`), privateKey).toString('base64url')
  return [
    `${header}.${admin}.${signature}`,
    `${header}.${admin}.${bySomeoneElse}`,
    `${header}.${payload}.`,
    `${encoded({ alg: 'none', typ: 'at+jwt' })}.${admin}.`,
    'not-a-token',
  ]
}

/** Waits for the mail that resets the password of an address. @returns its link */
export async function linkMailedTo(system: System, email: string): Promise<URL> {
  return resetLinkIn(await eventually(() => mailsTo(system, email, RESET_PAGE)[0]))
}

/** Seconds. */
export const DAY = 24 * 60 * 60
