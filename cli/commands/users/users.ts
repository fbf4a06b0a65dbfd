import type { Command } from 'commander'
import { group } from '../../tool/command.ts'
import { addCreate } from './create.ts'
import { addDelete } from './delete.ts'
import { addErase } from './erase.ts'
import { addExport } from './export/command.ts'
import { addFactors } from './factors.ts'
import { addGet } from './get.ts'
import { addImport } from './import/command.ts'
import { addInvite } from './invite.ts'
import { addList } from './list.ts'
import { addSendReset, addSetPassword } from './password.ts'
import { addDisable, addEnable, addUpdate } from './update.ts'

export function usersCommand(): Command {
  const users = group('users', 'Create, find, change and delete users')
  addCreate(users)
  addInvite(users)
  addList(users)
  addGet(users)
  addUpdate(users)
  addDisable(users)
  addEnable(users)
  addDelete(users)
  addErase(users)
  addSetPassword(users)
  addSendReset(users)
  addFactors(users)
  addImport(users)
  addExport(users)
  return users
}
