import type { Command } from 'commander'
import { segment } from '../../client/api.ts'
import { EXIT, Failure } from '../../exit.ts'
import { collectNames, type Tool } from '../../tool/command.ts'
import { withoutUndefined } from '../../without-undefined.ts'

const ID = /^[a-z0-9][a-z0-9-]{0,62}$/

/** Refuses a text that is not an id, because it could lead to another path of the API. @throws Failure */
export function checkId(id: string): void {
  if (!ID.test(id))
    throw new Failure(EXIT.notFound, `There is no module ${id}`, {
      code: 'module_not_found',
      suggestion: 'ch202 modules list',
    })
}

/** Fetches a module, for a user if the query names one. @throws Failure if there is no such module */
export async function moduleOf(tool: Tool, id: string, query: { user_id?: string } = {}) {
  checkId(id)
  const api = await tool.api()
  return api.modules((modules) => modules.modules({ module_id: segment(id) }).get({ query }))
}

/** Gives a function that suggests, for a failure's code, the command that shows why the change is not possible. */
export function suggestModule(id: string) {
  return (code: string) => {
    if (code === 'module_dependency') return 'ch202 modules list'
    return code === 'module_not_available' ? `ch202 modules get ${id}` : undefined
  }
}

/** The options of `modules create` and `modules update`. */
export interface ModuleFields {
  name?: string
  description?: string
  version?: string
  /** False: `--no-role`. */
  role?: string[] | false
  /** False: `--no-requires`. */
  requires?: string[] | false
  defaultEnabled?: boolean
}

/** Adds the options that `create` and `update` share. */
export function withFieldOptions(command: Command): Command {
  return command
    .option('--version <version>', 'the version of the module')
    .option('--role <role>', 'a role that users must have; can be repeated', collectNames)
    .option('--requires <id>', 'a module that must be on; can be repeated', collectNames)
}

/** The body of the request that creates or changes a module; a field without an option is missing. */
export function requestBodyOf({ defaultEnabled, description, name, requires, role, version }: ModuleFields) {
  return withoutUndefined({
    name,
    description,
    version,
    required_roles: role === false ? [] : role,
    requires: requires === false ? [] : requires,
    default_enabled: defaultEnabled,
  })
}
