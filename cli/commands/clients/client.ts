import { type Api, segment } from '../../client/api.ts'
import { EXIT, Failure } from '../../exit.ts'
import { quoted } from '../../terminal/shell.ts'
import type { Row } from '../../terminal/table.ts'
import type { Tool } from '../../tool/command.ts'
import { nearest } from '../../tool/nearest.ts'
import { shortenedIdFailure } from '../../tool/refs.ts'

/** Help text for an argument that names a client. */
export const CLIENT_REF = 'the name or the id of the client'

type AuthClient = Parameters<Parameters<Api['auth']>[0]>[0]

/** The body of the request that creates a client. */
export type ClientBody = Parameters<AuthClient['admin']['clients']['post']>[0]

/** Fetches all clients. */
export async function allClients(tool: Tool) {
  const api = await tool.api()
  return (await api.auth((auth) => auth.admin.clients.get())).items
}

export type Client = Awaited<ReturnType<typeof allClients>>[number]

/**
 * Finds a client by its id or its name.
 * @throws Failure if there is no such client
 */
export async function clientOf(tool: Tool, ref: string): Promise<Client> {
  const shortened = shortenedIdFailure(ref, 'ch202 clients list')
  if (shortened) throw shortened
  const clients = await allClients(tool)
  const client = clients.find(({ id }) => id === ref.toLowerCase()) ?? clients.find(({ name }) => name === ref)
  if (client) return client
  const names = clients.map(({ name }) => name)
  const [similar = names.find((name) => name.toLowerCase() === ref.toLowerCase())] = nearest(ref, names)
  throw new Failure(
    EXIT.notFound,
    `There is no client ${ref}${similar === undefined ? '' : `. Did you mean ${similar}?`}`,
    {
      code: 'client_not_found',
      suggestion: similar === undefined ? 'ch202 clients list' : `ch202 clients get ${quoted(similar)}`,
    },
  )
}

/** Changes a client. @param suggest gives the command that fixes a problem */
export async function changeClient(
  tool: Tool,
  id: string,
  body: Partial<Omit<ClientBody, 'kind'>>,
  suggest?: Parameters<Api['auth']>[1],
) {
  const api = await tool.api()
  return api.auth((auth) => auth.admin.clients({ client_id: segment(id) }).patch(body), suggest)
}

/** Whether a client authenticates with a secret. */
export function hasSecret({ token_auth_method }: Pick<Client, 'token_auth_method'>): boolean {
  return token_auth_method.startsWith('client_secret')
}

/**
 * Prints a client with a secret that cannot be read again. In a table the secret is on a line of its own, which fits every
 * terminal, so that it can be copied.
 */
export async function printWithSecret(tool: Tool, record: Row & { id: string; client_secret?: string }): Promise<void> {
  const { client_secret, ...rest } = record
  const { fields, output } = tool.out.options
  if (client_secret === undefined || output !== 'table' || fields !== undefined) await tool.out.record(record)
  else {
    await tool.out.record(rest)
    await tool.out.record({ client_secret })
  }
  if (client_secret === undefined) return
  const isPrinted = output !== 'ids' && (fields?.includes('client_secret') ?? true)
  if (isPrinted) tool.out.say('The secret is shown only once: copy it to the client now')
  else tool.out.say(`The secret was not printed, and cannot be read again\n→ ch202 clients rotate-secret ${record.id}`)
}
