import type { UserRead } from '../../../services/kit/schema/user.ts'
import { ofEachService, SERVICE_NAMES, type ServiceName } from '../../../services/registry.ts'
import { Api } from '../../client/api.ts'
import { addressesAt, addressIn, contextAt, isLocal, overriddenBy } from '../../client/connection.ts'
import { type Context, readContext, useContext, withContextLock, writeContext } from '../../client/contexts.ts'
import { endSession, type Tokens, tokenFields } from '../../client/session.ts'
import { EXIT, Failure, usage } from '../../exit.ts'
import { askText } from '../../terminal/codes.ts'
import { existingPassword } from '../../terminal/passwords.ts'
import { quoted } from '../../terminal/shell.ts'
import { canAsk } from '../../terminal/terminal.ts'
import { command, type Tool, withTool } from '../../tool/command.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { openSession } from './steps.ts'

interface LoginOptions {
  email?: string
  passwordStdin?: boolean
  name?: string
  insecure?: boolean
}

export function loginCommand() {
  return command('login', 'Log in to an instance as an administrator, and switch to it', [
    'printf \'correct horse battery\' | ch202 login "$AUTH_URL" --email root@example.org --password-stdin',
    'printf \'correct horse battery\' | ch202 login "$AUTH_URL" --email root@example.org --password-stdin --name staging',
  ])
    .argument('<url>', 'the address of the instance, or of its auth service')
    .option('--email <email>', 'the email of the administrator')
    .option('--password-stdin', 'read the password from standard input')
    .option('--name <context>', 'name of the context (default: the host)')
    .option('--insecure', 'allow sending the password unencrypted to another machine')
    .action(withTool(login))
}

/** Logs in as an administrator, stores the session as a context, and makes that the current one. */
async function login(tool: Tool, options: LoginOptions, url: string): Promise<void> {
  const { env, globals } = tool
  const { debug = false } = globals
  refuseUnencrypted(options, addressIn(url))
  if (!canAsk() && !(options.email && options.passwordStdin))
    throw usage('Without a terminal, give --email <email> and --password-stdin')
  const addresses = await addressesAt(addressIn(url))
  refuseUnencrypted(options, ...SERVICE_NAMES.map((service) => addresses[service]))
  const name = options.name ?? contextAt(addresses, env)?.name ?? hostOf(url)
  // Reports an invalid name before anyone types a password.
  const earlier = readContext(env, name)

  const email = options.email ?? (await askText('Email'))
  const password = await existingPassword(options)
  const api = apiOf(addresses, debug)
  // A device that the account confirmed before is known by its token.
  const deviceToken = earlier?.email === email && earlier.auth === addresses.auth ? earlier.device_token : undefined
  const tokens = await openSession(api, addresses, {
    email,
    password,
    ...withoutUndefined({ device_token: deviceToken }),
  })
  const device_token = tokens.device_token ?? deviceToken
  const user = await administratorOf(api, tokens).catch(async (error: unknown) => {
    await endSession({ ...tokens, auth: addresses.auth }, debug)
    throw error
  })
  const context: Context = {
    name,
    ...addresses,
    email: user.email,
    user_id: user.id,
    ...tokenFields(tokens),
    ...withoutUndefined({ device_token }),
  }
  try {
    await withContextLock(env, name, async () => {
      const before = readContext(env, name)
      writeContext(env, context)
      useContext(env, name)
      if (before) await endSession(before, debug)
    })
  } catch (error) {
    // The session could not be stored, so nobody could use it.
    await endSession(context, debug)
    throw error
  }
  await tool.out.record({
    context: name,
    ...addresses,
    email: user.email,
    roles: user.roles,
    session_id: tokens.session_id,
    ...overriddenBy(env),
    changed: true,
  })
}

/** @throws Failure if a password or token would cross the network unencrypted */
function refuseUnencrypted({ insecure }: LoginOptions, ...addresses: string[]): void {
  const unencrypted = addresses.find((address) => address.startsWith('http:') && !isLocal(address))
  if (unencrypted !== undefined && !insecure)
    throw usage(
      `The password would go to ${unencrypted} unencrypted: use https, or --insecure if you trust the network`,
      `ch202 login ${quoted(unencrypted.replace('http:', 'https:'))}`,
    )
}

function hostOf(url: string): string {
  return new URL(url).host.replace(/^[^A-Za-z0-9]+/, '').replaceAll(/[[\]]/g, '')
}

function apiOf(addresses: Record<ServiceName, string>, debug: boolean): Api {
  const serviceAddresses = ofEachService((service) => ({ value: addresses[service], origin: 'login' }))
  return new Api({ addresses: serviceAddresses, credential: null }, debug)
}

/** The user who has just logged in. @throws Failure if they do not have the role ADMIN */
async function administratorOf(api: Api, { access_token }: Tokens): Promise<UserRead> {
  const headers = { authorization: `Bearer ${access_token}` }
  const me = await api.fetch('auth', '/api/v1/auth/me', { anonymous: true, headers })
  await api.refuseProblem('auth', me)
  const user = (await me.json()) as UserRead
  if (user.roles.includes('ADMIN')) return user
  const roles = [...user.roles, 'ADMIN'].map((role) => `--role ${quoted(role)}`).join(' ')
  throw new Failure(EXIT.forbidden, `${user.email} is not an administrator: they do not have the role ADMIN`, {
    code: 'forbidden',
    suggestion: `ch202 users update ${quoted(user.email)} ${roles}`,
  })
}
