import type { Command } from 'commander'
import { segment } from '../../client/api.ts'
import { EXIT } from '../../exit.ts'
import { confirm } from '../../terminal/confirm.ts'
import { asFailure } from '../../terminal/failures.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { moduleOf, suggestModule } from './module.ts'

/** Adds `modules delete`. */
export function addDelete(modules: Command): void {
  addCommand(modules, 'delete', 'Delete a module, which turns it off for everyone', [
    'ch202 modules delete reports --confirm reports',
    'ch202 modules delete reports --yes -o json',
  ])
    .argument('<id>', 'the id of the module')
    .option('--confirm <id>', 'the id of the module, instead of --yes')
    .action(withTool(deleteModule))
}

async function deleteModule(tool: Tool, { confirm: confirmation }: { confirm?: string }, id: string): Promise<void> {
  try {
    await moduleOf(tool, id)
    await confirm(`Delete the module ${id}? This turns it off for everyone.`, {
      yes: tool.globals.yes,
      confirm: confirmation,
      name: id,
    })
    const api = await tool.api()
    await api.modules((modules) => modules.modules({ module_id: segment(id) }).delete(), suggestModule(id))
  } catch (error) {
    if (asFailure(error).exit !== EXIT.notFound) throw error
    return tool.out.done(false, `There is no module ${id}: nothing was deleted`, { id })
  }
  await tool.out.done(true, `Deleted the module ${id}`, { id })
}
