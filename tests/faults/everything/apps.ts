import { newEmail, PASSWORD } from '../../support/actors.ts'
import { as, call } from '../../support/http.ts'
import { basic, type OAuthClient, requestToken } from '../../support/oauth/clients.ts'
import { authorize, createApp, redeem, sentTo } from '../../support/oauth/code-flow.ts'
import { type Actor, Sender } from './actor.ts'

interface Access {
  grant: string
  access: string
  refresh: string
  /** Whether its end was acknowledged, or was asked for without an answer. */
  ended: 'no' | 'perhaps' | 'yes'
}

/** A user who gives apps access, whose apps refresh, and who takes the access away. */
export class AppActor extends Sender implements Actor {
  private client: OAuthClient | undefined
  private user: { token: string; refresh: string } | undefined
  private all: Access[] = []

  async work(stop: () => boolean): Promise<void> {
    while (!stop()) {
      if (this.client === undefined) await this.register()
      else if (this.user === undefined) await this.logIn()
      else {
        const access = this.all.findLast(({ ended }) => ended === 'no')
        if (!access || this.acknowledged % 9 === 0) await this.permit(this.client, this.user.token)
        else if (this.acknowledged % 5 === 0) await this.end(access, this.user.token)
        else await this.refresh(access, this.client)
      }
    }
  }

  private async register(): Promise<void> {
    try {
      this.client = await createApp(this.system)
    } catch {
      await Bun.sleep(50)
    }
  }

  private async logIn(): Promise<void> {
    const { auth, users } = this.system.url
    const body = { email: newEmail(), password: PASSWORD, email_verified: true }
    if (!(await this.send(users, 'POST /api/v1/users', { headers: as.operator, body }))) return
    const { email, password } = body
    const login = await this.send(auth, 'POST /api/v1/auth/login', { body: { email, password } }, [200, 401])
    if (login?.status === 200) this.user = { token: login.body.access_token, refresh: login.body.refresh_token }
  }

  private async permit(client: OAuthClient, token: string): Promise<void> {
    try {
      const consent = await authorize(this.system, token, client, { scope: 'openid offline_access' })
      if (consent.status === 503) return
      const answer = await redeem(this.system, client, sentTo(consent).get('code') ?? '')
      if (answer.status === 503) return
      if (answer.status !== 200) throw new Error(`redeem: ${answer.status} ${answer.text}`)
      this.acknowledged++
      const earlier = new Set(this.all.map(({ grant }) => grant))
      const grants = await call(this.system.url.auth, 'GET /api/v1/auth/grants', { headers: as.bearer(token) })
      const grant = grants.body.items.find(({ id }: { id: string }) => !earlier.has(id))
      if (grant)
        this.all.push({
          grant: grant.id,
          access: answer.body.access_token,
          refresh: answer.body.refresh_token,
          ended: 'no',
        })
    } catch (error) {
      if (error instanceof Error && /^(redeem|no redirect)/.test(error.message)) throw error
      await Bun.sleep(5)
    }
  }

  private async refresh(access: Access, client: OAuthClient): Promise<void> {
    const form = { grant_type: 'refresh_token', refresh_token: access.refresh }
    try {
      const answer = await requestToken(this.system, form, basic(client.id, client.client_secret))
      if (answer.status === 503) return
      if (answer.status !== 200) throw new Error(`refresh of an app: ${answer.status} ${answer.text}`)
      this.acknowledged++
      Object.assign(access, { access: answer.body.access_token, refresh: answer.body.refresh_token })
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('refresh of an app')) throw error
      await Bun.sleep(5)
    }
  }

  private async end(access: Access, token: string): Promise<void> {
    access.ended = 'perhaps'
    const request = `DELETE /api/v1/auth/grants/${access.grant}`
    if (await this.send(this.system.url.auth, request, { headers: as.bearer(token) })) access.ended = 'yes'
  }

  async differences(): Promise<string[]> {
    const { client, system } = this
    if (client === undefined) return []
    const differences: string[] = []
    for (const access of this.all) {
      const form = { grant_type: 'refresh_token', refresh_token: access.refresh }
      const info = await call(system.url.auth, 'GET /oauth/userinfo', { headers: as.bearer(access.access) })
      const refreshed = await requestToken(system, form, basic(client.id, client.client_secret))
      const works = [info.status, refreshed.status]
      const isRight =
        (access.ended !== 'yes' && works.every((status) => status === 200)) ||
        (access.ended !== 'no' && info.status === 401 && refreshed.status === 400)
      if (!isRight) differences.push(`access ${access.grant} (ended: ${access.ended}): ${works}`)
      if (refreshed.status === 200)
        Object.assign(access, {
          access: refreshed.body.access_token,
          refresh: refreshed.body.refresh_token,
          ended: 'no',
        })
      else access.ended = 'yes'
    }
    this.all = this.all.filter(({ ended }) => ended === 'no').slice(-3)
    // A new session, because the access token of the old one expires.
    this.user = undefined
    this.all = []
    return differences
  }
}
