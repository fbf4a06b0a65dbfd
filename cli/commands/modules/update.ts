import type { Command } from 'commander'
import { segment } from '../../client/api.ts'
import { usage } from '../../exit.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { type ModuleFields, moduleOf, requestBodyOf, suggestModule, withFieldOptions } from './module.ts'

/** Adds `modules update`. */
export function addUpdate(modules: Command): void {
  withFieldOptions(
    addCommand(modules, 'update', 'Change a module', [
      'ch202 modules update billing --version 1.1.0',
      'ch202 modules update billing --no-role --no-requires',
    ])
      .argument('<id>', 'the id of the module')
      .option('--name <name>', 'a new display name')
      .option('--description <text>', 'a new description'),
  )
    .option('--no-role', 'require no role')
    .option('--no-requires', 'require no other module')
    .option('--default-enabled', 'turn the module on for all users who have not turned it off')
    .option('--no-default-enabled', 'turn the module off for all users who have not turned it on')
    .action(withTool(update))
}

async function update(tool: Tool, fields: ModuleFields, id: string): Promise<void> {
  const body = requestBodyOf(fields)
  if (Object.keys(body).length === 0)
    throw usage('Nothing to change: give --name, --description, --version, --role, --requires or --default-enabled')
  const [api, before] = [await tool.api(), await moduleOf(tool, id)]
  const after = await api.modules(
    (modules) => modules.modules({ module_id: segment(id) }).patch(body),
    suggestModule(id),
  )
  // The API does not return `default_enabled`, so setting it always counts as a change.
  const changed = 'default_enabled' in body || JSON.stringify(after) !== JSON.stringify(before)
  await tool.out.record({ ...after, changed })
}
