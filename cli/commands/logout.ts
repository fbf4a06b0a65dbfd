import { currentContext, readContext, removeContext, withContextLock } from '../client/contexts.ts'
import { endSession } from '../client/session.ts'
import { command, type Tool, withTool } from '../tool/command.ts'

export function logoutCommand() {
  return command('logout', 'End the session of a context and remove the context', [
    'ch202 logout',
    'ch202 logout staging',
  ])
    .argument('[context]', 'a context (default: the current one)')
    .action(withTool(logout))
}

/** Removes the context even if the session cannot be ended: nothing should stay on the machine. */
async function logout({ env, globals, out }: Tool, _: object, contextName?: string): Promise<void> {
  const name = contextName ?? currentContext(env)
  const result =
    name === null
      ? undefined
      : await withContextLock(env, name, async () => {
          const context = readContext(env, name)
          if (!context) {
            // The current context may have no file any more.
            removeContext(env, name)
            return undefined
          }
          const hasEnded = await endSession(context, globals.debug ?? false)
          removeContext(env, name)
          return hasEnded ? 'now' : { session_id: context.session_id, auth: context.auth, until: context.session_until }
        })
  if (result === undefined) return out.record({ ok: true, context: name, changed: false })
  if (result === 'now') return out.record({ ok: true, context: name, changed: true })
  const session_until = new Date(result.until).toISOString()
  out.say(
    `${result.auth} did not end the session: it stays active until ${session_until} unless another administrator ends it`,
  )
  out.say(`→ ch202 sessions revoke ${result.session_id}`)
  await out.record({ ok: true, context: name, session_id: result.session_id, session_until, changed: true })
}
