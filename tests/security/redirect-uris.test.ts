import { describe, expect, test } from 'bun:test'
import { registerUser } from '../support/actors.ts'
import { expectProblem } from '../support/expectations.ts'
import { as, call } from '../support/http.ts'
import type { OAuthClient } from '../support/oauth/clients.ts'
import { authorizationOf, authorize, CALLBACK, codeFor, createApp, redeem, sentTo } from '../support/oauth/code-flow.ts'
import { running } from '../support/running.ts'
import { inProcessApart } from '../support/system.ts'

// Check 49 (RFC 9700, 4.1): the browser goes to no other address than those of the client.

const WITH_QUERY = 'https://app.example.org/callback?tenant=a%2Fb'
const LOOPBACK = ['http://127.0.0.1/cb', 'http://localhost:8000/cb', 'http://[::1]/cb']
const OWN_SCHEME = 'com.example.app:/callback'

/** Addresses that look like a registered one to a person, to a browser or to a careless comparison. */
const TRICKS: [name: string, uri: string][] = [
  ['nothing', ''],
  ['another path', 'https://app.example.org/other'],
  ['a prefix of the path', 'https://app.example.org/call'],
  ['the host alone', 'https://app.example.org'],
  ['the root', 'https://app.example.org/'],
  ['a longer path', `${CALLBACK}x`],
  ['a path below', `${CALLBACK}/below`],
  ['a slash at the end', `${CALLBACK}/`],
  ['a dot at the end', `${CALLBACK}.`],
  ['a path above', `${CALLBACK}/../callback`],
  ['an encoded path above', `${CALLBACK}/%2e%2e/callback`],
  ['a path with a dot', 'https://app.example.org/./callback'],
  ['two slashes', 'https://app.example.org//callback'],
  ['parameters of the path', `${CALLBACK};x=1`],
  ['an encoded letter', 'https://app.example.org/%63allback'],
  ['an encoded slash', 'https://app.example.org%2Fcallback'],
  ['capitals in the path', 'https://app.example.org/Callback'],
  ['capitals in the host', 'https://APP.example.org/callback'],
  ['capitals in the scheme', 'HTTPS://app.example.org/callback'],
  ['http', 'http://app.example.org/callback'],
  ['no scheme', '//app.example.org/callback'],
  ['a path only', '/callback'],
  ['the default port', 'https://app.example.org:443/callback'],
  ['another port', 'https://app.example.org:8443/callback'],
  ['an empty port', 'https://app.example.org:/callback'],
  ['a dot after the host', 'https://app.example.org./callback'],
  ['a longer host', 'https://app.example.org.evil.example/callback'],
  ['a host before', 'https://evil-app.example.org/callback'],
  ['a host below', 'https://x.app.example.org/callback'],
  ['a host above', 'https://example.org/callback'],
  ['a user', 'https://user@app.example.org/callback'],
  ['the host as user', 'https://app.example.org@evil.example/callback'],
  ['the host as user and password', 'https://app.example.org:443@evil.example/callback'],
  ['an encoded at', 'https://app.example.org%40evil.example/callback'],
  ['a fragment', `${CALLBACK}#fragment`],
  ['an empty fragment', `${CALLBACK}#`],
  ['an encoded fragment', `${CALLBACK}%23`],
  ['another query', `${CALLBACK}?next=https://evil.example`],
  ['an empty query', `${CALLBACK}?`],
  ['more of its query', `${WITH_QUERY}&next=x`],
  ['its query decoded', 'https://app.example.org/callback?tenant=a/b'],
  ['less of its query', 'https://app.example.org/callback?tenant='],
  ['a backslash in the host', 'https://app.example.org\\@evil.example/callback'],
  ['backslashes for slashes', 'https:\\\\app.example.org\\callback'],
  ['one slash', 'https:/app.example.org/callback'],
  ['no slash', 'https:app.example.org/callback'],
  ['three slashes', 'https:///app.example.org/callback'],
  ['a space before', ` ${CALLBACK}`],
  ['a space after', `${CALLBACK} `],
  ['a plus', `${CALLBACK}+`],
  ['two addresses', `${CALLBACK} https://evil.example`],
  ['two addresses with a comma', `${CALLBACK},https://evil.example`],
  ['a letter of another script', 'https://аpp.example.org/callback'],
  ['its ASCII form', 'https://xn--pp-6kc.example.org/callback'],
  ['a full-width letter', 'https://ａpp.example.org/callback'],
  ['a full-width dot', 'https://app．example.org/callback'],
  ['a zero-width space', 'https://app\u200b.example.org/callback'],
  ['a soft hyphen', 'https://app\u00ad.example.org/callback'],
  ['a reversed text', `${CALLBACK}\u202e`],
  ['an encoded new line', `${CALLBACK}%0d%0aset-cookie:x=1`],
  ['an encoded NUL', `${CALLBACK}%00`],
  ['a wildcard', 'https://*.example.org/callback'],
  ['an open redirector of the host', 'https://app.example.org/redirect?to=https://evil.example'],
  ['script', 'javascript:alert(1)//app.example.org/callback'],
  ['data', 'data:text/html,https://app.example.org/callback'],
  ['a blob', 'blob:https://app.example.org/callback'],
  ['out of band', 'urn:ietf:wg:oauth:2.0:oob'],
  ['null', 'null'],
  ['the other scheme of an app', 'com.example.other:/callback'],
  ['the scheme of the app in capitals', 'COM.example.app:/callback'],
  ['the scheme of the app with another path', 'com.example.app:/other'],
  ['the scheme of the app with a host', 'com.example.app://callback'],
  ['loopback with https', 'https://127.0.0.1/cb'],
  ['loopback with another path', 'http://127.0.0.1:4000/other'],
  ['loopback with a slash', 'http://127.0.0.1:4000/cb/'],
  ['loopback with a query', 'http://127.0.0.1:4000/cb?x=1'],
  ['loopback with a fragment', 'http://127.0.0.1:4000/cb#x'],
  ['loopback at another address', 'http://127.0.0.2:4000/cb'],
  ['loopback by another name', 'http://localhost.evil.example:4000/cb'],
  ['loopback as user', 'http://127.0.0.1:80@evil.example/cb'],
  ['loopback and a longer address', 'http://127.0.0.1.evil.example/cb'],
  ['loopback as a number', 'http://2130706433/cb'],
  ['loopback in hexadecimal', 'http://0x7f.0.0.1/cb'],
  ['loopback, shortened', 'http://127.1/cb'],
  ['loopback of IPv6, in full', 'http://[0:0:0:0:0:0:0:1]/cb'],
  ['IPv4 in IPv6', 'http://[::ffff:127.0.0.1]/cb'],
  ['no address', 'http://0.0.0.0/cb'],
  ['a port that does not exist', 'http://127.0.0.1:99999/cb'],
  ['an empty port at loopback', 'http://127.0.0.1:/cb'],
  ['a port with a sign', 'http://127.0.0.1:+80/cb'],
]

describe('check 49: the address of the answer', () => {
  const here = running(inProcessApart, { RATE_LIMIT: 'off' })
  const registered = [CALLBACK, WITH_QUERY, ...LOOPBACK]
  const apps = new Map<'public' | 'confidential', OAuthClient>()
  let bearer = ''

  const ask = async (kind: 'public' | 'confidential', fields: Record<string, unknown>) => {
    bearer ||= (await registerUser(here.system)).tokens.access_token
    const redirect_uris = kind === 'public' ? [...registered, OWN_SCHEME] : registered
    if (!apps.has(kind)) apps.set(kind, await createApp(here.system, { kind, redirect_uris }))
    const app = apps.get(kind) as OAuthClient
    return await Promise.all([authorize(here.system, bearer, app, fields), check(app, fields)])
  }
  const check = (app: Pick<OAuthClient, 'id'>, fields: Record<string, unknown>) => {
    const present = Object.entries(authorizationOf(app, fields)).filter(([, value]) => value !== undefined)
    const query = new URLSearchParams(Object.fromEntries(present) as Record<string, string>)
    return call(here.system.url.auth, `GET /auth/authorizations?${query}`)
  }

  test.each(TRICKS)('%s is not the address of the client: %s', async (_, redirect_uri) => {
    for (const kind of ['public', 'confidential'] as const)
      for (const fields of [
        { redirect_uri },
        { redirect_uri, response_type: 'token' },
        { redirect_uri, prompt: 'none' },
      ])
        for (const answer of await ask(kind, fields)) {
          expectProblem(answer, 400, 'invalid_authorization')
          expect(answer.body.redirect_to).toBeUndefined()
        }
  })

  test('an address with control characters is no parameter at all', async () => {
    for (const end of ['\n', '\r', '\t', '\0', '\x7f', '\u0085'])
      for (const answer of await ask('confidential', { redirect_uri: `${CALLBACK}${end}` }))
        expect([answer.status, answer.body.redirect_to]).toEqual([400, undefined])
  })

  test.each([
    [undefined, 'is required, also of a client with one'],
    [[CALLBACK, CALLBACK], 'must not be repeated'],
    [{ uri: CALLBACK }, 'must be a string'],
  ])('an address that is %p is refused: it %s', async (redirect_uri) => {
    const app = await createApp(here.system)
    const answer = await authorize(here.system, bearer, app, { redirect_uri })
    expect([answer.status, answer.body.redirect_to]).toEqual([400, undefined])
  })

  test.each([...registered, 'http://127.0.0.1:4711/cb', 'http://localhost/cb', 'http://[::1]:65535/cb'])(
    '%s is one: the answer is added to it, and the code is redeemed with it alone',
    async (redirect_uri) => {
      await ask('confidential', {})
      const app = apps.get('confidential') as OAuthClient
      const answer = await authorize(here.system, bearer, app, { redirect_uri })
      const added = answer.body.redirect_to.slice(redirect_uri.length)
      expect(answer.body.redirect_to.slice(0, redirect_uri.length)).toBe(redirect_uri)
      expect(added).toStartWith(redirect_uri.includes('?') ? '&code=' : '?code=')
      const code = sentTo(answer).get('code') ?? ''
      for (const other of [...registered, `${redirect_uri}/`, 'http://127.0.0.1:4712/cb'])
        if (other !== redirect_uri)
          expect((await redeem(here.system, app, code, { redirect_uri: other })).status).toBe(400)
      expect((await redeem(here.system, app, code, { redirect_uri })).status).toBe(200)
    },
  )

  test('an app of a device gets the answer by its own scheme', async () => {
    const [answer] = await ask('public', { redirect_uri: OWN_SCHEME })
    expect(answer?.body.redirect_to).toStartWith(`${OWN_SCHEME}?code=`)
  })

  test('a client that is unknown, disabled, deleted, or for itself has no address', async () => {
    const operate = (request: string, body?: object) =>
      call(here.system.url.auth, request, { headers: as.operator, ...(body ? { body } : {}) })
    const [disabled, deleted] = [await createApp(here.system), await createApp(here.system)]
    const machine = await createApp(here.system, { grant_types: ['client_credentials'] })
    await codeFor(here.system, bearer, disabled)
    await operate(`PATCH /admin/clients/${disabled.id}`, { status: 'disabled' })
    await operate(`DELETE /admin/clients/${deleted.id}`)
    const ids = [disabled.id, deleted.id, machine.id, undefined, '', 'x', "' OR 1=1 --", crypto.randomUUID(), CALLBACK]
    for (const client_id of ids)
      for (const fields of [{ client_id }, { client_id, prompt: 'none' }, { client_id, response_type: 'x' }])
        for (const answer of await ask('confidential', fields)) {
          expectProblem(answer, 400, 'invalid_authorization')
          expect(answer.body.redirect_to).toBeUndefined()
        }
  })

  test('what logout redirects to is compared in the same way', async () => {
    const post_logout_redirect_uris = [...registered]
    const app = await createApp(here.system, { post_logout_redirect_uris })
    const logOut = (post_logout_redirect_uri: string, fields = {}) =>
      call(here.system.url.auth, 'POST /auth/logout-requests', {
        body: { client_id: app.id, post_logout_redirect_uri, state: 'a b', ...fields },
      })
    for (const [, uri] of TRICKS) expectProblem(await logOut(uri), 400, 'invalid_logout_request')
    for (const uri of registered)
      expect((await logOut(uri)).body.redirect_to).toBe(`${uri}${uri.includes('?') ? '&' : '?'}state=a+b`)
    expectProblem(await logOut(CALLBACK, { client_id: undefined }), 400, 'invalid_logout_request')
    expectProblem(await logOut(CALLBACK, { client_id: crypto.randomUUID() }), 400, 'invalid_logout_request')
  })
})
