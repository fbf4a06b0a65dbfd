import type { Command } from 'commander'
import { segment } from '../../client/api.ts'
import type { Row } from '../../terminal/table.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { forEachRef, REFS, userOf } from '../../tool/refs.ts'
import { checkId, moduleOf, suggestModule } from './module.ts'

type Verb = 'enable' | 'disable'

/** Adds `modules enable`. */
export function addEnable(modules: Command): void {
  addSwitch(modules, 'enable', 'Turn a module on for a user')
}

/** Adds `modules disable`. */
export function addDisable(modules: Command): void {
  addSwitch(modules, 'disable', 'Turn a module off for a user')
}

function addSwitch(modules: Command, verb: Verb, description: string): void {
  addCommand(modules, verb, description, [
    `ch202 modules ${verb} billing --user ana@example.org`,
    `ch202 users list --role GUEST --all -o ids | ch202 modules ${verb} billing --user -`,
  ])
    .argument('<id>', 'the id of the module')
    .requiredOption('--user <ref>', `the user: ${REFS}`)
    .action(
      withTool((tool, { user }: { user: string }, id: string) => {
        checkId(id)
        return forEachRef(tool, user, (ref) => switchModule(tool, verb, id, ref))
      }),
    )
}

/** Turns a module on or off for a user. Gives the module as it is for them now; `changed` if it was different before. */
async function switchModule(tool: Tool, verb: Verb, id: string, ref: string): Promise<Row> {
  const [api, user] = [await tool.api(), await userOf(tool, ref)]
  const user_id = user.id
  const before = await moduleOf(tool, id, { user_id })
  const after = await api.modules((modules) => {
    const module = modules.modules({ module_id: segment(id) })
    return verb === 'enable' ? module.enable.post({ user_id }) : module.disable.post({ user_id })
  }, suggestModule(id))
  return { ...after, user_id, email: user.email, changed: after.enabled !== before.enabled }
}
