import { newEmail, PASSWORD } from '../../support/actors.ts'
import type { Authenticator } from '../../support/browser/authenticator.ts'
import { enrolApp, enrolPasskey } from '../../support/factors.ts'
import { as, call } from '../../support/http.ts'
import { type Actor, Sender } from './actor.ts'

interface Person {
  email: string
  passkey: Authenticator
  /** Codes that were not used. */
  codes: string[]
  /** Codes whose use was acknowledged: none may work again. */
  used: string[]
}

/** Users with an app, a passkey and recovery codes, who log in by each of them. */
export class FactorActor extends Sender implements Actor {
  private people: Person[] = []

  async work(stop: () => boolean): Promise<void> {
    while (!stop()) {
      const person = this.people.at(-1)
      if (person === undefined || person.codes.length < 5) await this.enrol()
      else if (this.acknowledged % 7 === 0) await this.useCode(person)
      else await this.byPasskey(person)
    }
  }

  private async enrol(): Promise<void> {
    const { auth, users } = this.system.url
    const email = newEmail()
    const body = { email, password: PASSWORD, email_verified: true }
    if (!(await this.send(users, 'POST /api/v1/users', { headers: as.operator, body }))) return
    const login = await this.send(auth, 'POST /api/v1/auth/login', { body: { email, password: PASSWORD } }, [200, 401])
    if (login?.status !== 200) return
    try {
      const { recoveryCodes } = await enrolApp(this.system, login.body.access_token, Date.now())
      const passkey = await enrolPasskey(this.system, login.body.access_token)
      this.people.push({ email, passkey, codes: [...recoveryCodes], used: [] })
    } catch (error) {
      // A kill in between: the account is left as it is.
      if (!/: 50[23] |connect|socket|closed/i.test(String(error))) throw error
    }
  }

  private async byPasskey({ passkey }: Person): Promise<void> {
    const options = await this.send(this.system.url.auth, 'POST /api/v1/auth/passkeys/login-options', { body: {} })
    if (!options) return
    const body = { credential: passkey.get(options.body) }
    await this.send(this.system.url.auth, 'POST /api/v1/auth/passkeys/login', { body })
  }

  private async useCode(person: Person): Promise<void> {
    const { auth } = this.system.url
    const body = { email: person.email, password: PASSWORD }
    const login = await this.send(auth, 'POST /api/v1/auth/login', { body }, [403])
    const code = person.codes.pop()
    if (!login || code === undefined) return
    const step = { challenge_id: login.body.challenge_id, code }
    if (await this.send(auth, 'POST /api/v1/auth/second-factor', { body: step })) person.used.push(code)
  }

  async differences(): Promise<string[]> {
    const { auth } = this.system.url
    const differences: string[] = []
    for (const { email, passkey, used } of this.people) {
      const body = { email, password: PASSWORD }
      const login = await call(auth, 'POST /api/v1/auth/login', { body })
      if (login.body?.code !== 'second_factor_required')
        differences.push(`${email} needs no second factor: ${login.status} ${login.text}`)
      const code = used.at(-1)
      if (code !== undefined) {
        const again = await call(auth, 'POST /api/v1/auth/second-factor', {
          body: { challenge_id: login.body.challenge_id, code },
        })
        if (again.status !== 401) differences.push(`a used recovery code of ${email}: ${again.status} ${again.text}`)
      }
      const options = await call(auth, 'POST /api/v1/auth/passkeys/login-options', { body: {} })
      const opened = await call(auth, 'POST /api/v1/auth/passkeys/login', {
        body: { credential: passkey.get(options.body) },
      })
      if (opened.status !== 200) differences.push(`the passkey of ${email}: ${opened.status} ${opened.text}`)
    }
    this.people = this.people.slice(-1)
    return differences
  }
}
