import type { Command } from 'commander'
import { segment } from '../client/api.ts'
import { forEachRef, ONE_REF, REFS, userOf } from '../client/refs.ts'
import { addCommand, collectNames, group, type Tool, withTool } from '../command.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { type Extent, list, listCommand } from '../terminal/lists.ts'
import { asFailure, type Row } from '../terminal/output.ts'
import { quoted } from '../terminal/shell.ts'
import { confirm } from '../terminal/terminal.ts'
import { withoutUndefined } from '../without-undefined.ts'

const COLUMNS = ['id', 'name', 'version', 'required_roles', 'requires']
const COLUMNS_OF_USER = ['id', 'name', 'version', 'enabled', 'available', 'enabled_at']
const ID = /^[a-z0-9][a-z0-9-]{0,62}$/

export function modulesCommand(): Command {
  const modules = group('modules', 'Keep the library of modules, and turn them on and off for users')

  addCommand(modules, 'list', 'List the modules', [
    'ch202 modules list',
    'ch202 modules list --user ana@example.org -o json',
  ])
    .option('--user <ref>', `as they stand for this user: ${ONE_REF}`)
    .action(withTool(listModules))

  addCommand(modules, 'get', 'Show a module', [
    'ch202 modules get billing',
    'ch202 modules get billing --user ana --fields enabled -o json',
  ])
    .argument('<id>', 'the id of the module')
    .option('--user <ref>', `as it stands for this user: ${ONE_REF}`)
    .action(withTool(getModule))

  withFields(
    addCommand(modules, 'create', 'Add a module to the library', [
      'ch202 modules create invoices --name Invoices --description "Writes and sends invoices" --requires billing',
      'ch202 modules create search --name Search --description "Finds things" --role USER --default-enabled',
    ])
      .argument('<id>', 'its id: lower-case letters, digits and dashes')
      .requiredOption('--name <name>', 'its name, for people')
      .requiredOption('--description <text>', 'what it does'),
  )
    .option('--default-enabled', 'on for everyone who has not turned it off')
    .action(withTool(create))

  withFields(
    addCommand(modules, 'update', 'Change a module', [
      'ch202 modules update billing --version 1.1.0',
      'ch202 modules update billing --no-role --no-requires',
    ])
      .argument('<id>', 'the id of the module')
      .option('--name <name>', 'its name, for people')
      .option('--description <text>', 'what it does'),
  )
    .option('--no-role', 'no role is needed')
    .option('--no-requires', 'it needs no other module')
    .option('--default-enabled', 'on for everyone who has not turned it off')
    .option('--no-default-enabled', 'off for everyone who has not turned it on')
    .action(withTool(update))

  addCommand(modules, 'delete', 'Delete a module, and so turn it off for everyone', [
    'ch202 modules delete reports --confirm reports',
    'ch202 modules delete reports --yes -o json',
  ])
    .argument('<id>', 'the id of the module')
    .option('--confirm <id>', 'the id of the module, in place of --yes')
    .action(withTool(deleteModule))

  for (const [name, to] of [
    ['enable', 'on'],
    ['disable', 'off'],
  ] as const)
    addCommand(modules, name, `Turn a module ${to} for a user`, [
      `ch202 modules ${name} billing --user ana@example.org`,
      `ch202 users list --role GUEST --all -o ids | ch202 modules ${name} billing --user -`,
    ])
      .argument('<id>', 'the id of the module')
      .requiredOption('--user <ref>', REFS)
      .action(
        withTool((tool, { user }: { user: string }, id: string) => {
          checkId(id)
          return forEachRef(tool, user, (ref) => turn(tool, name, id, ref))
        }),
      )

  listCommand(
    addCommand(modules, 'users', 'List the users who have a module on', [
      'ch202 modules users billing',
      'ch202 modules users billing --all -o ids',
    ]).argument('<id>', 'the id of the module'),
  ).action(withTool(listUsers))

  return modules
}

function withFields(command: Command): Command {
  return command
    .option('--version <version>', 'its version')
    .option('--role <role>', 'a role that a user must have; may be given again', collectNames)
    .option('--requires <id>', 'a module that must be on; may be given again', collectNames)
}

/** What is no id would lead elsewhere in the API. @throws Failure */
function checkId(id: string): void {
  if (!ID.test(id)) throw noModule(id)
}

function noModule(id: string): Failure {
  const said = { code: 'module_not_found', suggestion: 'ch202 modules list' }
  return new Failure(EXIT.notFound, `There is no module ${id}`, said)
}

async function queryOf(tool: Tool, user: string | undefined) {
  return user === undefined ? {} : { user_id: (await userOf(tool, user)).id }
}

async function listModules(tool: Tool, { user }: { user?: string }): Promise<void> {
  const [api, query] = [await tool.api(), await queryOf(tool, user)]
  const { items } = await api.modules((modules) => modules.modules.get({ query }))
  await tool.out.list(items, user === undefined ? COLUMNS : COLUMNS_OF_USER)
}

async function getModule(tool: Tool, { user }: { user?: string }, id: string): Promise<void> {
  await tool.out.record(await moduleOf(tool, id, await queryOf(tool, user)))
}

async function moduleOf(tool: Tool, id: string, query: { user_id?: string } = {}) {
  checkId(id)
  const api = await tool.api()
  return api.modules((modules) => modules.modules({ module_id: segment(id) }).get({ query }))
}

interface Fields {
  name?: string
  description?: string
  version?: string
  role?: string[] | false
  requires?: string[] | false
  defaultEnabled?: boolean
}

function bodyOf({ defaultEnabled, description, name, requires, role, version }: Fields) {
  return withoutUndefined({
    name,
    description,
    version,
    required_roles: role === false ? [] : role,
    requires: requires === false ? [] : requires,
    default_enabled: defaultEnabled,
  })
}

async function create(tool: Tool, fields: Fields & { name: string; description: string }, id: string): Promise<void> {
  const { description, name } = fields
  const api = await tool.api()
  const created = await api.modules(
    (modules) => modules.modules.post({ ...bodyOf(fields), id, name, description }),
    (code) => (code === 'module_exists' ? `ch202 modules get ${quoted(id)}` : undefined),
  )
  await tool.out.record({ ...created, changed: true })
}

async function update(tool: Tool, fields: Fields, id: string): Promise<void> {
  const body = bodyOf(fields)
  if (Object.keys(body).length === 0)
    throw usage(
      'There is nothing to change: give --name, --description, --version, --role, --requires or --default-enabled',
    )
  const [api, before] = [await tool.api(), await moduleOf(tool, id)]
  const after = await api.modules((modules) => modules.modules({ module_id: segment(id) }).patch(body), stands(id))
  // Whether it is on by default stands in no answer: asked for, it counts as changed.
  const changed = 'default_enabled' in body || JSON.stringify(after) !== JSON.stringify(before)
  await tool.out.record({ ...after, changed })
}

/** What stands in the way is seen in the library. */
function stands(id: string) {
  return (code: string) => {
    if (code === 'module_dependency') return 'ch202 modules list'
    return code === 'module_not_available' ? `ch202 modules get ${id}` : undefined
  }
}

async function deleteModule(tool: Tool, { confirm: name }: { confirm?: string }, id: string): Promise<void> {
  try {
    await moduleOf(tool, id)
    await confirm(`Delete the module ${id}? It is off for everyone then.`, {
      yes: tool.globals.yes,
      confirm: name,
      name: id,
    })
    const api = await tool.api()
    await api.modules((modules) => modules.modules({ module_id: segment(id) }).delete(), stands(id))
  } catch (error) {
    if (asFailure(error).exit !== EXIT.notFound) throw error
    return tool.out.done(false, `There is no module ${id}: nothing was deleted`, { id })
  }
  await tool.out.done(true, `The module ${id} is deleted`, { id })
}

/** The module as it stands for the user then, and whether that is another than before. */
async function turn(tool: Tool, to: 'enable' | 'disable', id: string, ref: string): Promise<Row> {
  const [api, user] = [await tool.api(), await userOf(tool, ref)]
  const user_id = user.id
  const before = await moduleOf(tool, id, { user_id })
  const after = await api.modules((modules) => {
    const module = modules.modules({ module_id: segment(id) })
    return to === 'enable' ? module.enable.post({ user_id }) : module.disable.post({ user_id })
  }, stands(id))
  return { ...after, user_id, email: user.email, changed: after.enabled !== before.enabled }
}

async function listUsers(tool: Tool, extent: Extent, id: string): Promise<void> {
  checkId(id)
  const api = await tool.api()
  await list(tool, extent, ['modules', 'users', id], ['user_id', 'enabled_at'], (query) =>
    api.modules((modules) => modules.modules({ module_id: segment(id) }).users.get({ query })),
  )
}
