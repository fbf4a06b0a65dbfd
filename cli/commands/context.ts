import { ofEachService } from '../../services/registry.ts'
import { overriddenBy } from '../client/connection.ts'
import { currentContext, LOCAL, listContexts, readContext, removeContext, useContext } from '../client/contexts.ts'
import type { Environment } from '../client/settings.ts'
import { EXIT, Failure } from '../exit.ts'
import { addCommand, group, withTool } from '../tool/command.ts'

const COLUMNS = ['name', 'current', 'auth', 'email', 'session_until']

export function contextCommand() {
  const context = group('context', 'Choose the instance that the tool connects to')

  addCommand(context, 'list', 'List the local instance and those you logged in to', [
    'ch202 context list',
    'ch202 context list -o ids',
  ]).action(withTool(async ({ env, out }) => out.list(contexts(env), COLUMNS)))

  addCommand(context, 'use', 'Switch to another instance', [
    `ch202 context use ${LOCAL}`,
    `ch202 context use ${LOCAL} -o json`,
  ])
    .argument('<name>', `a context, or ${LOCAL}`)
    .action(
      withTool(async ({ env, out }, _: object, name: string) => {
        const newContext = name === LOCAL ? null : requireContext(env, name)
        const changed = newContext !== currentContext(env)
        if (changed) useContext(env, newContext)
        await out.record({ context: name, ...overriddenBy(env), changed })
      }),
    )

  addCommand(context, 'remove', 'Remove a context without ending its session (see logout)', [
    'ch202 context remove staging',
    'ch202 context remove staging -o json',
  ])
    .argument('<name>', 'a context')
    .action(
      withTool(async ({ env, out }, _: object, name: string) => {
        const context = readContext(env, name)
        removeContext(env, name)
        if (!context) return out.record({ ok: true, context: name, changed: false })
        const { session_id, session_until } = context
        out.say(`Its session stays active until ${timeOf(session_until)}\n→ ch202 sessions revoke ${session_id}`)
        await out.record({ ok: true, context: name, session_id, changed: true })
      }),
    )

  return context
}

function contexts(env: Environment) {
  const current = currentContext(env)
  const local = {
    name: LOCAL,
    current: current === null,
    ...ofEachService(() => null),
    email: null,
    session_until: null,
  }
  const others = listContexts(env).map((context) => ({
    name: context.name,
    current: context.name === current,
    ...ofEachService((service) => context[service]),
    email: context.email,
    session_until: timeOf(context.session_until),
  }))
  return [local, ...others]
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString()
}

/** @throws Failure if there is no context with this name */
function requireContext(env: Environment, name: string): string {
  if (readContext(env, name)) return name
  throw new Failure(EXIT.notFound, `There is no context ${name}`, {
    code: 'context_not_found',
    suggestion: 'ch202 context list',
  })
}
