import type { Command } from 'commander'
import { segment } from '../../client/api.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { type ListOptions, list, listCommand } from '../../tool/lists.ts'
import { ONE_REF, userOf } from '../../tool/refs.ts'
import { checkId, moduleOf } from './module.ts'

const COLUMNS = ['id', 'name', 'version', 'required_roles', 'requires']
const COLUMNS_FOR_USER = ['id', 'name', 'version', 'enabled', 'available', 'enabled_at']

/** Adds `modules list`. */
export function addList(modules: Command): void {
  addCommand(modules, 'list', 'List the modules', [
    'ch202 modules list',
    'ch202 modules list --user ana@example.org -o json',
  ])
    .option('--user <ref>', `show which modules are on for this user: ${ONE_REF}`)
    .action(withTool(listModules))
}

/** Adds `modules get`. */
export function addGet(modules: Command): void {
  addCommand(modules, 'get', 'Show a module', [
    'ch202 modules get billing',
    'ch202 modules get billing --user ana --fields enabled -o json',
  ])
    .argument('<id>', 'the id of the module')
    .option('--user <ref>', `show whether the module is on for this user: ${ONE_REF}`)
    .action(
      withTool(async (tool, { user }: { user?: string }, id: string) =>
        tool.out.record(await moduleOf(tool, id, await queryFor(tool, user))),
      ),
    )
}

/** Adds `modules users`. */
export function addUsers(modules: Command): void {
  listCommand(
    addCommand(modules, 'users', 'List the users for whom a module is on', [
      'ch202 modules users billing',
      'ch202 modules users billing --all -o ids',
    ]).argument('<id>', 'the id of the module'),
  ).action(withTool(listUsers))
}

/** The query for the modules of a user, if one is chosen. @throws Failure if there is no such user */
async function queryFor(tool: Tool, user: string | undefined) {
  return user === undefined ? {} : { user_id: (await userOf(tool, user)).id }
}

async function listModules(tool: Tool, { user }: { user?: string }): Promise<void> {
  const [api, query] = [await tool.api(), await queryFor(tool, user)]
  const { items } = await api.modules((modules) => modules.modules.get({ query }))
  await tool.out.list(items, user === undefined ? COLUMNS : COLUMNS_FOR_USER)
}

async function listUsers(tool: Tool, options: ListOptions, id: string): Promise<void> {
  checkId(id)
  const api = await tool.api()
  await list(tool, options, ['modules', 'users', id], ['user_id', 'enabled_at'], (query) =>
    api.modules((modules) => modules.modules({ module_id: segment(id) }).users.get({ query })),
  )
}
