import { describe, expect, test } from 'bun:test'
import type { Mail } from '../../services/auth/mail/transport.ts'
import { DAY, HOUR, MINUTE, SECOND } from '../../services/kit/clock.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { as } from '../support/http.ts'
import { resetLinkIn } from '../support/mails.ts'
import { movingClock } from '../support/moving-clock.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

describe('as time passes', () => {
  const mails: Mail[] = []
  const clock = movingClock()
  const { pass } = clock
  const mailer = {
    send: async (mail: Mail) => {
      mails.push(mail)
    },
    close: () => undefined,
  }
  const { auth: ask } = running(() => inProcess({ LOG_LEVEL: 'silent' }, { clock, mailer }))

  const register = async () => {
    const email = newEmail()
    const { body } = await ask('POST /auth/register', { body: { email, password: PASSWORD } })
    return { email, id: body.id as string, tokens: body.tokens }
  }
  const login = (name: string, password = PASSWORD) => ask('POST /auth/login', { body: { login: name, password } })
  const refresh = (refresh_token: string) => ask('POST /auth/refresh', { body: { refresh_token } })
  const me = (token: string) => ask('GET /auth/me', { headers: as.bearer(token) })
  /** A registration sends a mail too, to verify the address. */
  const resetsTo = (email: string) => mails.filter(({ text, to }) => to === email && text.includes('/reset-password?'))
  const resetToken = async (email: string) => {
    await ask('POST /auth/password-reset-request', { body: { email } })
    const mail = await eventually(() => resetsTo(email).at(-1))
    return String(resetLinkIn(mail.text).searchParams.get('token'))
  }
  const confirm = (token: string) =>
    ask('POST /auth/password-reset-confirm', { body: { token, new_password: 'quite another one' } })

  test('an access token is valid for an hour', async () => {
    const { tokens } = await register()
    pass(HOUR - 5 * SECOND)
    expect((await me(tokens.access_token)).status).toBe(200)
    pass(5 * SECOND)
    expectProblem(await me(tokens.access_token), 401, 'token_expired')
  })

  test('R18: beside an expired access token a valid refresh token logs out, and an expired one does not', async () => {
    const [one, other] = [await register(), await register()]
    const logout = ({ tokens }: typeof one) =>
      ask('POST /auth/logout', {
        headers: as.bearer(tokens.access_token),
        body: { refresh_token: tokens.refresh_token },
      })
    pass(HOUR)
    expectProblem(await me(one.tokens.access_token), 401, 'token_expired')
    expect((await logout(one)).status).toBe(204)
    expectProblem(await refresh(one.tokens.refresh_token), 401, 'invalid_refresh_token')
    pass(7 * DAY)
    expectProblem(await logout(other), 401, 'token_expired')
  })

  test('a session lasts a week from each refresh', async () => {
    const { tokens, email } = await register()
    pass(7 * DAY - MINUTE)
    const next = await refresh(tokens.refresh_token)
    expect(next.status).toBe(200)
    pass(7 * DAY - MINUTE)
    expect((await login(email)).status).toBe(200)
    const list = await ask('GET /auth/sessions?all=true&size=200', { headers: as.operator })
    expect(list.body.items.map(({ id }: { id: string }) => id)).toContain(tokens.session_id)
    pass(2 * MINUTE)
    expectProblem(await refresh(next.body.refresh_token), 401, 'invalid_refresh_token')
    const later = await ask('GET /auth/sessions?all=true&size=200', { headers: as.operator })
    expect(later.body.items.map(({ id }: { id: string }) => id)).not.toContain(tokens.session_id)
    const again = await ask(`DELETE /auth/sessions/${tokens.session_id}`, { headers: as.operator })
    expectProblem(again, 404, 'session_not_found')
  })

  test('check 15: a session ends after 90 days, however often it is refreshed, and its last tokens end with it', async () => {
    let { tokens } = await register()
    let days = 0
    for (;;) {
      pass(6 * DAY)
      const next = await refresh(tokens.refresh_token)
      if (next.status !== 200) {
        expectProblem(next, 401, 'invalid_refresh_token')
        break
      }
      days += 6
      tokens = next.body
      expect(tokens.refresh_expires_in).toBeLessThanOrEqual((90 - days) * 24 * 3600)
      expect(tokens.expires_in).toBeLessThanOrEqual(tokens.refresh_expires_in)
    }
    // The 15th refresh was at the end of the 90th day, within a second.
    expect([84, 90]).toContain(days)
  })

  test('the previous refresh token returns the same answer for ten seconds', async () => {
    const { tokens } = await register()
    const next = (await refresh(tokens.refresh_token)).body
    pass(9 * SECOND)
    expect((await refresh(tokens.refresh_token)).body.refresh_token).toBe(next.refresh_token)
    pass(2 * SECOND)
    expectProblem(await refresh(tokens.refresh_token), 401, 'refresh_token_reused')
    expectProblem(await me(next.access_token), 401, 'token_revoked')
  })

  test('a link in a mail is valid for half an hour', async () => {
    const { email } = await register()
    const first = await resetToken(email)
    pass(30 * MINUTE + SECOND)
    expectProblem(await confirm(first), 400, 'invalid_reset_token')
    expect((await login(email)).status).toBe(200)
    mails.length = 0
    const second = await resetToken(email)
    pass(29 * MINUTE)
    expect((await confirm(second)).status).toBe(204)
  })

  test('a key is removed from the ring when its last token has expired', async () => {
    const { tokens } = await register()
    const publishedKeys = async () => (await ask('GET /.well-known/jwks.json')).body.keys.length
    await ask('POST /admin/keys/rotate?now=true', { headers: as.operator })
    expect(await publishedKeys()).toBe(2)
    pass(HOUR - 10 * SECOND)
    expect((await me(tokens.access_token)).status).toBe(200)
    expect(await publishedKeys()).toBe(2)
    pass(10 * MINUTE)
    expect(await publishedKeys()).toBe(1)
    const { body } = await ask('GET /admin/keys', { headers: as.operator })
    expect(body.items.map(({ status }: { status: string }) => status)).toEqual(['active'])

    // Subscribers keep waiting for changes: they do not poll repeatedly, as subscribers ahead of the feed would.
    const polls = async () => {
      const { text } = await ask('GET /metrics', { headers: as.operator })
      const counts = text.matchAll(/^ch202_feed_polls_total\{[^}]*\/auth\/revocations"[^}]*\} (\d+)$/gm)
      return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
    }
    const [before, since] = [await polls(), performance.now()]
    await eventually(async () => (await polls()) >= before + 4)
    // The poll of each of the two subscribers is answered after a quarter of a second, or at once with a change.
    const most = 2 * ((performance.now() - since) / 250 + 2)
    expect((await polls()) - before).toBeLessThan(most + 2)
  })

  test('after ten failures the lockouts grow: a minute, two, four, up to an hour', async () => {
    const { email } = await register()
    const fail = () => login(email, 'not the right one')
    for (let i = 0; i < 10; i++) expectProblem(await fail(), 401, 'invalid_credentials')
    for (const pause of [60, 120, 240, 480]) {
      const refused = await login(email)
      expectProblem(refused, 429, 'rate_limited')
      expect(Number(refused.headers.get('retry-after'))).toBeWithin(pause - 2, pause + 1)
      pass(pause * SECOND)
      expectProblem(await fail(), 401, 'invalid_credentials')
    }
    // As many guesses as the lockouts allow are far fewer than a hundred a day.
    let failures = 14
    for (let waited = 900 * SECOND; ; failures++) {
      const refused = await fail()
      expectProblem(refused, 429, 'rate_limited')
      const pause = Number(refused.headers.get('retry-after')) * SECOND
      expect(pause).toBeLessThanOrEqual(HOUR)
      waited += pause
      if (waited > DAY - HOUR) break
      pass(pause)
      expectProblem(await fail(), 401, 'invalid_credentials')
    }
    expect(failures).toBeWithin(30, 60)
    pass(DAY)
    expect((await login(email)).status).toBe(200)
  })

  test('an account allows a hundred failures a day, even with right passwords in between', async () => {
    const { email } = await register()
    for (let i = 0; i < 100; i++) {
      expectProblem(await login(email, 'not the right one'), 401, 'invalid_credentials')
      if (i % 9 === 8) expect((await login(email)).status).toBe(200)
    }
    const refused = await login(email)
    expectProblem(refused, 429, 'rate_limited')
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(23 * 3600)
    pass(DAY)
    expect((await login(email)).status).toBe(200)
  })

  describe('an address gets five mails an hour', () => {
    const request = (email: string) => ask('POST /auth/password-reset-request', { body: { email } })

    test.each([
      ['and one more when the link of the last one has expired', [0, 0, 0, 0, 0, 0, 29, 30, 30, 59], '+++++--+--'],
      ['and five in the next hour', [0, 0, 0, 0, 0, 30, 60, 60, 60, 60, 60, 89, 90], '++++++++++--+'],
      ['counted in any hour, not from the first mail on', [0, 59, 59, 59, 59, 59, 60, 60, 89, 90], '+++++-+--+'],
      ['when the requests are spread over the hour', [0, 10, 20, 30, 40, 50, 60, 61, 70, 71], '+++++-+-+-'],
    ])('%s', async (_, minutes, answers) => {
      // Known and unknown addresses get the same answers.
      for (const email of [(await register()).email, newEmail()]) {
        let at = 0
        let outcomes = ''
        for (const minute of minutes) {
          pass((minute - at) * MINUTE)
          at = minute
          const { headers, status } = await request(email)
          outcomes += status === 202 ? '+' : '-'
          if (status === 429) expect(Number(headers.get('retry-after'))).toBeWithin(1, 1801)
        }
        expect(outcomes).toBe(answers)
      }
    })

    test('and if others use them up, the owner still has a valid link, and at most six mails an hour', async () => {
      const { email } = await register()
      const sent: number[] = []
      let token = ''
      for (let minute = 0; minute < 150; minute++) {
        for (let spent = 0; spent < (minute === 0 ? 6 : 1); spent++) {
          const before = resetsTo(email).length
          if ((await request(email)).status !== 202) continue
          sent.push(minute)
          await eventually(() => resetsTo(email).length > before)
          token = String(resetLinkIn(resetsTo(email).at(-1)?.text ?? '').searchParams.get('token'))
        }
        expect(minute - (sent.at(-1) ?? Number.NEGATIVE_INFINITY)).toBeLessThan(30)
        pass(MINUTE)
      }
      for (const from of sent) expect(sent.filter((at) => at >= from && at < from + 60).length).toBeLessThanOrEqual(6)
      expect((await confirm(token)).status).toBe(204)
    })
  })

  test('check 30: the owner of an account that is locked for a day sets a new password and logs in', async () => {
    const { email, tokens } = await register()
    for (let i = 0; i < 100; i++) {
      await login(email, 'not the right one')
      if (i % 9 === 8) await login(email)
    }
    const refused = await login(email)
    expectProblem(refused, 429, 'rate_limited')
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(23 * 3600)
    expect((await me(tokens.access_token)).status).toBe(200)
    expect((await refresh(tokens.refresh_token)).status).toBe(200)
    mails.length = 0
    expect((await confirm(await resetToken(email))).status).toBe(204)
    expect((await login(email, 'quite another one')).status).toBe(200)
  })

  test('a thousand registrations an hour are allowed', async () => {
    const { email } = await register()
    // The registrations of the other tests were in an earlier hour.
    pass(HOUR)
    const again = () => ask('POST /auth/register', { body: { email, password: PASSWORD } })
    const answers = await Promise.all(Array.from({ length: 1000 }, again))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([409]))
    expectProblem(await again(), 429, 'rate_limited')
    pass(HOUR)
    expectProblem(await again(), 409, 'email_taken')
  })

  test('150 refreshes in five minutes are allowed, and more after them', async () => {
    let { tokens } = await register()
    for (let i = 0; i < 150; i++) tokens = (await refresh(tokens.refresh_token)).body
    expectProblem(await refresh(tokens.refresh_token), 429, 'rate_limited')
    pass(5 * MINUTE)
    expect((await refresh(tokens.refresh_token)).status).toBe(200)
  })

  test('check 35: revoked tokens stay revoked when the clock is set back by an hour, and counters stay bounded', async () => {
    const [ended, guessed] = [await register(), await register()]
    await ask('POST /auth/logout', { headers: as.bearer(ended.tokens.access_token) })
    for (let i = 0; i < 10; i++) await login(guessed.email, 'not the right one')
    for (const step of [-HOUR, HOUR, -HOUR, HOUR]) {
      pass(step)
      expectProblem(await me(ended.tokens.access_token), 401, 'token_revoked')
      expectProblem(await refresh(ended.tokens.refresh_token), 401, 'invalid_refresh_token')
    }
    pass(-HOUR)
    const refused = await login(guessed.email)
    if (refused.status === 429) expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(2 * 3600)
    pass(HOUR + MINUTE)
    expect((await login(guessed.email)).status).toBe(200)
  })
})
