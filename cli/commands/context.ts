import { ofEachService } from '../../services/kit/services.ts'
import { overriddenBy } from '../client/connection.ts'
import { currentContext, LOCAL, listContexts, readContext, removeContext, useContext } from '../client/contexts.ts'
import type { Environment } from '../client/settings.ts'
import { EXIT, Failure } from '../exit.ts'
import { addCommand, group, withTool } from '../tool/command.ts'

const COLUMNS = ['name', 'current', 'auth', 'email', 'session_until']

export function contextCommand() {
  const context = group('context', 'Choose which instance the tool talks to')

  addCommand(context, 'list', 'List the instances that were logged in to, and the local one', [
    'ch202 context list',
    'ch202 context list -o ids',
  ]).action(withTool(async ({ env, out }) => out.list(contexts(env), COLUMNS)))

  addCommand(context, 'use', 'Talk to another instance from now on', [
    `ch202 context use ${LOCAL}`,
    `ch202 context use ${LOCAL} -o json`,
  ])
    .argument('<name>', `a context, or ${LOCAL}`)
    .action(
      withTool(async ({ env, out }, _: object, name: string) => {
        const wanted = name === LOCAL ? null : existing(env, name)
        const changed = wanted !== currentContext(env)
        if (changed) useContext(env, wanted)
        await out.record({ context: name, ...overriddenBy(env), changed })
      }),
    )

  addCommand(context, 'remove', 'Forget a context; its session goes on: logout ends it', [
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
        out.say(`Its session goes on until ${timeOf(session_until)}\n→ ch202 sessions revoke ${session_id}`)
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
    ...ofEachService((place) => context[place]),
    email: context.email,
    session_until: timeOf(context.session_until),
  }))
  return [local, ...others]
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString()
}

/** @throws Failure where there is none of that name */
function existing(env: Environment, name: string): string {
  if (readContext(env, name)) return name
  throw new Failure(EXIT.notFound, `There is no context ${name}`, {
    code: 'context_not_found',
    suggestion: 'ch202 context list',
  })
}
