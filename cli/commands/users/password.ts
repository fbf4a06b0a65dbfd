import type { Command } from 'commander'
import { EXIT, Failure, usage } from '../../exit.ts'
import { type PasswordOptions, passwordOf, withPasswordOptions } from '../../terminal/passwords.ts'
import { quoted } from '../../terminal/shell.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { forEachRef, REFS, userOf } from '../../tool/refs.ts'

/** Adds `users set-password`. */
export function addSetPassword(users: Command): void {
  withPasswordOptions(
    addCommand(users, 'set-password', 'Set the password of a user and end their sessions', [
      'ch202 users set-password ana@example.org --generate',
      "printf 'battery horse correct' | ch202 users set-password ana --password-stdin",
    ]).argument('<ref>', REFS),
  ).action(withTool(setPassword))
}

/** Adds `users send-reset`. */
export function addSendReset(users: Command): void {
  addCommand(users, 'send-reset', 'Email a user a link to set a new password', [
    'ch202 users send-reset ana@example.org',
    'ch202 users send-reset ana -o json',
  ])
    .argument('<ref>', REFS)
    .action(withTool((tool, _: object, ref: string) => forEachRef(tool, ref, (one) => sendReset(tool, one))))
}

async function setPassword(tool: Tool, options: PasswordOptions, ref: string): Promise<void> {
  if (ref === '-' && (!options.generate || options.passwordStdin))
    throw usage('Standard input lists the users: use --generate for the passwords')
  const password = ref === '-' ? undefined : await passwordOf(options)
  await forEachRef(tool, ref, async (one) => {
    const [api, user] = [await tool.api(), await userOf(tool, one)]
    const new_password = password ?? (await passwordOf({ generate: true }))
    await api.users((users) => users.users({ user_id: user.id })['set-password'].post({ new_password }))
    const generated = options.generate ? { password: new_password } : {}
    return { ok: true, id: user.id, email: user.email, ...generated, changed: true }
  })
}

async function sendReset(tool: Tool, ref: string) {
  const [api, { email, id, status }] = [await tool.api(), await userOf(tool, ref)]
  // The API gives the same answer for a disabled user, to whom it sends nothing.
  if (status === 'disabled')
    throw new Failure(EXIT.conflict, `${email} is disabled, so no email is sent`, {
      code: 'account_disabled',
      suggestion: `ch202 users enable ${quoted(email)}`,
    })
  const answer = await api.auth((auth) => auth.admin.users({ user_id: id })['password-reset'].post({}))
  return { ...answer, id, email, changed: true }
}
