// An MCP server that takes access tokens of Ch202.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { getOAuthProtectedResourceMetadataUrl, mcpAuthMetadataRouter } from '@modelcontextprotocol/sdk/server/auth/router.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import express from 'express'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const { ISSUER, RESOURCE } = process.env
const resource = new URL(RESOURCE)
const metadata = await (await fetch(`${ISSUER}/.well-known/oauth-authorization-server`)).json()
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri))

const verifier = {
  async verifyAccessToken(token) {
    const { payload } = await jwtVerify(token, keys, { issuer: ISSUER, audience: resource.href, typ: 'at+jwt' })
    const { client_id: clientId, exp: expiresAt, scope, sub } = payload
    return { token, clientId, scopes: scope.split(' '), expiresAt, extra: { sub } }
  },
}

const app = express()
app.use(mcpAuthMetadataRouter({ oauthMetadata: metadata, resourceServerUrl: resource, scopesSupported: ['orders:read'] }))
const resourceMetadataUrl = getOAuthProtectedResourceMetadataUrl(resource)
const bearer = requireBearerAuth({ verifier, requiredScopes: ['orders:read'], resourceMetadataUrl })
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
