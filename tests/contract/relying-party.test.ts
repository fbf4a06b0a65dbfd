import { describe, expect, test } from 'bun:test'
import * as oauth from 'oauth4webapi'
import { registerUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { authorizationOf, CALLBACK, createApp } from '../support/oauth/code-flow.ts'
import { running } from '../support/running.ts'
import { inProcessApart } from '../support/system.ts'

const HTTP = { [oauth.allowInsecureRequests]: true }

describe('16: oauth4webapi, which checks every answer by the standards', () => {
  const here = running(inProcessApart)

  test.each([
    ['RS256', 'client_secret_basic'],
    ['ES256', 'client_secret_post'],
    ['EdDSA', 'client_secret_basic'],
  ] as const)('signs a user in, with %s and %s', async (id_token_alg, method) => {
    const user = await registerUser(here.system)
    const issuer = new URL(here.system.url.auth)
    const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, HTTP))
    const app = await createApp(here.system, { id_token_alg, token_auth_method: method })
    const client: oauth.Client = { client_id: app.id, id_token_signed_response_alg: id_token_alg }
    const secret = method === 'client_secret_basic' ? oauth.ClientSecretBasic : oauth.ClientSecretPost
    const authentication = secret(app.client_secret)
    const [verifier, nonce, state] = [
      oauth.generateRandomCodeVerifier(),
      oauth.generateRandomNonce(),
      oauth.generateRandomState(),
    ]
    const code_challenge = await oauth.calculatePKCECodeChallenge(verifier)
    const scope = 'openid profile email offline_access'
    const body = authorizationOf(app, { code_challenge, nonce, state, scope, max_age: '600' })
    const { tokens } = user
    const answer = await call(here.system.url.auth, 'POST /auth/authorizations', {
      headers: as.bearer(tokens.access_token),
      body,
    })
    const parameters = oauth.validateAuthResponse(server, client, new URL(answer.body.redirect_to), state)
    const response = await oauth.authorizationCodeGrantRequest(
      server,
      client,
      authentication,
      parameters,
      CALLBACK,
      verifier,
      HTTP,
    )
    const first = await oauth.processAuthorizationCodeResponse(server, client, response, {
      expectedNonce: nonce,
      maxAge: 600,
      requireIdToken: true,
    })
    expect(oauth.getValidatedIdTokenClaims(first)).toMatchObject({ sub: user.id, sid: tokens.session_id })
    const info = await oauth.userInfoRequest(server, client, first.access_token, HTTP)
    expect(await oauth.processUserInfoResponse(server, client, user.id, info)).toMatchObject({ email: user.email })

    const refresh = String(first.refresh_token)
    const refreshed = await oauth.refreshTokenGrantRequest(server, client, authentication, refresh, HTTP)
    const second = await oauth.processRefreshTokenResponse(server, client, refreshed)
    expect(oauth.getValidatedIdTokenClaims(second)).toMatchObject({ sub: user.id })
    const revocation = { ...HTTP, additionalParameters: { token_type_hint: 'refresh_token' } }
    const revoked = await oauth.revocationRequest(
      server,
      client,
      authentication,
      String(second.refresh_token),
      revocation,
    )
    await oauth.processRevocationResponse(revoked)
    const again = oauth.userInfoRequest(server, client, second.access_token, HTTP)
    expect((await again).status).toBe(401)
  })
})
