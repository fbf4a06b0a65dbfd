import type { Command } from 'commander'
import { segment } from '../../client/api.ts'
import { EXIT } from '../../exit.ts'
import { confirm } from '../../terminal/confirm.ts'
import { asFailure } from '../../terminal/failures.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { CLIENT_REF, clientOf } from './client.ts'

/** Adds `clients delete`. */
export function addDelete(clients: Command): void {
  addCommand(clients, 'delete', 'Delete a client with its secrets; its tokens are refused at once', [
    'ch202 clients delete reports --confirm reports',
    'ch202 clients delete reports --yes -o json',
  ])
    .argument('<client>', CLIENT_REF)
    .option('--confirm <name>', 'the name of the client, instead of --yes')
    .action(withTool(deleteClient))
}

async function deleteClient(tool: Tool, { confirm: confirmation }: { confirm?: string }, ref: string): Promise<void> {
  try {
    const { id, name } = await clientOf(tool, ref)
    await confirm(`Delete the client ${name}? Its tokens are refused at once.`, {
      yes: tool.globals.yes,
      confirm: confirmation,
      name,
    })
    const api = await tool.api()
    await api.auth((auth) => auth.admin.clients({ client_id: segment(id) }).delete())
    await tool.out.done(true, `Deleted the client ${name}`, { id })
  } catch (error) {
    // Another operator may have deleted the client meanwhile.
    if (asFailure(error).exit !== EXIT.notFound) throw error
    await tool.out.done(false, `There is no client ${ref}: nothing was deleted`, { ref })
  }
}
