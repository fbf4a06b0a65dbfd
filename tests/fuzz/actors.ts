import { type Answer, as, call } from '../support/http.ts'
import type { System } from '../support/system.ts'
import { takeResetToken } from './mail.ts'
import { namesIn } from './prepare.ts'
import type { Caller, Drawn } from './requests.ts'
import { CANARY } from './values.ts'

const PASSWORD = `${CANARY} horse battery`
/** A module that exists during the entire run, and that others may require. */
export const BASE = 'base-module'

interface Member {
  id: string
  email: string
  username: string
  password: string
  session: string
  access: string
  refresh: string
  /** A refresh token that was used. */
  old: string
}

type Role = 'own' | 'other' | 'admin'

/** Operations that change or delete users: an actor named in one must be created again. */
const ENDS_USERS =
  /^(DELETE|PUT|PATCH) .*\/users?\/\{|\/(set-password|erase|change-password|password|password-reset-confirm)$|\/auth\/sync\/|\/users\/import$/
const ENDS_MODULES = /^DELETE .*\/modules\//

let counter = 0
const unique = () => `${(++counter).toString(36)}-${Math.random().toString(36).slice(2, 10)}`
/** An address of a documentation network (RFC 5737). */
const someAddress = () => `198.51.${Math.floor(Math.random() * 256)}.${Math.floor(Math.random() * 256)}`

/**
 * The users and modules that one line of requests names. They are created when needed, and again when used up. Each line
 * has actors of its own, so that no other line deletes them.
 */
export class Actors {
  private readonly members = new Map<Role, Member>()
  private moduleId: string | undefined
  /** The addresses of this line's requests, if requests are counted by address. */
  private readonly addresses = Array.from({ length: 4 }, someAddress)

  constructor(
    private readonly system: System,
    /** Ids of users and modules that are still needed. */
    private readonly neededIds: Set<string>,
  ) {}

  address(place: number): string {
    return this.addresses[Math.floor(place * this.addresses.length)] ?? someAddress()
  }

  /** Creates the caller of a request, and gives their headers. */
  async credentials({ caller, place }: Drawn): Promise<[string, string][]> {
    if (caller === 'operator' || caller === 'internal') return Object.entries(as[caller])
    if (caller === 'nobody') return []
    if (caller === 'unknown key') return [['x-api-key', `${CANARY}-a-key-of-no-system-0123456789`]]
    const { access } = await this.member(ROLE_OF[caller])
    return [['authorization', `Bearer ${caller === 'damaged' ? damaged(access, place) : access}`]]
  }

  async lookUp(name: string): Promise<string> {
    const [who = '', what = ''] = name.split('.')
    if (who === 'own' || who === 'other') return (await this.member(who))[what as keyof Member]
    if (who === 'fresh') return fresh(what)
    if (name === 'module') return await this.module()
    if (name === 'kid') return await this.spareKey()
    if (name === 'reset') return await this.resetToken()
    return BASE
  }

  /** Opens a new session for a caller whose token another request has ended. */
  async renew(caller: Caller): Promise<void> {
    const role = ROLE_OF[caller]
    const member = this.members.get(role)
    if (!member) return
    const login = await this.asked('auth', 'POST /api/v1/auth/login', { login: member.email, password: PASSWORD })
    if (login.status === 200) Object.assign(member, tokensIn(login))
    else this.forget(role)
  }

  /** Records what a response has changed. */
  learn(drawn: Drawn, answer: { status: number; body: unknown }): void {
    if (answer.status >= 300) return
    const names = [...namesIn(drawn.path), ...namesIn(drawn.query), ...namesIn(drawn.body)]
    if (ENDS_MODULES.test(drawn.call) && names.includes('module')) this.dropModule()
    if (ENDS_USERS.test(drawn.call))
      for (const role of ['own', 'other'] as const) if (names.some((name) => name.startsWith(role))) this.forget(role)
    if (names.includes('reset')) this.forget('own')
    if (/\/refresh$/.test(drawn.call) && names.includes('own.refresh'))
      this.rotated(answer.body as Record<string, unknown>)
  }

  private rotated(body: Record<string, unknown>): void {
    const member = this.members.get('own')
    if (!member || typeof body.refresh_token !== 'string') return
    if (body.refresh_token !== member.refresh) member.old = member.refresh
    Object.assign(member, { access: body.access_token, refresh: body.refresh_token })
  }

  private forget(role: Role): void {
    this.neededIds.delete(this.members.get(role)?.id ?? '')
    this.members.delete(role)
  }

  private dropModule(): void {
    this.neededIds.delete(this.moduleId ?? '')
    this.moduleId = undefined
  }

  private async member(role: Role): Promise<Member> {
    const cachedMember = this.members.get(role)
    if (cachedMember) return cachedMember
    const email = fresh('email')
    const username = fresh('username')
    const creation = await this.asked(
      'users',
      'POST /api/v1/users',
      { email, username, password: PASSWORD, roles: role === 'admin' ? ['ADMIN'] : ['USER'] },
      as.operator,
    )
    // From now on the cleanup spares this user.
    if (creation.status === 201) this.neededIds.add(creation.body.id)
    const login = await this.asked('auth', 'POST /api/v1/auth/login', { login: email, password: PASSWORD })
    if (creation.status !== 201 || login.status !== 200)
      throw new Error(`No user could be made: ${creation.status} ${creation.text} ${login.status} ${login.text}`)
    const member = {
      id: creation.body.id as string,
      email,
      username,
      password: PASSWORD,
      old: `${CANARY}-old`,
      ...tokensIn(login),
    }
    this.members.set(role, member)
    return member
  }

  private async module(): Promise<string> {
    if (this.moduleId !== undefined) return this.moduleId
    const id = fresh('module')
    this.neededIds.add(id)
    await this.asked('modules', 'POST /modules', { id, name: 'Module', description: 'To be used up' }, as.operator)
    this.moduleId = id
    return id
  }

  /** A key that no longer signs. If no such key exists, the signing key is rotated. */
  private async spareKey(): Promise<string> {
    const keys = await this.asked('auth', 'GET /admin/keys', undefined, as.operator)
    const spare = keys.body.items.findLast(({ status }: { status: string }) => status === 'retiring')
    if (spare) return spare.kid
    await this.asked('auth', 'POST /admin/keys/rotate?now=true', undefined, as.operator)
    return 'no-spare-key'
  }

  /** The token of the newest mail to this line's user, or an invalid token if no mail has arrived. */
  private async resetToken(): Promise<string> {
    const { email } = await this.member('own')
    await this.asked('auth', 'POST /auth/password-reset-request', { email })
    for (let tries = 0; tries < 10; tries++) {
      await Bun.sleep(20)
      const token = takeResetToken(this.system, email)
      if (token !== undefined) return token
    }
    return `${CANARY}-no-mail`
  }

  private asked(
    service: 'auth' | 'users' | 'modules',
    request: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    return call(this.system.url[service], request, {
      headers: { ...headers, 'x-forwarded-for': someAddress() },
      ...(body === undefined ? {} : { body }),
    })
  }
}

const ROLE_OF: Record<Caller, Role> = {
  user: 'own',
  damaged: 'own',
  other: 'other',
  admin: 'admin',
  nobody: 'own',
  operator: 'own',
  internal: 'own',
  'unknown key': 'own',
}

function fresh(what: string): string {
  if (what === 'email') return `fuzz-${unique()}@example.org`
  return what === 'module' ? `fuzz-${unique()}` : `f-${unique()}`
}

function tokensIn({ body }: Answer) {
  return { session: body.session_id, access: body.access_token, refresh: body.refresh_token }
}

/** A token with one character changed. */
function damaged(token: string, place: number): string {
  const at = Math.floor(place * token.length)
  const other = token[at] === 'A' ? 'B' : 'A'
  return `${token.slice(0, at)}${other}${token.slice(at + 1)}`
}
