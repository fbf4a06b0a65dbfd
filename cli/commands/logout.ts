import { currentContext, readContext, removeContext, withContextLock } from '../client/contexts.ts'
import { endSession } from '../client/session.ts'
import { command, type Tool, withTool } from '../tool/command.ts'

export function logoutCommand() {
  return command('logout', 'End the session of a context, and forget the context', [
    'ch202 logout',
    'ch202 logout staging',
  ])
    .argument('[context]', 'a context (default: the one in use)')
    .action(withTool(logout))
}

/** Forgets in any case: whoever logs out of a machine wants nothing left on it. */
async function logout({ env, globals, out }: Tool, _: object, named?: string): Promise<void> {
  const name = named ?? currentContext(env)
  const ended =
    name === null
      ? undefined
      : await withContextLock(env, name, async () => {
          const context = readContext(env, name)
          if (!context) {
            // Its file may be gone while it is still the one in use.
            removeContext(env, name)
            return undefined
          }
          const gone = await endSession(context, globals.debug ?? false)
          removeContext(env, name)
          return gone ? 'now' : { session_id: context.session_id, auth: context.auth, until: context.session_until }
        })
  if (ended === undefined) return out.record({ ok: true, context: name, changed: false })
  if (ended === 'now') return out.record({ ok: true, context: name, changed: true })
  const session_until = new Date(ended.until).toISOString()
  out.say(
    `${ended.auth} did not end the session: it goes on until ${session_until} unless another administrator ends it`,
  )
  out.say(`→ ch202 sessions revoke ${ended.session_id}`)
  await out.record({ ok: true, context: name, session_id: ended.session_id, session_until, changed: true })
}
