import type { Command } from 'commander'
import { quoted } from '../../terminal/shell.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { type ModuleFields, requestBodyOf, withFieldOptions } from './module.ts'

/** Adds `modules create`. */
export function addCreate(modules: Command): void {
  withFieldOptions(
    addCommand(modules, 'create', 'Add a module to the library', [
      'ch202 modules create invoices --name Invoices --description "Writes and sends invoices" --requires billing',
      'ch202 modules create search --name Search --description "Finds things" --role USER --default-enabled',
    ])
      .argument('<id>', 'the id of the module: lower-case letters, digits and dashes')
      .requiredOption('--name <name>', 'the display name')
      .requiredOption('--description <text>', 'what the module does'),
  )
    .option('--default-enabled', 'turn the module on for all users who have not turned it off')
    .action(withTool(create))
}

async function create(
  tool: Tool,
  fields: ModuleFields & { name: string; description: string },
  id: string,
): Promise<void> {
  const { description, name } = fields
  const api = await tool.api()
  const created = await api.modules(
    (modules) => modules.modules.post({ ...requestBodyOf(fields), id, name, description }),
    (code) => (code === 'module_exists' ? `ch202 modules get ${quoted(id)}` : undefined),
  )
  await tool.out.record({ ...created, changed: true })
}
