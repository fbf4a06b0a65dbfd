import type { Command } from 'commander'
import { addCommand, withTool } from '../../tool/command.ts'
import { allClients, CLIENT_REF, clientOf } from './client.ts'

/** The fields that fit a terminal; the other output formats have all of them. */
const COLUMNS = ['id', 'name', 'kind', 'scopes', 'grant_types', 'token_auth_method', 'status']

/** Adds `clients list`. */
export function addList(clients: Command): void {
  addCommand(clients, 'list', 'List the clients, oldest first', [
    'ch202 clients list',
    'ch202 clients list -o json --fields name,scopes',
  ]).action(withTool(async (tool) => tool.out.list(await allClients(tool), COLUMNS)))
}

/** Adds `clients get`. */
export function addGet(clients: Command): void {
  addCommand(clients, 'get', 'Show a client; its secret cannot be read', [
    'ch202 clients get reports',
    'ch202 clients get reports --fields scopes,status -o json',
  ])
    .argument('<client>', CLIENT_REF)
    .action(withTool(async (tool, _: object, ref: string) => tool.out.record(await clientOf(tool, ref))))
}
