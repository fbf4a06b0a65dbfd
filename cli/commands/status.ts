import type { UserRead } from '../../services/kit/schema/user.ts'
import { SERVICE_NAMES, type ServiceName } from '../../services/registry.ts'
import type { Api } from '../client/api.ts'
import { type Connection, type Credential, noCredential } from '../client/connection.ts'
import { EXIT, Failure } from '../exit.ts'
import { asFailure, failureFields, printFailure } from '../terminal/failures.ts'
import { command, type Tool, withTool } from '../tool/command.ts'

const TIMEOUT = 5000

export function statusCommand() {
  return command('status', 'Show the instance that the tool uses, the credential, and whether it is accepted', [
    'ch202 status',
    'ch202 status -o json',
  ]).action(withTool(status))
}

interface Identity {
  email: string | null
  roles: string[] | null
  session_until: string | null
}

const NOBODY: Identity = { email: null, roles: null, session_until: null }

/** Prints everything known, even after a failure, which sets the exit status. */
async function status(tool: Tool): Promise<void> {
  const [connection, api] = [await tool.connection(), await tool.api()]
  const { addresses, credential } = connection
  const [identity, ...states] = await Promise.all([
    identify(tool, connection, api).catch((error: unknown) => asFailure(error)),
    ...SERVICE_NAMES.map((service) => stateOf(api, service)),
  ])
  const isUnreachable = states.every((state) => state !== 'up')
  const noResponse = new Failure(EXIT.tryAgain, `No response from ${addresses.auth.value}`, {
    code: 'unreachable',
    suggestion: credential?.kind === 'session' ? 'ch202 context list' : 'ch202 start',
    retryable: true,
  })
  const failure = isUnreachable ? noResponse : identity instanceof Failure ? identity : undefined
  await tool.out.record({
    ok: failure === undefined,
    ...Object.fromEntries(SERVICE_NAMES.map((service) => [service, addresses[service].value])),
    addresses_from: [...new Set(SERVICE_NAMES.map((service) => addresses[service].origin))],
    credential: credential?.kind ?? null,
    credential_from: credential?.origin ?? null,
    ...(identity instanceof Failure ? storedIdentity(credential) : identity),
    services: Object.fromEntries(SERVICE_NAMES.map((service, at) => [service, states[at]])),
    ...(failure && tool.out.json ? { error: failureFields(failure) } : {}),
  })
  if (!failure) return
  if (!tool.out.json) printFailure(failure, 'table')
  process.exitCode = failure.exit
}

/** The identity stored in the context, for an instance that is unreachable. */
function storedIdentity(credential: Credential | null): Identity {
  return credential?.kind === 'session' ? { ...NOBODY, email: credential.context.email } : NOBODY
}

/** @throws Failure if there is no credential or it is refused */
async function identify({ env }: Tool, connection: Connection, api: Api): Promise<Identity> {
  const { credential } = connection
  if (credential === null) throw noCredential(connection, env)
  if (credential.kind === 'key') {
    // The cheapest request that requires the operator key.
    await api.auth((auth) => auth.admin.keys.get())
    return { ...NOBODY, roles: ['operator'] }
  }
  const { email, roles } = (await api.auth((auth) => auth.auth.me.get())) as UserRead
  return { email, roles, session_until: await endOfSession(credential, api) }
}

/** The end of the session; for a bare token, its own expiry. Null if unknown. */
async function endOfSession(credential: Credential, api: Api): Promise<string | null> {
  if (credential.kind === 'token') {
    const token = await api.auth((auth) => auth.auth['validate-token'].post({ token: credential.value }))
    return 'expires_at' in token ? String(token.expires_at) : null
  }
  const { items } = await api.auth((auth) => auth.auth.sessions.get({ query: { size: '200' } }))
  return items.find(({ current }) => current)?.expires_at ?? null
}

/** `up`, `down` without a response, or `strange` for an unexpected one. */
async function stateOf(api: Api, service: ServiceName): Promise<string> {
  try {
    const answer = await api.fetch(service, '/api/v1/health', { anonymous: true, timeoutMs: TIMEOUT })
    const { status } = (await answer.json()) as { status?: unknown }
    return answer.ok && status === 'ok' ? 'up' : 'strange'
  } catch {
    return 'down'
  }
}
