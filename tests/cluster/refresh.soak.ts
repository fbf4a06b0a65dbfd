import { describe, expect, test } from 'bun:test'
import { registerUser } from '../support/actors.ts'
import { call } from '../support/http.ts'
import { running } from '../support/running.ts'
import { cluster } from './cluster.ts'

const ROUNDS = Number(process.env.SOAK_REFRESHES ?? 20)
const AT_ONCE = 50

describe('check 12: refreshes of one token at all nodes at once', () => {
  const here = running(cluster, { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })

  test('end with one refresh token, which works at each node', async () => {
    const answers = { right: 0, wrong: [] as string[] }
    for (let round = 0; round < ROUNDS; round++) {
      const { tokens } = await registerUser(here.system)
      const refresh = (node: number, refresh_token: string) =>
        call(here.system.at((node % 3) + 1).url.auth, 'POST /api/v1/auth/refresh', { body: { refresh_token } })
      const first = await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => refresh(n, tokens.refresh_token)))
      const lineage = first.find(({ status }) => status === 200)?.body.refresh_token
      for (const { body, status } of first)
        if (status === 200 && body.refresh_token === lineage) answers.right++
        else answers.wrong.push(`${round}: ${status} ${body.code ?? 'another token'}`)
      const next = await refresh(round, lineage)
      if (next.status !== 200) answers.wrong.push(`${round}: the next one ${next.status} ${next.body.code}`)
    }
    console.log(`figures: ${ROUNDS * AT_ONCE} refreshes, ${answers.wrong.length} wrong answers`)
    expect(answers).toEqual({ right: ROUNDS * AT_ONCE, wrong: [] })
  })
})
