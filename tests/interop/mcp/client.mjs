// An MCP client on the machine of a person. It prints the address at which they sign in, and then the answer of a tool.
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

const { APP_URL, CLIENT_ID, RESOURCE } = process.env
const stored = {}
const provider = {
  redirectUrl: `${APP_URL}/callback`,
  clientMetadata: { client_name: 'assistant', redirect_uris: [`${APP_URL}/callback`] },
  // Registered before: Ch202 has no dynamic registration.
  clientInformation: () => ({ client_id: CLIENT_ID }),
  state: () => {
    stored.state = randomUUID()
    return stored.state
  },
  tokens: () => stored.tokens,
  saveTokens: (tokens) => {
    stored.tokens = tokens
  },
  codeVerifier: () => stored.verifier,
  saveCodeVerifier: (verifier) => {
    stored.verifier = verifier
  },
  redirectToAuthorization: (address) => console.log(`Open ${address}`),
}

/** @returns the code with which the person came back */
function code() {
  return new Promise((resolve, reject) => {
    const server = createServer((request, response) => {
      const answer = new URL(request.url, APP_URL)
      if (answer.pathname !== '/callback') return response.writeHead(404).end()
      response.end('You can close this page')
      server.close()
      if (answer.searchParams.get('state') === stored.state) resolve(answer.searchParams.get('code'))
      else reject(new Error('The answer belongs to another request'))
    })
    server.listen(new URL(APP_URL).port, '127.0.0.1')
  })
}

async function connect() {
  const client = new Client({ name: 'assistant', version: '1.0.0' })
  const transport = new StreamableHTTPClientTransport(new URL(RESOURCE), { authProvider: provider })
  try {
    await client.connect(transport)
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error
    await transport.finishAuth(await code())
    return await connect()
  }
  return client
}

for (const isSecond of [false, true]) {
  // The server refuses a token that it does not know, and the client refreshes it.
  if (isSecond) stored.tokens.access_token = 'expired'
  const client = await connect()
  const { content } = await client.callTool({ name: 'whoami' })
  console.log(content[0].text)
  await client.close()
}
process.exit()
