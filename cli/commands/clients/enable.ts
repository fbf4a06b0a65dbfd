import type { Command } from 'commander'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { CLIENT_REF, changeClient, clientOf } from './client.ts'

/** Adds `clients enable`. */
export function addEnable(clients: Command): void {
  addSwitch(clients, 'enable', 'active', 'Let a disabled client get tokens again')
}

/** Adds `clients disable`. */
export function addDisable(clients: Command): void {
  addSwitch(clients, 'disable', 'disabled', 'Disable a client: it gets no tokens, and those it has are refused at once')
}

function addSwitch(clients: Command, verb: string, status: 'active' | 'disabled', description: string): void {
  addCommand(clients, verb, description, [`ch202 clients ${verb} reports`, `ch202 clients ${verb} reports -o json`])
    .argument('<client>', CLIENT_REF)
    .action(withTool((tool, _: object, ref: string) => setStatus(tool, ref, status)))
}

async function setStatus(tool: Tool, ref: string, status: 'active' | 'disabled'): Promise<void> {
  const before = await clientOf(tool, ref)
  const after = before.status === status ? before : await changeClient(tool, before.id, { status })
  await tool.out.record({ ...after, changed: after !== before })
}
