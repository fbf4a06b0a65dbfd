import fc from 'fast-check'
import { HOUR, MINUTE, SECOND } from '../../services/kit/clock.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { type Answer, as } from '../support/http.ts'
import { RESET_PAGE, resetLinkIn } from '../support/mails.ts'
import type { InstanceInTime } from './instance-in-time.ts'
import {
  type Access,
  differs,
  JWT_EXPIRE,
  type Session,
  SessionModel,
  type Tokens,
  type User,
} from './session-model.ts'

const V1 = '/api/v1'
const SHORT = [400, SECOND, 4 * SECOND, 9 * SECOND, 10 * SECOND, 11 * SECOND, MINUTE, 3 * MINUTE]
const LONG = [29 * MINUTE, 30 * MINUTE, HOUR, 90 * MINUTE, 110 * MINUTE, 2 * HOUR, 3 * HOUR]
const DOWN = [0, SECOND, 8 * SECOND, 5 * MINUTE, HOUR]
const ROLES = [['USER'], ['USER', 'SALES'], ['SALES', 'USER'], ['EDITOR']]
const USERS_MOST = 3

/** Relative frequency of each step. */
const WEIGHTS = {
  login: 24,
  loginWrong: 1,
  refresh: 24,
  repeat: 10,
  reuse: 4,
  refreshForged: 1,
  refreshAtOnce: 5,
  logout: 5,
  logoutByRefreshToken: 4,
  revokeAccessToken: 3,
  revokeRefreshToken: 3,
  logoutAll: 2,
  deleteSession: 4,
  deleteSessionsOfUser: 2,
  deleteAllSessions: 1,
  disable: 4,
  enable: 4,
  setPassword: 3,
  changePassword: 4,
  resetPassword: 2,
  changeRoles: 5,
  changeEmail: 1,
  deleteUser: 1,
  dropFromCache: 2,
  syncCache: 1,
  rotateKey: 2,
  removeKey: 2,
  restart: 2,
  crash: 2,
  growOld: 2,
  pass: 20,
} satisfies Record<string, number>

type Action = keyof typeof WEIGHTS

/** One step of a sequence. The numbers choose user, session or token, and variant. `look`: then compare all tokens. */
export interface Step {
  action: Action
  which: number
  how: number
  look: boolean
}

const action: fc.Arbitrary<Action> = fc.oneof(
  ...Object.entries(WEIGHTS).map(([name, weight]) => ({ arbitrary: fc.constant(name as Action), weight })),
)

export const step: fc.Arbitrary<Step> = fc.record(
  { action, which: fc.nat(11), how: fc.nat(11), look: fc.boolean() },
  { noNullPrototype: true },
)

/** Applies a sequence to an instance and to the model; each answer must be the one that the model predicts. */
export class SessionSteps {
  readonly model: SessionModel
  private words = 0

  constructor(private readonly instance: InstanceInTime) {
    this.model = new SessionModel(() => instance.now())
  }

  /** Begins with two users, one key, and no trace of earlier sequences. */
  async begin(): Promise<void> {
    const { instance, model } = this
    await instance.pass(JWT_EXPIRE + 2 * MINUTE)
    await instance.ask(`DELETE ${V1}/auth/sessions?all=true`, { headers: as.operator })
    const { body } = await instance.ask(`GET ${V1}/admin/keys`, { headers: as.operator })
    differs('the keys when all before have gone', body.items.length, 1)
    model.rotateKey(body.items[0].kid)
    await this.addUser()
    await this.addUser()
  }

  async take({ action, which, how }: Step): Promise<void> {
    await this[action](which, how)
  }

  private async addUser(): Promise<User> {
    const email = newEmail()
    const body = { email, password: PASSWORD }
    const answer = await this.instance.ask(`POST ${V1}/auth/register`, { body })
    expectAnswer('register', answer, 201)
    const user: User = { id: answer.body.id, email, password: PASSWORD, roles: ['USER'], edition: 0, status: 'active' }
    this.model.users.push(user)
    this.model.opened(user, 'v1', tokensOf(answer, this.instance.now()))
    return user
  }

  private async login(which: number, how: number): Promise<void> {
    const { model } = this
    if (which >= model.users.length && which < USERS_MOST) return void (await this.addUser())
    const user = this.user(which)
    const kind = how % 3 === 0 ? 'v0' : 'v1'
    const answer = await this.loginOf(user, user.password, kind)
    if (user.status === 'active') model.opened(user, kind, tokensOf(answer, this.instance.now()))
    else if (user.status === 'disabled') expectAnswer('login', answer, 403, 'account_disabled')
    else expectAnswer('login', answer, 401, 'invalid_credentials')
  }

  private async loginWrong(which: number): Promise<void> {
    expectAnswer('login', await this.loginOf(this.user(which), 'not the right one'), 401, 'invalid_credentials')
  }

  private loginOf(user: User, password: string, kind: 'v1' | 'v0' = 'v1'): Promise<Answer> {
    const body = { email: user.email, password }
    return this.instance.ask(`POST ${kind === 'v1' ? V1 : ''}/auth/login`, { body })
  }

  private async refresh(which: number, how: number): Promise<void> {
    const session = this.session(which, how)
    await this.present(session, session.refresh.length - 1, how)
  }

  private async repeat(which: number, how: number): Promise<void> {
    const session = this.session(which, how)
    const last = Math.max(0, session.refresh.length - 2)
    await this.present(session, last, how)
    if (how % 3 !== 2) return
    // A repeated answer does not renew the session.
    await this.instance.pass(SHORT[which % 6] ?? SECOND)
    await this.present(session, last, how)
  }

  private async reuse(which: number, how: number): Promise<void> {
    const session = this.session(which, how)
    await this.present(session, how % session.refresh.length, how)
  }

  /** Presents a refresh token at the path of either version. */
  private async present(session: Session, place: number, how: number): Promise<void> {
    const { instance, model } = this
    const due = model.refreshed(session, place)
    const answer = await this.refreshBy(session.refresh[place] ?? '', how)
    if (due === 'refused') return expectAnswer('refresh', answer, 401, 'invalid_refresh_token')
    if (due === 'reused' || (due === 'repeated or reused' && answer.status === 401)) {
      model.end([session])
      return expectAnswer('refresh', answer, 401, 'refresh_token_reused')
    }
    const tokens = tokensOf(answer, instance.now())
    if (due === 'rotated') model.rotated(session, tokens)
    else model.answered(session, tokens)
  }

  private refreshBy(token: string, how: number): Promise<Answer> {
    return how % 2 === 0
      ? this.instance.ask(`POST ${V1}/auth/refresh`, { body: { refresh_token: token } })
      : this.instance.ask('POST /auth/refresh', { body: { refreshToken: token } })
  }

  private async refreshForged(which: number, how: number): Promise<void> {
    const token = this.session(which, how).refresh.at(-1) ?? ''
    const at = token.length - 1 - how
    const forged = token.slice(0, at) + (token[at] === '1' ? '2' : '1') + token.slice(at + 1)
    expectAnswer('forged', await this.refreshBy(forged, how), 401, 'invalid_refresh_token')
  }

  /** Refreshes several times at once with one token: all get the same next token. */
  private async refreshAtOnce(which: number, how: number): Promise<void> {
    const { instance, model } = this
    const session = this.session(which, how)
    const place = session.refresh.length - 1
    if (!model.live(session)) return
    const clients = Array.from({ length: 2 + how }, (_, client) => client)
    const answers = await Promise.all(clients.map((client) => this.refreshBy(session.refresh[place] ?? '', client)))
    const [first, ...others] = answers.map((answer) => tokensOf(answer, instance.now()))
    if (first) model.rotated(session, first)
    for (const tokens of others) model.answered(session, tokens)
  }

  private async logout(which: number, how: number): Promise<void> {
    const { model } = this
    const access = this.accessToken(which, how)
    if (!access) return
    const { session } = access
    const other = how % 4 === 3 ? this.session(how, which) : undefined
    const body = other && { refresh_token: other.refresh.at(-1) }
    const call = () => this.bearer(access, `POST ${V1}/auth/logout`, body)
    const ends = [model.good(access) && session, other && model.live(other) && other].filter((one) => !!one)
    if (ends.length === 0) return this.refusedAs(access, await call())
    expectAnswer('logout', await this.racing(how, ends[0], call), 204)
    model.end(ends)
  }

  private async logoutByRefreshToken(which: number, how: number): Promise<void> {
    const { instance, model } = this
    const session = this.session(which, how)
    const live = model.live(session)
    const body = { refresh_token: this.anyOf(session, how) }
    const answer = await this.racing(how, session, () => instance.ask(`POST ${V1}/auth/logout`, { body }))
    if (!live) return expectAnswer('logout', answer, 401, 'invalid_refresh_token')
    expectAnswer('logout', answer, 204)
    model.end([session])
  }

  private async revokeAccessToken(which: number, how: number): Promise<void> {
    const access = this.accessToken(which, how)
    if (!access) return
    const good = this.model.good(access)
    const answer = await this.racing(how, access.session, () => this.revoke(access.token, how))
    expectAnswer('revoke', answer, 200)
    if (good) this.model.end([access.session])
  }

  private async revokeRefreshToken(which: number, how: number): Promise<void> {
    const session = this.session(which, how)
    const live = this.model.live(session)
    expectAnswer('revoke', await this.racing(how, session, () => this.revoke(this.anyOf(session, how), how)), 200)
    if (live) this.model.end([session])
  }

  private revoke(token: string, how: number): Promise<Answer> {
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const sent =
      how % 2 === 0 ? { body: { token } } : { body: new URLSearchParams({ token }).toString(), headers: form }
    return this.instance.ask(`POST ${V1}/auth/revoke`, sent)
  }

  private async logoutAll(which: number, how: number): Promise<void> {
    const access = this.accessToken(which, how)
    if (!access) return
    const ended = this.model.liveOf(access.session.user)
    const call = () => this.bearer(access, `POST ${V1}/auth/logout-all`)
    const answer = await this.bearerDone(access, how, call, 200)
    if (!answer) return
    differs('sessions that ended', answer.body.revoked, ended.length)
    this.model.end(ended)
  }

  private async deleteSession(which: number, how: number): Promise<void> {
    const { instance, model } = this
    const session = this.session(which, how)
    const live = model.live(session)
    const ownAccess = model.access.findLast((access) => access.session.user === session.user && model.good(access))
    const headers = ownAccess && how % 2 === 0 ? as.bearer(ownAccess.token) : as.operator
    const call = () => instance.ask(`DELETE ${V1}/auth/sessions/${session.id}`, { headers })
    const answer = await this.racing(how, session, call)
    if (!live) return expectAnswer('delete session', answer, 404, 'session_not_found')
    expectAnswer('delete session', answer, 204)
    model.end([session])
  }

  private async deleteSessionsOfUser(which: number, how: number): Promise<void> {
    const user = this.user(which)
    await this.deleteSessions(`user_id=${user.id}`, this.model.liveOf(user), how)
  }

  private async deleteAllSessions(_: number, how: number): Promise<void> {
    const { model } = this
    const live = model.sessions.filter((session) => model.live(session))
    await this.deleteSessions('all=true', live, how)
  }

  private async deleteSessions(whose: string, live: Session[], how: number): Promise<void> {
    const call = () => this.operator(`DELETE ${V1}/auth/sessions?${whose}`)
    const answer = await this.racing(how, live[0], call)
    expectAnswer('delete sessions', answer, 200)
    differs('sessions that ended', answer.body.revoked, live.length)
    this.model.end(live)
  }

  private async disable(which: number, how: number): Promise<void> {
    if (await this.ends(which, how, (user) => this.patch(user, { status: 'disabled' }), 200))
      this.user(which).status = 'disabled'
  }

  private async enable(which: number): Promise<void> {
    const user = this.user(which)
    if (user.status === 'gone') return
    expectAnswer('enable', await this.patch(user, { status: 'active' }), 200)
    user.status = 'active'
  }

  private async setPassword(which: number, how: number): Promise<void> {
    const password = this.word()
    const set = ({ id }: User) => this.operator(`POST ${V1}/users/${id}/set-password`, { new_password: password })
    if (await this.ends(which, how, set, 204)) this.user(which).password = password
  }

  private async deleteUser(which: number, how: number): Promise<void> {
    if (await this.ends(which, how, ({ id }) => this.operator(`DELETE ${V1}/users/${id}`), 204))
      this.user(which).status = 'gone'
  }

  private async changePassword(which: number, how: number): Promise<void> {
    const { model } = this
    const access = this.accessToken(which, how)
    if (!access) return
    const { user } = access.session
    const [wrong, password] = [how % 5 === 4, this.word()]
    const body = { current_password: wrong ? 'not the right one' : user.password, new_password: password }
    const answer = await this.bearer(access, `POST ${V1}/users/${user.id}/change-password`, body)
    if (!model.good(access)) return this.refusedAs(access, answer)
    if (wrong) return expectAnswer('change password', answer, 401, 'invalid_credentials')
    expectAnswer('change password', answer, 204)
    user.password = password
    model.end(model.sessions.filter((session) => session.user === user && session !== access.session))
  }

  private async resetPassword(which: number, how: number): Promise<void> {
    const user = this.user(which)
    if (user.status !== 'active') return
    const { instance } = this
    const request = await instance.ask(`POST ${V1}/auth/password-reset-request`, { body: { email: user.email } })
    expectAnswer('reset request', request, 202)
    // A registration sends a mail too, at any time.
    const mail = await eventually(() =>
      instance.mails.findLast(({ text, to }) => to === user.email && text.includes(RESET_PAGE)),
    )
    instance.mails.length = 0
    const token = resetLinkIn(mail.text).searchParams.get('token')
    const password = this.word()
    const body = { token, new_password: password }
    await this.ends(which, how, () => instance.ask(`POST ${V1}/auth/password-reset-confirm`, { body }), 204)
    user.password = password
  }

  private async changeRoles(which: number, how: number): Promise<void> {
    const user = this.user(which)
    if (user.status === 'gone') return
    const roles = ROLES[how % ROLES.length] ?? []
    expectAnswer('roles', await this.patch(user, { roles }), 200)
    this.model.changeRoles(user, roles)
  }

  /** Changes the email: ends no session, and the next tokens contain the new address. */
  private async changeEmail(which: number): Promise<void> {
    const user = this.user(which)
    if (user.status === 'gone') return
    const email = newEmail()
    expectAnswer('email', await this.patch(user, { email }), 200)
    user.email = email
  }

  /** Drops a user from the password cache, which ends no session. */
  private async dropFromCache(which: number): Promise<void> {
    const answer = await this.operator(`DELETE ${V1}/admin/password-cache/${this.user(which).id}`)
    if (answer.status !== 204) expectAnswer('drop', answer, 404, 'user_not_found')
  }

  private async syncCache(which: number): Promise<void> {
    const user = this.user(which)
    if (user.status === 'gone') return
    expectAnswer('sync', await this.operator(`POST ${V1}/admin/password-cache/sync`, { user_id: user.id }), 200)
  }

  private async rotateKey(): Promise<void> {
    const answer = await this.operator(`POST ${V1}/admin/keys/rotate?now=true`)
    expectAnswer('rotate', answer, 201)
    this.model.rotateKey(answer.body.kid)
  }

  private async removeKey(which: number): Promise<void> {
    const { model } = this
    const key = model.keys[which % model.keys.length]
    if (!key) return
    const [isInRing, signs] = [model.ring().includes(key), key.goneAt === null]
    await this.ringKids()
    const answer = await this.operator(`DELETE ${V1}/admin/keys/${key.kid}`)
    if (!isInRing) return expectAnswer('remove key', answer, 404, 'not_found')
    expectAnswer('remove key', answer, 204)
    if (signs) model.rotateKey((await this.ringKids()).find((kid) => kid !== key.kid && !known(model, kid)) ?? '')
    key.removed = true
  }

  /** The kids of the ring as an operator sees them, the signing key first. */
  async ringKids(): Promise<string[]> {
    const { body } = await this.instance.ask(`GET ${V1}/admin/keys`, { headers: as.operator })
    return body.items.map(({ kid }: { kid: string }) => kid)
  }

  private async restart(which: number, how: number): Promise<void> {
    await this.again(which, how, false)
  }

  private async crash(which: number, how: number): Promise<void> {
    await this.again(which, how, true)
  }

  /** Restarts or crashes the instance, mostly after a refresh that the client repeats; sometimes twice. */
  private async again(which: number, how: number, crashed: boolean): Promise<void> {
    const { instance, model } = this
    const down = DOWN[how % DOWN.length] ?? 0
    const session = how < 9 ? this.session(which, 1) : undefined
    if (session) await this.present(session, session.refresh.length - 1, how)
    for (let times = how % 3 === 0 ? 2 : 1; times > 0; times--) {
      await instance.pass(SHORT[which % 6] ?? SECOND)
      await (crashed ? instance.crash(down) : instance.restart(down))
      model.wasDown(down, crashed)
    }
    if (session) await this.present(session, Math.max(0, session.refresh.length - 2), how)
  }

  /** Refreshes a session until its absolute end. */
  private async growOld(which: number, how: number): Promise<void> {
    const session = this.session(which, 1)
    for (let times = how % 4; times >= 0; times--) {
      await this.present(session, session.refresh.length - 1, how)
      if (times > 0) await this.instance.pass(105 * MINUTE)
    }
  }

  private async pass(which: number, how: number): Promise<void> {
    // Mostly short: after hours most tokens have expired.
    const times = how % 4 === 3 ? LONG : SHORT
    await this.instance.pass(times[which % times.length] ?? SECOND)
  }

  /** Ends all sessions of a user, alone or in a race with a refresh. False: the user does not exist. */
  private async ends(which: number, how: number, call: (user: User) => Promise<Answer>, status: number) {
    const { model } = this
    const user = this.user(which)
    const answer = await this.racing(how, model.liveOf(user)[0], () => call(user))
    if (user.status === 'gone') {
      expectAnswer('of a user who is gone', answer, 404, 'user_not_found')
      return false
    }
    expectAnswer('what ends sessions', answer, status)
    model.end(model.sessions.filter((session) => session.user === user))
    return true
  }

  /**
   * Makes a call that ends a session, every third time together with a refresh of it: whichever comes first, the new
   * tokens must be revoked when both have been answered.
   */
  private async racing(how: number, session: Session | undefined, call: () => Promise<Answer>): Promise<Answer> {
    const { instance, model } = this
    if (!session || how % 3 !== 0 || !model.live(session)) return await call()
    const [answer, refreshed] = await Promise.all([call(), this.refreshBy(session.refresh.at(-1) ?? '', how)])
    if (refreshed.status === 200) model.rotated(session, tokensOf(refreshed, instance.now()))
    else expectAnswer('refresh in a race', refreshed, 401, 'invalid_refresh_token')
    return answer
  }

  private async bearerDone(access: Access, how: number, call: () => Promise<Answer>, status: number) {
    const good = this.model.good(access)
    const answer = await (good ? this.racing(how, access.session, call) : call())
    if (!good) return void this.refusedAs(access, answer)
    expectAnswer('of a bearer', answer, status)
    return answer
  }

  private refusedAs(access: Access, { body, status }: Answer): void {
    const codes = this.model.reasons(access).map((reason) => CODES[reason])
    if (status !== 401 || !codes.includes(body.code)) differs('a dead bearer', [status, body.code], [401, ...codes])
  }

  private bearer(access: Access, request: string, body?: object): Promise<Answer> {
    return this.instance.ask(request, { headers: as.bearer(access.token), ...(body ? { body } : {}) })
  }

  private operator(request: string, body?: object): Promise<Answer> {
    return this.instance.ask(request, { headers: as.operator, ...(body ? { body } : {}) })
  }

  private patch(user: User, body: object): Promise<Answer> {
    return this.operator(`PATCH ${V1}/users/${user.id}`, body)
  }

  private user(which: number): User {
    const user = this.model.users[which % this.model.users.length]
    if (!user) throw new Error('There is no user')
    return user
  }

  /** Chooses a session, mostly an active one. */
  private session(which: number, how: number): Session {
    const { model } = this
    const live = model.sessions.filter((session) => model.live(session))
    const from = live.length > 0 && how % 5 !== 0 ? live : model.sessions
    const session = from[which % from.length]
    if (!session) throw new Error('There is no session')
    return session
  }

  /** Chooses an access token, mostly a valid one. */
  private accessToken(which: number, how: number): Access | undefined {
    const { model } = this
    const good = model.access.filter((access) => model.good(access))
    const from = good.length > 0 && how % 5 !== 0 ? good : model.access
    return from[which % from.length]
  }

  private anyOf({ refresh }: Session, how: number): string {
    return refresh[Math.max(0, refresh.length - 1 - (how % 4))] ?? ''
  }

  private word(): string {
    return `phrase number ${++this.words}`
  }
}

export const CODES = { signature: 'invalid_token', expired: 'token_expired', revoked: 'token_revoked' }

function known({ keys }: SessionModel, kid: string): boolean {
  return keys.some((key) => key.kid === kid)
}

function expectAnswer(what: string, { body, status }: Answer, expected: number, code?: string): void {
  differs(what, [status, body?.code], [expected, code])
}

function tokensOf({ body, status }: Answer, now: number): Tokens {
  differs('what brings tokens', [status < 300, body.code], [true, undefined])
  if (body.refreshToken) {
    const { exp, token } = body.refreshToken
    return { access: body.accessToken, refresh: token, refreshEnds: Math.floor(Date.parse(exp) / 1000) }
  }
  const { access_token, refresh_token, refresh_expires_in } = body.tokens ?? body
  return { access: access_token, refresh: refresh_token, refreshEnds: Math.floor(now / 1000) + refresh_expires_in }
}
