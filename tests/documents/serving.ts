import { generateKeyPairSync, sign } from 'node:crypto'
import { ofEachService } from '../../services/registry.ts'
import { eventually } from '../support/eventually.ts'
import { type Client, call } from '../support/http.ts'
import { mails } from '../support/mails.ts'
import { overProcesses } from '../support/processes.ts'
import { running } from '../support/running.ts'
import type { Name } from '../support/settings.ts'
import type { System } from '../support/system.ts'

/**
 * Three processes for all tests of the `describe` that calls it, and a client for each service that sends the paths of a
 * document as they are printed.
 */
export function serving(env: Record<string, string> = {}) {
  const here = running(overProcesses('apart'), env)
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

/** The link in the mail to `email`, with quoted-printable decoded (RFC 2045). */
export async function linkMailedTo(system: System, email: string): Promise<string> {
  const mail = await eventually(() => mails(system).find((text) => text.includes(`To: ${email}\n`)))
  const text = mail.replaceAll('=\n', '').replaceAll('=3D', '=')
  return /https:\/\/\S+/.exec(text)?.[0] ?? ''
}

export const DAY = 24 * 60 * 60
