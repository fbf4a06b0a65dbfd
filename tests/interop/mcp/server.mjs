// An MCP server that takes access tokens of Ch202.

import { InsufficientScopeError, InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import {
  getOAuthProtectedResourceMetadataUrl,
  mcpAuthMetadataRouter,
} from '@modelcontextprotocol/sdk/server/auth/router.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import express from 'express'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const { ISSUER, RESOURCE } = process.env
const resource = new URL(RESOURCE)
const metadata = await (await fetch(`${ISSUER}/.well-known/oauth-authorization-server`)).json()
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri))

const verifier = {
  async verifyAccessToken(token) {
    const checks = { issuer: ISSUER, audience: resource.href, typ: 'at+jwt' }
    const { payload } = await jwtVerify(token, keys, checks).catch((error) => {
      throw new InvalidTokenError(error.message)
    })
    const { client_id: clientId, exp: expiresAt, scope, sub } = payload
    const scopes = scope.split(' ')
    if (!scopes.includes('orders:read')) throw new InsufficientScopeError('The scope orders:read is missing')
    return { token, clientId, scopes, expiresAt, extra: { sub } }
  },
}

const app = express()
// Clients ask for these scopes.
const scopesSupported = ['orders:read', 'offline_access']
app.use(mcpAuthMetadataRouter({ oauthMetadata: metadata, resourceServerUrl: resource, scopesSupported }))
const resourceMetadataUrl = getOAuthProtectedResourceMetadataUrl(resource)
const bearer = requireBearerAuth({ verifier, resourceMetadataUrl })
app.all(resource.pathname, bearer, express.json(), async (request, response) => {
  const server = new McpServer({ name: 'orders', version: '1.0.0' })
  server.registerTool('whoami', { description: 'Who is signed in' }, ({ authInfo }) => ({
    content: [{ type: 'text', text: `Signed in as ${authInfo.extra.sub}` }],
  }))
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined })
  response.on('close', () => transport.close())
  await server.connect(transport)
  await transport.handleRequest(request, response, request.body)
})
app.listen(Number(resource.port), '127.0.0.1')
