import { afterEach, expect, setDefaultTimeout, setSystemTime, test } from 'bun:test'
import { createRemoteJWKSet, customFetch, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'
import { DAY, MINUTE, SECOND } from '../../services/kit/clock.ts'
import { InstanceInTime } from '../faults/instance-in-time.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { as } from '../support/http.ts'
import { sliced, WHOLE } from '../support/whole.ts'

setDefaultTimeout(600_000)

const V1 = '/api/v1'
const JWKS = '/.well-known/jwks.json'
/** Seconds after which more verifiers start. */
const EVERY = WHOLE ? 20 : 60
const kidOf = (token: string) => String(decodeProtectedHeader(token).kid)

let instance: InstanceInTime
afterEach(async () => {
  setSystemTime()
  await instance?.stop()
})

/** A restarted instance has another port. */
const direct = () => fetch(`${instance.url}${JWKS}`)

/** A cache in front of the verifier, such as a proxy: it keeps an answer for as long as its headers allow. */
function caching(): typeof direct {
  let copy: { body: string; until: number } | undefined
  return async () => {
    if (!copy || Date.now() >= copy.until) {
      const answer = await direct()
      const maxAge = /max-age=(\d+)/.exec(answer.headers.get('cache-control') ?? '')?.[1] ?? 0
      copy = { body: await answer.text(), until: Date.now() + Number(maxAge) * SECOND }
    }
    return new Response(copy.body, { headers: { 'content-type': 'application/json' } })
  }
}

type Verify = (token: string) => Promise<unknown>

/** Each library with its default cache. */
const LIBRARIES: Record<string, (through: typeof direct) => Verify> = {
  jose: (through) => {
    const keys = createRemoteJWKSet(new URL(JWKS, instance.url), { [customFetch]: through })
    return (token) => jwtVerify(token, keys, { audience: 'ch202', typ: 'at+jwt' })
  },
  oauth4webapi: (through) => {
    const options = { [oauth.allowInsecureRequests]: true, [oauth.customFetch]: through }
    let server: oauth.AuthorizationServer | undefined
    return (token) => {
      server ??= { issuer: String(decodeJwt(token).iss), jwks_uri: `${instance.url}${JWKS}` }
      const request = new Request('https://shop.example.org/', { headers: as.bearer(token) })
      return oauth.validateJwtAccessToken(server, request, 'ch202', options)
    }
  },
}

/** A foreign service that checks tokens locally. */
class Verifier {
  readonly refused: string[] = []
  readonly kids = new Set<string>()

  constructor(
    readonly name: string,
    private readonly verify: Verify,
  ) {}

  async check(token: string): Promise<void> {
    try {
      await this.verify(token)
      this.kids.add(kidOf(token))
    } catch (error) {
      this.refused.push(`${this.name}: ${error}`)
    }
  }
}

/** A user whose session is refreshed repeatedly: each token is signed with the current key. */
async function newSession() {
  const { body } = await instance.askWithin(
    'auth',
    `POST ${V1}/auth/register`,
    {},
    { email: newEmail(), password: PASSWORD },
  )
  let tokens = body.tokens
  return {
    id: String(body.id),
    first: String(tokens.access_token),
    async next(): Promise<string> {
      const { refresh_token } = tokens
      tokens = (await instance.askWithin('auth', `POST ${V1}/auth/refresh`, {}, { refresh_token })).body
      return String(tokens.access_token)
    },
  }
}

interface Seen {
  /** Results by second since the start. */
  publishedAt: number | undefined
  signedAt: number | undefined
  refused: string[]
  verifiers: Verifier[]
}

/**
 * Watches verifiers for so many seconds. In each second three sessions get a token each, checked by the verifiers
 * that run from the beginning, by more that start every `EVERY` seconds, and by our three services.
 * @param at actions by second
 */
async function watch(seconds: number, at: Record<number, () => Promise<unknown>> = {}): Promise<Seen> {
  setSystemTime(instance.now())
  const sessions = [await newSession(), await newSession(), await newSession()]
  const [first = ''] = sessions.map((session) => session.first)
  const seen: Seen = { publishedAt: undefined, signedAt: undefined, refused: [], verifiers: [] }
  for (let second = 0; second < seconds; second++) {
    await instance.pass(SECOND)
    await instance.settled()
    setSystemTime(instance.now())
    if (second % EVERY === 0 || (second < 60 && second % (EVERY / 5) === 0)) {
      for (const [name, library] of Object.entries(LIBRARIES))
        for (const [where, through] of [
          ['', direct],
          [' behind a cache', caching()],
        ] as const)
          seen.verifiers.push(new Verifier(`${name}${where}, since ${second} s`, library(through)))
    }
    await at[second]?.()
    const published = (await instance.ask(`GET ${JWKS}`)).body.keys.map(({ kid }: { kid: string }) => kid)
    if (published.some((kid: string) => kid !== kidOf(first))) seen.publishedAt ??= second
    const tokens = await Promise.all(sessions.map((session) => session.next()))
    if (tokens.some((token) => kidOf(token) !== kidOf(first))) seen.signedAt ??= second
    await Promise.all(
      seen.verifiers.flatMap((verifier, index) =>
        [tokens[(second + index) % tokens.length] ?? '', first].map((token) => verifier.check(token)),
      ),
    )
    for (const [index, { id }] of sessions.entries()) {
      const headers = as.bearer(tokens[index] ?? '')
      const answers = await Promise.all([
        instance.askWithin('auth', `GET ${V1}/auth/me`, headers),
        instance.askWithin('users', `GET ${V1}/users/${id}`, headers),
        instance.askWithin('modules', `GET ${V1}/modules/`, headers),
      ])
      for (const { body, status } of answers) if (status !== 200) seen.refused.push(`${second} s: ${body.code}`)
    }
  }
  seen.refused.push(...seen.verifiers.flatMap(({ refused }) => refused))
  return seen
}

const rotate = (query = '') => instance.ask(`POST ${V1}/admin/keys/rotate${query}`, { headers: as.operator })

/** Expects that no token was refused, and that the new key was published two minutes before it signed. */
function expectNothingRefused({ publishedAt = 0, refused, signedAt = 0, verifiers }: Seen) {
  expect(refused).toEqual([])
  // With a restart of auth, the seconds of its downtime count too.
  expect(signedAt - publishedAt).toBeWithin(117, 122)
  for (const { kids } of verifiers) expect(kids.size).toBe(2)
}

const ROTATIONS: [about: string, run: () => Promise<Seen>][] = [
  [
    'that is interrupted by a restart and by a crash',
    async () => {
      instance = new InstanceInTime({})
      await instance.start()
      const at = { 90: rotate, 120: () => instance.restart(SECOND), 180: () => instance.crash(SECOND) }
      return watch(WHOLE ? 400 : 280, at)
    },
  ],
  [
    'by age',
    async () => {
      instance = new InstanceInTime({ SIGNING_KEY_MAX_AGE: '30d' })
      await instance.start()
      await instance.pass(30 * DAY - 5 * MINUTE)
      return watch(520)
    },
  ],
  [
    'by hand',
    async () => {
      instance = new InstanceInTime({})
      await instance.start()
      return watch(400, { 90: rotate })
    },
  ],
]

test.each(sliced(ROTATIONS, 3))(
  'check 39: R6: `jose` and `oauth4webapi` with their default caches see no failed request during a rotation %s',
  async (_, run) => expectNothingRefused(await run()),
)
