import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { logIn, registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { overProcesses } from '../support/processes.ts'
import { running } from '../support/running.ts'
import { PROGRAMS, type ProgramName, Verifier } from './program.ts'

setDefaultTimeout(120_000)

/** Programs that `.ci/run` installs from Debian. `bun run verifiers` adds Go, and the default lead in real time. */
const HERE: ProgramName[] = ['jose (Node)', 'PyJWT (Python)']

describe('check 39: R6: verifiers of other languages', () => {
  const here = running(overProcesses('apart'), { SIGNING_KEY_LEAD: '3s' })

  test.each(HERE)('%s accepts valid tokens only, and knows a pending key by the time it signs', async (name) => {
    const user = await registerUser(here.system)
    const first = user.tokens.access_token
    const kid = String(decodeProtectedHeader(first).kid)
    const { auth } = here.system.url
    await call(auth, 'POST /admin/keys/rotate', { headers: as.operator })
    const jwks = `${auth}/.well-known/jwks.json`
    const verifier = new Verifier(name, [...(await PROGRAMS[name]()), jwks, String(decodeJwt(first).iss)])
    try {
      expect(await verifier.check(first)).toBe(user.id)
      const [head, payload, signature] = first.split('.')
      const other = (await registerUser(here.system)).tokens.access_token.split('.')
      for (const forged of [
        `${head}.${other[1]}.${signature}`,
        `${head}.${payload}.${other[2]}`,
        `${head}.${payload}.`,
        user.tokens.refresh_token,
        'x',
      ])
        expect([forged, await verifier.check(forged)]).toEqual([forged, undefined])

      const next = await eventually(async () => {
        const { access_token } = (await logIn(here.system, user.email)).body
        return decodeProtectedHeader(access_token).kid === kid ? undefined : String(access_token)
      })
      verifier.refused.length = 0
      // The older key's token is valid as well, from the cache: it was fetched once, before the new key signed.
      for (const token of [next, first]) expect(await verifier.check(token)).toBe(user.id)
      expect(verifier.refused).toEqual([])
    } finally {
      await verifier.stop()
    }
  })
})
