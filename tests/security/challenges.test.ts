import { describe, expect, test } from 'bun:test'
import { type Prepared, PURPOSES, proofOf, useMailed, wrongCode } from '../support/challenge-purposes.ts'
import { expectProblem } from '../support/expectations.ts'
import { type Answer, as, call } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const SETTINGS = { RATE_LIMIT: 'off', EMAIL_LOGIN: 'on', DEVICE_TRUST: 'all' }
const ATTEMPTS = 50
const ALL = Object.entries(PURPOSES)
const WITH_CODE = ALL.filter(([, { has }]) => has.includes('code'))
const WITH_LINK = ALL.filter(([, { has }]) => has.includes('token'))

const endOf = ({ body, status }: Answer) => (status < 300 ? 'success' : `${status} ${body.code}`)
/** How many answers had each end. */
function countEnds(answers: Answer[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const answer of answers) counts[endOf(answer)] = (counts[endOf(answer)] ?? 0) + 1
  return counts
}

describe('codes and links', () => {
  const here = running(inProcess, SETTINGS)

  test.each(WITH_CODE)('check 41: %s: of 50 parallel uses of one code, one succeeds', async (_, { path, prepare }) => {
    const mailed = await prepare(here.system)
    const answers = await atOnce(() => useMailed(here.system, path, mailed, proofOf(mailed, 'code')))
    expect(countEnds(answers)).toEqual({ success: 1, '400 invalid_challenge': ATTEMPTS - 1 })
  })

  test.each(WITH_LINK)(
    'check 41: %s: of 50 parallel uses of one link, one succeeds',
    async (_, { path, prepare, refusal }) => {
      const mailed = await prepare(here.system)
      const answers = await atOnce(() => useMailed(here.system, path, mailed, proofOf(mailed, 'token')))
      expect(countEnds(answers)).toEqual({ success: 1, [`400 ${refusal}`]: ATTEMPTS - 1 })
    },
  )

  test.each(ALL.filter(([, { has }]) => has.length === 2))(
    'check 41: %s: of parallel uses of the code and the link of one mail, one succeeds',
    async (_, { path, prepare }) => {
      const mailed = await prepare(here.system)
      const answers = await atOnce((n) =>
        useMailed(here.system, path, mailed, proofOf(mailed, n % 2 === 0 ? 'code' : 'token')),
      )
      expect(countEnds(answers)).toEqual({ success: 1, '400 invalid_challenge': ATTEMPTS - 1 })
    },
  )

  test.each(WITH_CODE)(
    'check 41: %s: after five wrong codes the right one is refused',
    async (_, { path, prepare }) => {
      const mailed = await prepare(here.system)
      const { challenge_id, code } = mailed
      for (let n = 1; n <= 5; n++) {
        const wrong = { challenge_id, code: wrongCode(code, n) }
        expectProblem(await useMailed(here.system, path, mailed, wrong), 401, 'invalid_code')
      }
      for (const typed of [code, wrongCode(code)])
        expectProblem(
          await useMailed(here.system, path, mailed, { challenge_id, code: typed }),
          400,
          'invalid_challenge',
        )
    },
  )

  test.each(WITH_CODE)('check 41: %s: the fifth code may be the right one', async (_, { path, prepare }) => {
    const mailed = await prepare(here.system)
    const { challenge_id, code } = mailed
    for (let n = 1; n <= 4; n++) await useMailed(here.system, path, mailed, { challenge_id, code: wrongCode(code, n) })
    expect(endOf(await useMailed(here.system, path, mailed, { challenge_id, code }))).toBe('success')
  })

  test.each(WITH_CODE)('check 41: %s: of 50 parallel wrong codes, five are compared', async (_, { path, prepare }) => {
    const mailed = await prepare(here.system)
    const { challenge_id, code } = mailed
    const answers = await atOnce((n) =>
      useMailed(here.system, path, mailed, { challenge_id, code: wrongCode(code, n + 1) }),
    )
    expect(countEnds(answers)).toEqual({ '401 invalid_code': 5, '400 invalid_challenge': ATTEMPTS - 5 })
    expectProblem(await useMailed(here.system, path, mailed, { challenge_id, code }), 400, 'invalid_challenge')
  })

  test.each(ALL)('check 41: %s: its code and link are of no other purpose', async (name, { has, path, prepare }) => {
    const mailed = await prepare(here.system)
    for (const [other, { has: takes, path: otherPath, prepare: prepareOther, refusal: otherRefusal }] of ALL) {
      if (other === name) continue
      // What belongs to the other purpose, but the proof, is right.
      const { fields, headers } = await prepareOther(here.system)
      for (const by of has.filter((form) => takes.includes(form))) {
        const answer = await useMailed(here.system, otherPath, { fields, headers }, proofOf(mailed, by))
        expect([other, by, answer.status, answer.body.code]).toEqual([other, by, 400, otherRefusal])
      }
    }
    const [by = 'token'] = has
    expect(endOf(await useMailed(here.system, path, mailed, proofOf(mailed, by)))).toBe('success')
  })

  test.each(WITH_CODE)('check 41: %s: a code fits its challenge alone', async (_, { path, prepare }) => {
    const [one, other] = [await prepare(here.system), await prepare(here.system)]
    const swapped = { challenge_id: one.challenge_id, code: other.code }
    // Of another challenge, it is a wrong code; it leaves the other challenge as it was.
    if (one.code !== other.code) expectProblem(await useMailed(here.system, path, one, swapped), 401, 'invalid_code')
    for (const challenge_id of [one.token || 'none', other.user.id, 'x'.repeat(128)])
      expectProblem(await useMailed(here.system, path, one, { challenge_id, code: one.code }), 400, 'invalid_challenge')
    for (const mailed of [one, other])
      expect(endOf(await useMailed(here.system, path, mailed, proofOf(mailed, 'code')))).toBe('success')
  })

  test('check 41: email_change: a code and a link are of the user who asked', async () => {
    const { path, prepare } = PURPOSES.email_change as (typeof PURPOSES)[string]
    const [one, other] = [await prepare(here.system), await prepare(here.system)]
    for (const by of ['code', 'token'] as const) {
      const answer = await useMailed(here.system, path, other, proofOf(one, by))
      expectProblem(answer, 400, 'invalid_challenge')
    }
    expect(endOf(await useMailed(here.system, path, one, proofOf(one, 'token')))).toBe('success')
  })

  test.each(ALL)('check 41: %s: GET, HEAD and other methods change nothing', async (_, { has, path, prepare }) => {
    const mailed = await prepare(here.system)
    const before = await userOf(mailed)
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'DELETE', 'PROPFIND'])
      for (const by of has) {
        const proof = { ...proofOf(mailed, by), ...mailed.fields } as Record<string, string>
        const query = new URLSearchParams(proof).toString()
        for (const prefix of ['/api/v1', '']) {
          const hasBody = method !== 'GET' && method !== 'HEAD'
          const answer = await call(here.system.url.auth, `${method} ${prefix}/auth/${path}?${query}`, {
            headers: { ...mailed.headers, 'x-http-method-override': 'POST', purpose: 'prefetch' },
            ...(hasBody ? { body: proof } : {}),
          })
          expect([method, answer.status]).toEqual([method, 405])
        }
      }
    // A form, as a page of another origin could send it.
    for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x']) {
      const proof = { ...proofOf(mailed, has[0] ?? 'token'), ...mailed.fields } as Record<string, string>
      const answer = await call(here.system.url.auth, `POST /api/v1/auth/${path}`, {
        headers: { ...mailed.headers, 'content-type': type },
        body: type.startsWith('text') ? JSON.stringify(proof) : new URLSearchParams(proof).toString(),
      })
      expect([type, answer.status]).toEqual([type, 415])
    }
    expect(await userOf(mailed)).toEqual(before)
    expect(endOf(await useMailed(here.system, path, mailed, proofOf(mailed, has[0] ?? 'token')))).toBe('success')
  })

  const userOf = async ({ user }: Prepared) =>
    (await here.users(`GET /users/${user.id}`, { headers: as.operator })).body
})

function atOnce(send: (n: number) => Promise<Answer>): Promise<Answer[]> {
  return Promise.all(Array.from({ length: ATTEMPTS }, (_, n) => send(n)))
}
