import { treaty } from '@elysiajs/eden'
import type { AuthApi } from './auth/index.ts'
import type { UsersPeer as UsersOfAuth } from './auth/peers.ts'
import type { ModuleFeedSource } from './kit/access/module-gate.ts'
import type { FeedSource } from './kit/feed/revocation-subscriber.ts'
import { InternalError } from './kit/log.ts'
import type { Event } from './kit/outbox/events.ts'
import { isProblemCode, Problem, type ProblemBody, type ProblemCode } from './kit/problem.ts'
import type { ModulesApi } from './modules/index.ts'
import type { AuthPeer as AuthOfModules, UsersPeer as UsersOfModules } from './modules/peers.ts'
import type { UsersApi } from './users/index.ts'
import type { AuthPeer as AuthOfUsers, DeletionListener } from './users/peers.ts'

/**
 * How the services call each other: the typed client of the tool, over HTTP or straight into an app of this process.
 * Each service states what it needs of another as an interface of its own; here it is fulfilled. No app imports this
 * file.
 */
export interface Link {
  /** The base address of the other service. */
  url: string
  /** The internal key that is sent. */
  key: string
  fetch: (request: Request) => Promise<Response> | Response
}

/** Longer than a password hash at the end of a full queue takes. */
const PATIENCE = 15_000
/** A question that a waiting request hangs on. */
const SHORT = 1000

/** Of the 64 KiB of a body, what its list may take. */
const BODY_ROOM = 63 * 1024

interface Answer<T> {
  data: T | null
  error: { value: unknown } | null
  status: number
}

export function usersClientForAuth(link: Link): UsersOfAuth {
  const users = usersClient(link)
  const ask = <T>(call: Promise<Answer<T>>) => answerOf(call, 'users_unavailable')
  return {
    createUser: (input, requestId) => ask(users.users.post(input, part(requestId))),
    user: (user_id, requestId) => orNull(ask(users.users({ user_id }).get(part(requestId)))),
    userByEmail: (email, requestId) =>
      orNull(ask(users.users['by-email']({ email: encodeURIComponent(email) }).get(part(requestId)))),
    async verifyCredentials(login, password, requestId) {
      const verified = await ask(users.users['verify-credentials'].post({ login, password }, part(requestId)))
      return verified.valid ? verified.user : null
    },
    passwordRecord: (user_id, requestId) => orNull(ask(users.users({ user_id })['password-hash'].get(part(requestId)))),
    passwordRecords: (after, requestId) =>
      ask(users.users['password-hashes'].get({ query: after === null ? {} : { after }, ...part(requestId) })),
    async resetPassword(user_id, new_password, requestId) {
      const done = await orNull(ask(users.users({ user_id }).password.post({ new_password }, part(requestId))))
      return done !== null
    },
    async replaceHash(user_id, password_hash, if_version, requestId) {
      await ask(users.users({ user_id }).password.post({ password_hash, if_version }, part(requestId)))
    },
    async catchUp() {
      await ask(users.users.announcements.send.post({}))
    },
  }
}

export function authClientForUsers(link: Link): AuthOfUsers {
  const { auth } = authClient(link)
  return {
    async syncUser(user) {
      await told(auth.sync.password.post(user))
    },
    async syncUsers(users) {
      await Promise.all(bodiesOf(users).map((some) => told(auth.sync.passwords.post({ users: some }))))
    },
    async userDeleted(user_id) {
      await told(auth.sync['user-deleted'].post({ user_id }))
    },
    async emailChanged({ at, id, oldEmail, requestId, userId }) {
      const change = { id, user_id: userId, old_email: oldEmail, at: new Date(at).toISOString(), request_id: requestId }
      await told(auth.sync['email-changed'].post(change))
    },
    recordAudit: recordAudit(link),
    recordEvents: recordEvents(link),
  }
}

function eventBody({ userId, ...event }: Event) {
  return { ...event, user_id: userId }
}

/** As many in each as a body may have. */
function bodiesOf<T>(items: readonly T[]): T[][] {
  const bodies: T[][] = []
  let room = 0
  for (const item of items) {
    const size = Buffer.byteLength(JSON.stringify(item)) + 1
    if (size > room) {
      bodies.push([])
      room = BODY_ROOM
    }
    bodies.at(-1)?.push(item)
    room -= size
  }
  return bodies
}

/** The one route that every service has that hears of deleted users. */
type Hearing = Record<
  string,
  { sync: { 'user-deleted': { post(body: { user_id: string }): Promise<Answer<unknown>> } } }
>

/** Those whom users tells that a user is gone: each at `/<name>/sync/user-deleted`. */
export function deletionListenersForUsers<Name extends string>(
  names: readonly Name[],
  link: (name: Name) => Link,
): DeletionListener[] {
  return names.map((name) => {
    const to = link(name)
    const client = treaty(base(to), configOf(to, PATIENCE)) as unknown as Hearing
    return {
      name,
      async userDeleted(user_id) {
        await told((client[name] as Hearing[string]).sync['user-deleted'].post({ user_id }))
      },
    }
  })
}

export function usersClientForModules(link: Link): UsersOfModules {
  const users = usersClient(link)
  return {
    async roles(user_id, requestId) {
      const user = await orNull(answerOf(users.users({ user_id }).get(part(requestId)), 'users_unavailable'))
      return user?.roles ?? null
    },
  }
}

export function authClientForModules(link: Link): AuthOfModules {
  return { recordAudit: recordAudit(link), recordEvents: recordEvents(link) }
}

export function feedSource(link: Link): FeedSource {
  const { auth } = authClient(link, SHORT)
  return {
    poll: (follower, after, epoch) =>
      answerOf(auth.revocations.get({ query: { follower, after: String(after), epoch } }), 'auth_unavailable'),
    async validate(token) {
      const said = await answerOf(auth['validate-token'].post({ token }), 'auth_unavailable')
      if (!said.valid) return said
      return {
        valid: true,
        userId: said.user_id,
        sessionId: said.session_id,
        roles: said.roles,
        expiresAt: Date.parse(String(said.expires_at)),
      }
    },
  }
}

function recordEvents(link: Link): AuthOfUsers['recordEvents'] {
  const { auth } = authClient(link)
  return async (events) => {
    await Promise.all(bodiesOf(events.map(eventBody)).map((some) => told(auth.sync.events.post({ events: some }))))
  }
}

/** What the gates of a service ask of modules. */
export function moduleFeedSource(link: Link): ModuleFeedSource {
  const { modules } = treaty<ModulesApi>(base(link), configOf(link, SHORT))
  return {
    poll: (module, follower, after, epoch) =>
      answerOf(
        modules.sync.feed.get({ query: { module, follower, after: String(after), epoch } }),
        'modules_unavailable',
      ),
    async modulesOf(user_id, requestId) {
      const said = await answerOf(modules.users({ user_id }).get(part(requestId)), 'modules_unavailable')
      return said.modules
    },
  }
}

function recordAudit(link: Link): AuthOfUsers['recordAudit'] {
  const { auth } = authClient(link)
  return async ({ id, at, type, userId, actor, ip, requestId, detail }) => {
    const event = { id, at, type, user_id: userId, actor, ip, request_id: requestId, detail }
    await told(auth.audit.post(event, part(requestId)))
  }
}

/** Makes a call part of a request: one id finds all lines of the log, and all rows of the audit, that it left. */
function part(requestId: string | null) {
  return { headers: requestId === null ? {} : { 'x-request-id': requestId } }
}

function authClient(link: Link, patience = PATIENCE) {
  return treaty<AuthApi>(base(link), configOf(link, patience))
}

function usersClient(link: Link) {
  return treaty<UsersApi>(base(link), configOf(link, PATIENCE))
}

function base({ url }: Link): string {
  return `${url}/api/v1`
}

function configOf({ fetch, key }: Link, patience: number) {
  return {
    headers: { 'x-api-key': key },
    // Times stay the text that they are in the API.
    parseDate: false,
    fetcher: ((url: string, init?: RequestInit) =>
      fetch(
        new Request(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(patience) }),
      )) as typeof globalThis.fetch,
  }
}

/**
 * What the other answered, or its problem as ours.
 * @throws Problem with the other's code; `unavailable` when it can't be reached, can't answer, or does not take our key
 */
async function answerOf<T>(call: Promise<Answer<T>>, unavailable: ProblemCode): Promise<T> {
  let answer: Answer<T>
  try {
    answer = await call
  } catch (cause) {
    throw new Problem(unavailable, { cause })
  }
  if (answer.error === null) return answer.data as T
  const body = answer.error.value as Partial<ProblemBody> | null
  const code = body?.code
  if (answer.status >= 500 && code !== 'overloaded') throw new Problem(unavailable)
  if (
    answer.status === 401 ||
    code === undefined ||
    !isProblemCode(code) ||
    code === 'forbidden' ||
    code === 'not_found'
  )
    throw new Problem(unavailable, {
      cause: new InternalError(`A service refused the internal key, or is none: ${answer.status}`),
    })
  const { errors, message } = body ?? {}
  throw new Problem(code, {
    ...(message === undefined ? {} : { message }),
    ...(errors === undefined ? {} : { errors }),
  })
}

/** For notices: a refusal stays one, so that the outbox can tell it from silence. */
function told<T>(call: Promise<Answer<T>>): Promise<T> {
  return answerOf(call, 'auth_unavailable')
}

/** No such user is an answer; any other 404 is a wrong address. */
async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof Problem && error.code === 'user_not_found') return null
    throw error
  }
}
