import type { Command } from 'commander'
import { group } from '../../tool/command.ts'
import { addCreate } from './create.ts'
import { addDelete } from './delete.ts'
import { addDisable, addEnable } from './enable.ts'
import { addGet, addList } from './list.ts'
import { addRotateSecret } from './rotate-secret.ts'
import { addUpdate } from './update.ts'

export function clientsCommand(): Command {
  const clients = group('clients', 'Manage OAuth clients: apps that sign users in, and machines with scopes')
  addList(clients)
  addGet(clients)
  addCreate(clients)
  addUpdate(clients)
  addEnable(clients)
  addDisable(clients)
  addRotateSecret(clients)
  addDelete(clients)
  return clients
}
