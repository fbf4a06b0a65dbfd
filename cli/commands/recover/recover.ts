import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { callDirectly } from '../../../services/kit/outgoing.ts'
import type { Config } from '../../../services/kit/process/config.ts'
import { withoutBlanks } from '../../../services/kit/schema/email.ts'
import { SERVICES, type ServiceName } from '../../../services/registry.ts'
import { readRunFile } from '../../client/instance/run-file.ts'
import { databaseUrlOf, dataDirOf, type Environment, valuesOf, withStoredSecrets } from '../../client/settings.ts'
import { EXIT, exitOf, Failure } from '../../exit.ts'
import { readStored } from '../../runner/stored-data.ts'
import { confirm } from '../../terminal/confirm.ts'
import { type PasswordOptions, passwordOf } from '../../terminal/passwords.ts'
import { quoted } from '../../terminal/shell.ts'
import { canAsk } from '../../terminal/terminal.ts'
import { command, type Tool, withTool } from '../../tool/command.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { openFactors, removesFactors, sayNext } from './factors.ts'

interface RecoverOptions extends PasswordOptions {
  create?: boolean
  removeFactors?: boolean
}

/** Milliseconds to wait for auth and users to apply the change. */
const TIMEOUT = 3000

export function recoverCommand() {
  return command('recover', 'Give a locked-out administrator a new password, on the server itself', [
    'ch202 recover root@example.org --create --generate',
    "printf 'correct horse battery' | ch202 recover root@example.org --password-stdin",
    'ch202 recover root@example.org --generate --remove-factors',
  ])
    .argument('<email>', 'the email of the administrator')
    .option('--password-stdin', 'read the password from standard input')
    .option('--generate', 'generate a password and print it once')
    .option('--create', 'create the user if they do not exist')
    .option('--remove-factors', 'also remove the second factors and passkeys of the user')
    .action(withTool(recover))
}

async function recover(tool: Tool, options: RecoverOptions, email: string): Promise<void> {
  const { env, globals, out } = tool
  await refuseWithoutInstance(env)
  if (canAsk() && !globals.yes) await confirm(`Give ${email} a new password and the role ADMIN?`, {})
  const password = await passwordOf(options)

  const [{ recoverAdmin, sendRecovery }, { openUsersStore }, { PasswordHasher }, { systemClock }, { systemRandom }] =
    await Promise.all([
      import('../../../services/users/recovery.ts'),
      import('../../../db/users/store.ts'),
      import('../../../services/kit/passwords/hasher.ts'),
      import('../../../services/kit/clock.ts'),
      import('../../../services/kit/random.ts'),
    ])
  const config = await settingsOf(env)
  process.umask(0o077)
  const store = await openUsersStore(config)
  const factors = await openFactors(config)
  try {
    const hasher = new PasswordHasher(config)
    const { passwordMinLength } = config
    const context = { store, clock: systemClock, random: systemRandom, hasher, passwordMinLength }
    const flag = options.removeFactors ?? false
    const userId = (await store.userByEmail(withoutBlanks(email)))?.id
    const removes = await removesFactors(tool, factors, { email, flag, userId })
    const { created, user } = await recoverAdmin(context, { email, password, create: options.create ?? false })
    const removed_factors = removes ? await factors.remove(user.id) : 0
    const in_effect = await sendRecovery(store, await peersOf(env, config), user.id)
    const generated = options.generate ? { password } : {}
    const has_second_factor = await factors.has(user.id)
    const outcome = { created, removed_factors, has_second_factor, in_effect, changed: true }
    await out.record({ ...user, ...generated, ...outcome })
    out.say(
      in_effect
        ? '✓ The administrator can log in now'
        : '✓ Saved. Auth does not respond: the change takes effect when the services run',
    )
    sayNext(tool, user, config, has_second_factor)
  } catch (error) {
    throw await failureOf(error, email)
  } finally {
    await Promise.all([store.close(), factors.close()])
  }
}

/** @throws Failure if there is no instance whose administrator could be recovered: none is created */
async function refuseWithoutInstance(env: Environment): Promise<void> {
  if (databaseUrlOf(env) === undefined) {
    const path = join(dataDirOf(env), 'users.sqlite')
    if (existsSync(path)) return
    throw new Failure(EXIT.failed, `There is no ${path}: set CH202_DATA_DIR to the data directory of the instance`)
  }
  const storage = { dataDir: dataDirOf(env), databaseUrl: databaseUrlOf(env) }
  // An unreachable database is reported when it is opened.
  if ((await readStored(storage, 'users', async (users) => Boolean(await users.schema()), true)) === undefined)
    throw new Failure(EXIT.failed, 'The database of DATABASE_URL has no instance: set it to that of the instance')
}

/** Reads the settings without requiring the secrets, which a locked-out operator may not have at hand. */
async function settingsOf(env: Environment): Promise<Config<ServiceName>> {
  const { readConfig } = await import('../../../services/kit/process/config.ts')
  const unused = { INTERNAL_API_KEY: 'unused', OPERATOR_API_KEY: 'unused too', CH202_SECRET: 'unused' }
  return readConfig({ ...withStoredSecrets(env), ...unused, CH202_ENV: 'development' }, SERVICES)
}

async function peersOf(env: Environment, config: Config<ServiceName>) {
  const [{ authClient }, { usersClient }] = await Promise.all([
    import('../../../services/peers/auth.ts'),
    import('../../../services/peers/users.ts'),
  ])
  const [key = ''] = valuesOf(withStoredSecrets(env), 'INTERNAL_API_KEY')
  const signal = AbortSignal.timeout(TIMEOUT)
  const link = (service: 'auth' | 'users') => ({
    url: readRunFile(service, dataDirOf(env))?.url ?? config.addresses[service],
    key,
    fetch: (request: Request) => callDirectly(request, { signal }),
  })
  return { auth: authClient(link('auth')), sendAll: () => usersClient(link('users')).catchUp() }
}

/** Turns a problem of the users service into a failure; gives any other error back. */
async function failureOf(error: unknown, email: string): Promise<unknown> {
  const { Problem } = await import('../../../services/kit/problem.ts')
  if (!(error instanceof Problem)) return error
  if (error.code === 'user_not_found')
    return new Failure(EXIT.notFound, `There is no user ${email}: use --create to create them`, {
      code: error.code,
      suggestion: `ch202 recover ${quoted(email)} --create`,
    })
  return new Failure(exitOf(error.status), [error.publicMessage].flat().join('; '), {
    code: error.code,
    ...withoutUndefined({ errors: error.errors }),
  })
}
