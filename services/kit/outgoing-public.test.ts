import { afterAll, afterEach, describe, expect, test } from 'bun:test'
import { createServer as httpServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer as httpsServer } from 'node:https'
import { type AddressInfo, type Server, type Socket, createServer as tcpServer } from 'node:net'
import { join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { CERTIFICATE, CERTIFICATE_KEY } from '../../tests/support/servers/certificate.ts'
import { PROXY_VARIABLES, RecordingProxy } from '../../tests/support/servers/recording-proxy.ts'
import { callClientAddress, isPrivateHost, NotCalled, type PublicCallOptions } from './outgoing-public.ts'

const LARGEST = 10_000
const servers: Server[] = []

async function listening(server: Server): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}
afterAll(() => {
  for (const server of servers) server.close()
})

/** Requests that the servers received. */
const received: Pick<IncomingMessage, 'headers' | 'method' | 'url'>[] = []
afterEach(() => void received.splice(0))
const answer: RequestListener = (request, response) => {
  const { headers, method, url } = request
  received.push({ headers, method, url })
  let body = ''
  request.on('data', (chunk) => {
    body += chunk
  })
  request.on('end', () => response.end(`${method} ${url} ${body}`))
}
const plain = await listening(httpServer(answer))
const secure = await listening(httpsServer({ cert: CERTIFICATE, key: CERTIFICATE_KEY }, answer))

/** Calls a host whose address is that of the servers, and whose certificate is trusted. */
const ask = (url: string, options: Partial<PublicCallOptions> = {}) =>
  callClientAddress(url, {
    privateHosts: ['localhost'],
    resolve: async () => ['127.0.0.1'],
    ca: CERTIFICATE,
    most: LARGEST,
    patience: 20_000,
    ...options,
  })

const refusal = async (called: Promise<unknown>) => {
  const error = await called.then(
    () => undefined,
    (reason) => reason,
  )
  expect(error).toBeInstanceOf(NotCalled)
  return error.message
}

describe('16: an address of a client', () => {
  test('is called over https, with the name of the host, at the address that was checked', async () => {
    expect(await ask(`https://localhost:${secure}/keys?a=b#c`)).toEqual({ status: 200, text: 'GET /keys?a=b ' })
    const [{ headers } = { headers: {} }] = received
    expect(headers).toEqual({
      host: `localhost:${secure}`,
      accept: '*/*',
      'accept-encoding': 'identity',
      connection: 'close',
    })
  })

  test('gets a POST with a body', async () => {
    const body = { type: 'application/x-www-form-urlencoded', text: 'logout_token=ä' }
    expect((await ask(`https://localhost:${secure}/out`, { body })).text).toBe('POST /out logout_token=ä')
    expect(received[0]?.headers).toMatchObject({ 'content-type': body.type, 'content-length': '15' })
  })

  test('may be http for a host of OAUTH_PRIVATE_HOSTS alone', async () => {
    expect((await ask(`http://localhost:${plain}/`)).status).toBe(200)
    const privateHosts = ['other.example.org']
    expect(await refusal(ask(`http://localhost:${plain}/`, { privateHosts }))).toBe('It is not https')
    expect(received).toHaveLength(1)
  })

  test.each([
    'ftp://localhost/',
    'file:///etc/passwd',
    'data:,x',
    'unix:/run/x',
    'blob:https://localhost/',
    'nothing',
    '',
  ])('%p is not called', async (url) => {
    expect(await refusal(ask(url))).toBeString()
  })

  test('is not called with a user name or a password', async () => {
    for (const user of ['a', 'a:b', ':b'])
      expect(await refusal(ask(`https://${user}@localhost:${secure}/`))).toBe('It names a user')
    expect(received).toEqual([])
  })

  test('needs a certificate of its host, from an authority that is trusted', async () => {
    const privateHosts = ['other.example.org', '127.0.0.1', 'localhost']
    expect(await refusal(ask(`https://other.example.org:${secure}/`, { privateHosts }))).toBe('The call failed')
    expect(await refusal(ask(`https://127.0.0.1:${secure}/`, { privateHosts }))).toBe('The call failed')
    const { ca: _, ...untrusted } = { ca: '', privateHosts, most: LARGEST, patience: 20_000 }
    const resolve = async () => ['127.0.0.1']
    const url = `https://localhost:${secure}/`
    expect(await refusal(callClientAddress(url, { ...untrusted, resolve }))).toBe('The call failed')
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    try {
      expect(await refusal(callClientAddress(url, { ...untrusted, resolve }))).toBe('The call failed')
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    }
    expect(received).toEqual([])
  })
})

describe('check 50: an address that is not public is not called', () => {
  /** Spellings of addresses of this machine and its network, with the ports of the servers. */
  const HOSTS = `
    127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.1 0x7F.0.0.0x1 017700000001 0177.0.0.1 127.0.0.1. 127.1.
    %31%32%37.0.0.1 １２７.０.０.１ 127。0。0。1 127．0．0．1 ①②⑦.⓪.⓪.①
    0.0.0.0 0 0. 10.0.0.1 192.168.1.1 172.16.0.1 169.254.169.254 100.64.0.1 2852039166 0xa9fea9fe
    [::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:FFFF:127.0.0.1] [::127.0.0.1]
    [64:ff9b::127.0.0.1] [2002:7f00:1::] [2001:0:7f00:1::] [fe80::1] [fc00::1] [fd00:ec2::254] [ff02::1]
    [::ffff:0:127.0.0.1] [::ffff:8.8.8.8]
  `
  const hosts = HOSTS.split(/\s+/).filter(Boolean)
  test.each(hosts)('%s', async (host) => {
    const resolve = async () => {
      throw new Error('An address is not looked up')
    }
    for (const url of [`https://${host}:${secure}/`, `http://${host}:${plain}/`])
      expect(await refusal(ask(url, { privateHosts: [], resolve }))).toBeString()
    expect(received).toEqual([])
  })

  test.each(['localhost', 'LOCALHOST', 'localhost.', 'ﬀ.localhost', 'LOCALHOST.'])(
    '%s, by the real resolver',
    async (host) => {
      const options = { privateHosts: [], most: LARGEST, patience: 20_000, ca: CERTIFICATE }
      expect(await refusal(callClientAddress(`https://${host}:${secure}/`, options))).toMatch(/no address|not public/)
      expect(received).toEqual([])
    },
  )

  test.each([
    [['127.0.0.1']],
    [['::1']],
    [['::ffff:127.0.0.1']],
    [['169.254.169.254']],
    [['8.8.8.8', '127.0.0.1']],
    [['2606:4700::1', 'fe80::1%eth0']],
    [['8.8.8.8', 'no address']],
    [[]],
  ])('a host with the addresses %p', async (addresses) => {
    const resolve = async () => addresses
    expect(await refusal(ask(`https://localhost:${secure}/`, { privateHosts: [], resolve }))).toMatch(
      /no address|not public/,
    )
    expect(received).toEqual([])
  })

  test('a host is resolved once, so that another answer cannot lead elsewhere', async () => {
    const answers = [['127.0.0.1'], ['127.0.0.2'], ['::1']]
    const looked: string[] = []
    const resolve = async (host: string) => {
      looked.push(host)
      return answers[looked.length - 1] ?? []
    }
    expect((await ask(`https://localhost:${secure}/`, { resolve })).status).toBe(200)
    expect(looked).toEqual(['localhost'])
  })

  test('a redirect is an answer, and not followed', async () => {
    const to = await listening(
      httpServer((_, response) =>
        response.writeHead(302, { location: `http://127.0.0.1:${plain}/secret` }).end('moved'),
      ),
    )
    expect(await ask(`http://localhost:${to}/`)).toEqual({ status: 302, text: 'moved' })
    expect(received).toEqual([])
  })

  test.each([
    ['localhost', 'http://LOCALHOST./', true],
    ['LOCALHOST', 'https://localhost:1/', true],
    ['10.0.0.1', 'https://10.1/', true],
    ['::1', 'https://[0:0::1]/', true],
    ['[::1]', 'https://[::1]/', true],
    ['keys.internal', 'https://keys.internal.evil.example/', false],
    ['keys.internal', 'https://a.keys.internal/', false],
    ['keys.internal', 'https://keys.internal@evil.example/', false],
    ['', 'https://keys.internal/', false],
    ['', 'nothing', false],
  ])('OAUTH_PRIVATE_HOSTS=%s and %s: %p', (name, url, expected) => {
    expect(isPrivateHost(url, [name])).toBe(expected)
  })
})

describe('16: no proxy of the environment gets a call', () => {
  const proxy = new RecordingProxy()
  afterAll(() => proxy.close())

  // The client of Node reads these variables at the start of a process.
  test.each(['http', 'https'])('over %s', async (scheme) => {
    const url = `${scheme}://localhost:${scheme === 'http' ? plain : secure}/`
    const program = `
      import { callClientAddress } from ${JSON.stringify(join(import.meta.dir, 'outgoing-public.ts'))}
      const resolve = async () => ['127.0.0.1']
      const options = { privateHosts: ['localhost'], resolve, ca: process.env.CA, most: 9999, patience: 20000 }
      console.log((await callClientAddress(process.env.CALLED, options)).status)`
    const proxies = Object.fromEntries(PROXY_VARIABLES.map((name) => [name, proxy.url]))
    const env = { ...proxies, NODE_USE_ENV_PROXY: '1', CALLED: url, CA: CERTIFICATE, PATH: process.env.PATH ?? '' }
    const child = Bun.spawn([process.execPath, '-e', program], { env, stdout: 'pipe', stderr: 'inherit' })
    expect((await new Response(child.stdout).text()).trim()).toBe('200')
    expect(proxy.received).toEqual([])
  })
})

describe('16: an answer of a client has limits', () => {
  const raw = (send: (socket: Socket) => void) =>
    listening(
      tcpServer((socket) => {
        socket.on('error', () => undefined)
        socket.once('data', () => send(socket))
      }),
    )
  const head = (...lines: string[]) => ['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n')
  /** Writes without an end, as fast as the other side reads. @returns how much was written */
  const endless = (socket: Socket, piece: string) => {
    const more = () => {
      while (!socket.destroyed && socket.write(piece));
    }
    socket.on('drain', more)
    more()
  }
  const zeros = Buffer.alloc(5_000_000)

  const ANSWERS: [string, (socket: Socket) => void, string][] = [
    [
      'one byte too large',
      (to) => to.end(head(`content-length: ${LARGEST + 1}`) + 'x'.repeat(LARGEST + 1)),
      'The answer is too large',
    ],
    [
      'endless',
      (to) =>
        endless(
          to.on('close', () => undefined),
          head() + 'x'.repeat(60_000),
        ),
      'The answer is too large',
    ],
    [
      'gzip',
      (to) => to.end(Buffer.concat([Buffer.from(head('content-encoding: gzip')), gzipSync(zeros)])),
      'The answer is compressed',
    ],
    [
      'brotli',
      (to) => to.end(Buffer.concat([Buffer.from(head('content-encoding: br')), brotliCompressSync(zeros)])),
      'The answer is compressed',
    ],
    ['cut', (to) => to.end(`${head('content-length: 100')}x`), 'The answer is incomplete'],
    ['cut in chunks', (to) => to.end(`${head('transfer-encoding: chunked')}5\r\nab`), 'The answer is incomplete'],
    [
      'headers without an end',
      (to) => endless(to, `HTTP/1.1 200 OK\r\na: ${'b'.repeat(60_000)}\r\n`),
      'The call failed',
    ],
    ['no HTTP', (to) => to.end('hello\r\n\r\n'), 'The call failed'],
    ['closed', (to) => to.end(), 'The call failed'],
  ]
  test.each(ANSWERS)('%s', async (_, send, message) => {
    expect(await refusal(ask(`http://localhost:${await raw(send)}/`))).toBe(message)
  })

  test('as large as allowed', async () => {
    const port = await raw((to) => to.end(head(`content-length: ${LARGEST}`) + 'x'.repeat(LARGEST)))
    expect((await ask(`http://localhost:${port}/`)).text).toHaveLength(LARGEST)
  })

  const SLOW: [string, (socket: Socket) => void][] = [
    ['silent', () => undefined],
    [
      'one byte at a time',
      (to) => {
        to.write(head('content-length: 1000'))
        const timer = setInterval(() => to.write('x'), 20)
        to.on('close', () => clearInterval(timer))
      },
    ],
    ['interim answers without an end', (to) => endless(to, 'HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n')],
  ]
  test.each(SLOW)('%s: ends in time, and the connection with it', async (_, send) => {
    const closed = Promise.withResolvers<void>()
    const port = await raw((to) => {
      to.on('close', () => closed.resolve())
      send(to)
    })
    expect(await refusal(ask(`http://localhost:${port}/`, { patience: 300 }))).toBe('The call took too long')
    await closed.promise
  })

  test('a resolver that does not answer', async () => {
    const resolve = () => new Promise<string[]>(() => undefined)
    expect(await refusal(ask(`https://localhost:${secure}/`, { resolve, patience: 300 }))).toBe(
      'The host has no address',
    )
  })

  test('the next address is tried if one cannot be reached, but no request is sent twice', async () => {
    const resolve = async () => ['127.0.0.2', '127.0.0.1']
    expect((await ask(`https://localhost:${secure}/`, { resolve })).status).toBe(200)
    let connections = 0
    const port = await raw((to) => {
      connections++
      to.end('hello\r\n\r\n')
    })
    const twice = async () => ['127.0.0.1', '127.0.0.1']
    expect(await refusal(ask(`http://localhost:${port}/`, { resolve: twice }))).toBe('The call failed')
    expect(connections).toBe(1)
    const unreachable = async () => ['127.0.0.2', '127.0.0.3']
    expect(await refusal(ask(`https://localhost:${secure}/`, { resolve: unreachable }))).toBe(
      'The host cannot be reached',
    )
  })
})
