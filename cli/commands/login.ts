import { version } from '../../package.json'
import type { UserRead } from '../../services/kit/schema/user.ts'
import { ofEachService, SERVICE_NAMES, type ServiceName } from '../../services/kit/services.ts'
import { Api } from '../client/api.ts'
import { addressesAt, addressIn, contextAt, isLocal, overriddenBy } from '../client/connection.ts'
import { type Context, readContext, useContext, withContextLock, writeContext } from '../client/contexts.ts'
import { endSession, type Tokens, tokenFields } from '../client/session.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { existingPassword } from '../terminal/passwords.ts'
import { canAsk } from '../terminal/terminal.ts'
import { command, type Tool, withTool } from '../tool/command.ts'

interface Options {
  email?: string
  passwordStdin?: boolean
  name?: string
  insecure?: boolean
}

export function loginCommand() {
  return command('login', 'Log in to an instance as an administrator, and talk to it from now on', [
    'printf \'correct horse battery\' | ch202 login "$AUTH_URL" --email root@example.org --password-stdin',
    'printf \'correct horse battery\' | ch202 login "$AUTH_URL" --email root@example.org --password-stdin --name staging',
  ])
    .argument('<url>', 'the address of the instance, or of its auth service')
    .option('--email <email>', 'the email of the administrator')
    .option('--password-stdin', 'read the password from standard input')
    .option('--name <context>', 'what to call it (default: its host)')
    .option('--insecure', 'send the password in the clear to another machine')
    .action(withTool(login))
}

/** Opens a session of an administrator, keeps it as a context, and makes that the one in use. */
async function login(tool: Tool, options: Options, url: string): Promise<void> {
  const { env, globals } = tool
  refuseClear(options, addressIn(url))
  if (!canAsk() && !(options.email && options.passwordStdin))
    throw usage('There is no terminal to ask at: give --email <email> and --password-stdin')
  const addresses = await addressesAt(addressIn(url))
  refuseClear(options, ...SERVICE_NAMES.map((place) => addresses[place]))
  const name = options.name ?? contextAt(addresses, env)?.name ?? hostOf(url)
  // A name that is none is said before anyone types a password.
  readContext(env, name)

  const email = options.email ?? (await askEmail())
  const password = await existingPassword(options)
  const api = apiOf(addresses, globals.debug)
  const { tokens, user } = await openSession(api, email, password)
  const context: Context = { name, ...addresses, email: user.email, user_id: user.id, ...tokenFields(tokens) }
  try {
    await withContextLock(env, name, async () => {
      const before = readContext(env, name)
      writeContext(env, context)
      useContext(env, name)
      if (before) await endSession(before, globals.debug ?? false)
    })
  } catch (error) {
    // It could not be kept: no session is left that no one has.
    await endSession(context, globals.debug ?? false)
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

/** @throws Failure where a password or a token would cross the network unencrypted */
function refuseClear({ insecure }: Options, ...addresses: string[]): void {
  const clear = addresses.find((address) => address.startsWith('http:') && !isLocal(address))
  if (clear !== undefined && !insecure)
    throw usage(
      `The password would go to ${clear} in the clear: take https, or --insecure where the network is trusted`,
      `ch202 login ${clear.replace('http:', 'https:')}`,
    )
}

function hostOf(url: string): string {
  return new URL(url).host.replace(/^[^A-Za-z0-9]+/, '').replaceAll(/[[\]]/g, '')
}

async function askEmail(): Promise<string> {
  const { isCancel, text } = await import('@clack/prompts')
  const typed = await text({ message: 'Email' })
  if (isCancel(typed)) throw new Failure(EXIT.interrupted, 'Cancelled', { code: 'cancelled' })
  return typed
}

function apiOf(addresses: Record<ServiceName, string>, debug = false): Api {
  const told = ofEachService((place) => ({ value: addresses[place], origin: 'login' }))
  return new Api({ addresses: told, credential: null }, debug)
}

/** @throws Failure for a wrong password, and for whoever is no administrator: no session of theirs is left */
async function openSession(api: Api, email: string, password: string): Promise<{ tokens: Tokens; user: UserRead }> {
  const answer = await api.fetch('auth', '/api/v1/auth/login', {
    method: 'POST',
    anyone: true,
    headers: { 'content-type': 'application/json', 'user-agent': `ch202/${version}` },
    body: JSON.stringify({ email, password }),
  })
  await api.refuseProblem('auth', answer)
  const tokens = (await answer.json().catch(() => ({}))) as Tokens
  if (!tokens.access_token) throw api.notOurService('auth')
  try {
    const headers = { authorization: `Bearer ${tokens.access_token}` }
    const me = await api.fetch('auth', '/api/v1/auth/me', { anyone: true, headers })
    await api.refuseProblem('auth', me)
    const user = (await me.json()) as UserRead
    if (user.roles.includes('ADMIN')) return { tokens, user }
    throw new Failure(EXIT.forbidden, `${user.email} is no administrator: it has not the role ADMIN`, {
      code: 'forbidden',
      suggestion: `ch202 users update ${user.email} --role ${[...user.roles, 'ADMIN'].join(' --role ')}`,
    })
  } catch (error) {
    await api
      .fetch('auth', '/api/v1/auth/logout', {
        method: 'POST',
        anyone: true,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ refresh_token: tokens.refresh_token }),
      })
      .catch(() => undefined)
    throw error
  }
}
