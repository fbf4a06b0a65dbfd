import type { Command } from 'commander'
import { group } from '../../tool/command.ts'
import { addCreate } from './create.ts'
import { addDelete } from './delete.ts'
import { addDisable, addEnable } from './enable.ts'
import { addGet, addList, addUsers } from './list.ts'
import { addUpdate } from './update.ts'

export function modulesCommand(): Command {
  const modules = group('modules', 'Manage the library of modules, and turn modules on and off for users')
  addList(modules)
  addGet(modules)
  addCreate(modules)
  addUpdate(modules)
  addDelete(modules)
  addEnable(modules)
  addDisable(modules)
  addUsers(modules)
  return modules
}
