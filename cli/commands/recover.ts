import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { direct } from '../../services/kit/outgoing.ts'
import type { Config } from '../../services/kit/process/config.ts'
import { noteOf } from '../client/instance/note.ts'
import { dataDirOf, type Environment, knownEnvironment, valuesOf } from '../client/settings.ts'
import { command, type Tool, withTool } from '../command.ts'
import { EXIT, exitOf, Failure } from '../exit.ts'
import { type PasswordOptions, passwordOf } from '../terminal/passwords.ts'
import { canAsk, confirm } from '../terminal/terminal.ts'
import { withoutUndefined } from '../without-undefined.ts'

interface Options extends PasswordOptions {
  create?: boolean
}

/** How long it waits for auth to take effect. */
const PATIENCE = 3000

export function recoverCommand() {
  return command('recover', 'Let a locked-out administrator in again, on the machine itself', [
    'ch202 recover root@example.org --create --generate',
    "printf 'correct horse battery' | ch202 recover root@example.org --password-stdin",
  ])
    .argument('<email>', 'the email of the administrator')
    .option('--password-stdin', 'read the password from standard input')
    .option('--generate', 'make a password and print it, once')
    .option('--create', 'make the user where there is none')
    .action(withTool(recover))
}

async function recover(tool: Tool, options: Options, email: string): Promise<void> {
  const { env, globals, out } = tool
  const path = join(dataDirOf(env), 'users.sqlite')
  if (!existsSync(path))
    throw new Failure(EXIT.failed, `${path} is not there: CH202_DATA_DIR names the data directory of the instance`)
  if (canAsk() && !globals.yes) await confirm(`Give ${email} a new password and the role ADMIN?`, {})
  const password = await passwordOf(options)

  const [{ recoverAdmin, tellAtOnce }, { openUsersStore }, { PasswordHasher }, { systemClock }, { systemRandom }] =
    await Promise.all([
      import('../../services/users/recovery.ts'),
      import('../../db/users/store.ts'),
      import('../../services/kit/passwords/hasher.ts'),
      import('../../services/kit/clock.ts'),
      import('../../services/kit/random.ts'),
    ])
  const config = await settingsOf(env)
  process.umask(0o077)
  const store = await openUsersStore({ dataDir: dataDirOf(env) })
  try {
    const hasher = new PasswordHasher(config)
    const { passwordMinLength } = config
    const context = { store, clock: systemClock, random: systemRandom, hasher, passwordMinLength }
    const { created, user } = await recoverAdmin(context, email, password, options.create ?? false)
    const in_effect = await tellAtOnce(store, await peersOf(env, config), user.id)
    await out.record({ ...user, ...(options.generate ? { password } : {}), created, in_effect, changed: true })
    out.say(
      in_effect ? '✓ It can log in now' : '✓ Written. Auth does not answer: it takes effect when the services run',
    )
  } catch (error) {
    throw await asFailure(error, email)
  } finally {
    await store.close()
  }
}

/** The secrets have no part in it: whoever is locked out may not have them at hand. */
async function settingsOf(env: Environment): Promise<Config> {
  const { readConfig } = await import('../../services/kit/process/config.ts')
  const unused = { INTERNAL_API_KEY: 'unused', OPERATOR_API_KEY: 'unused too', CH202_SECRET: 'unused' }
  return readConfig({ ...knownEnvironment(env), ...unused, CH202_ENV: 'development' })
}

async function peersOf(env: Environment, config: Config) {
  const { authClientForUsers: authOfUsers, usersClientForAuth: usersOfAuth } = await import('../../services/peers.ts')
  const [key = ''] = valuesOf(knownEnvironment(env), 'INTERNAL_API_KEY')
  const signal = AbortSignal.timeout(PATIENCE)
  const link = (place: 'auth' | 'users') => ({
    url: noteOf(place, dataDirOf(env))?.url ?? config.addresses[place],
    key,
    fetch: (request: Request) => direct(request, { signal }),
  })
  return { auth: authOfUsers(link('auth')), sendAll: () => usersOfAuth(link('users')).catchUp() }
}

async function asFailure(error: unknown, email: string): Promise<unknown> {
  const { Problem } = await import('../../services/kit/problem.ts')
  if (!(error instanceof Problem)) return error
  if (error.code === 'user_not_found')
    return new Failure(EXIT.notFound, `There is no user ${email}: --create makes one`, {
      code: error.code,
      suggestion: `ch202 recover ${email} --create`,
    })
  return new Failure(exitOf(error.status), [error.publicMessage].flat().join('; '), {
    code: error.code,
    ...withoutUndefined({ errors: error.errors }),
  })
}
