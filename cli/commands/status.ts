import type { UserRead } from '../../services/kit/schema/user.ts'
import { SERVICE_NAMES, type ServiceName } from '../../services/registry.ts'
import type { Api } from '../client/api.ts'
import { type Connection, type Credential, noCredential } from '../client/connection.ts'
import { EXIT, Failure } from '../exit.ts'
import { asFailure, failureFields, printFailure } from '../terminal/output.ts'
import { command, type Tool, withTool } from '../tool/command.ts'

const PATIENCE = 5000

export function statusCommand() {
  return command('status', 'Show which instance the tool talks to, as whom, and whether it is let in', [
    'ch202 status',
    'ch202 status -o json',
  ]).action(withTool(status))
}

interface Who {
  email: string | null
  roles: string[] | null
  session_until: string | null
}

const NOBODY: Who = { email: null, roles: null, session_until: null }

/** Tells all that is known, also where something is wrong; the exit status says what. */
async function status(tool: Tool): Promise<void> {
  const [connection, api] = [await tool.connection(), await tool.api()]
  const { addresses, credential } = connection
  const [who, ...states] = await Promise.all([
    identify(tool, connection, api).catch((error: unknown) => asFailure(error)),
    ...SERVICE_NAMES.map((place) => stateOf(api, place)),
  ])
  const unreached = states.every((state) => state !== 'up')
  const silent = new Failure(EXIT.tryAgain, `Nothing answers at ${addresses.auth.value}`, {
    code: 'unreachable',
    suggestion: credential?.kind === 'session' ? 'ch202 context list' : 'ch202 start',
    retryable: true,
  })
  const failure = unreached ? silent : who instanceof Failure ? who : undefined
  await tool.out.record({
    ok: failure === undefined,
    ...Object.fromEntries(SERVICE_NAMES.map((place) => [place, addresses[place].value])),
    addresses_from: [...new Set(SERVICE_NAMES.map((place) => addresses[place].origin))],
    credential: credential?.kind ?? null,
    credential_from: credential?.origin ?? null,
    ...(who instanceof Failure ? known(credential) : who),
    services: Object.fromEntries(SERVICE_NAMES.map((place, at) => [place, states[at]])),
    ...(failure && tool.out.json ? { error: failureFields(failure) } : {}),
  })
  if (!failure) return
  if (!tool.out.json) printFailure(failure, 'table')
  process.exitCode = failure.exit
}

/** What the context remembers, where the instance can't be asked. */
function known(credential: Credential | null): Who {
  return credential?.kind === 'session' ? { ...NOBODY, email: credential.context.email } : NOBODY
}

/** @throws Failure where there is no credential, or it is refused */
async function identify({ env }: Tool, connection: Connection, api: Api): Promise<Who> {
  const { credential } = connection
  if (credential === null) throw noCredential(connection, env)
  if (credential.kind === 'key') {
    // Of an operator's calls the one that reads least.
    await api.auth((auth) => auth.admin.keys.get())
    return { ...NOBODY, roles: ['operator'] }
  }
  const { email, roles } = (await api.auth((auth) => auth.auth.me.get())) as UserRead
  return { email, roles, session_until: await endOfSession(credential, api) }
}

/** That of the session, which a token alone outlives; of a token that one. */
async function endOfSession(credential: Credential, api: Api): Promise<string | null> {
  if (credential.kind === 'token') {
    const told = await api.auth((auth) => auth.auth['validate-token'].post({ token: credential.value }))
    return 'expires_at' in told ? String(told.expires_at) : null
  }
  const { items } = await api.auth((auth) => auth.auth.sessions.get({ query: { size: '200' } }))
  return items.find(({ current }) => current)?.expires_at ?? null
}

async function stateOf(api: Api, place: ServiceName): Promise<string> {
  try {
    const answer = await api.fetch(place, '/api/v1/health', { anyone: true, patience: PATIENCE })
    const { status } = (await answer.json()) as { status?: unknown }
    return answer.ok && status === 'ok' ? 'up' : 'strange'
  } catch {
    return 'down'
  }
}
