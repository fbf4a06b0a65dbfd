import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SHELLS } from '../../cli/commands/completion/scripts.ts'
import { createUser, PASSWORD, type TestUser } from '../support/actors.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { addressSettings } from '../support/settings.ts'
import { openInstance } from '../support/shell.ts'
import { type Ended, runTool } from '../support/tool.ts'
import { sliced } from '../support/whole.ts'

setDefaultTimeout(120_000)

/** Names that anyone may register with, and that a shell would run if it evaluated them. */
const EVIL = '`touch$IFS./pwned`@evil.example'
const QUOTED = "o'brien@evil.example"

let instance: Awaited<ReturnType<typeof openInstance>>
let user: TestUser
let webhook: string
beforeAll(async () => {
  instance = await openInstance('completion', { CORS_ORIGINS: '' })
  const { system, shell } = instance
  user = await createUser(system, { username: 'zora', name: 'Zora Neale' })
  const hook = { headers: as.operator, body: { url: 'http://127.0.0.1:9/', types: ['module.disabled'] } }
  webhook = (await call(system.url.auth, 'POST /api/v1/admin/webhooks', hook)).body.id
  const post = (place: 'users' | 'modules', body: object) =>
    call(system.url[place], `POST /api/v1/${place}`, { headers: as.operator, body })
  for (const email of [EVIL, QUOTED]) expect((await post('users', { email, password: PASSWORD })).status).toBe(201)
  for (const name of ['reports', 'The shop', '--yes', EVIL]) {
    const client = { headers: as.operator, body: { name, scopes: ['users:read'] } }
    expect((await call(system.url.auth, 'POST /api/v1/admin/clients', client)).status).toBe(201)
  }
  await post('modules', { id: 'billing', name: 'Billing', description: 'Invoices' })
  const contexts = join(shell.env.XDG_CONFIG_HOME ?? '', 'ch202', 'contexts')
  mkdirSync(contexts, { recursive: true })
  writeFileSync(join(contexts, 'id.example.org:8443.json'), JSON.stringify(context('https://id.example.org:8443')))
})
afterAll(() => instance.close())

const context = (url: string, access_until = 9e15) => ({
  ...{ auth: url, users: url, modules: url, email: 'root@example.org', user_id: 'u', session_id: 's' },
  ...{ access_token: 'token-of-the-context', refresh_token: 'refresh', access_until, session_until: 9e15 },
})

/** Completes until something is offered: on a busy machine the tool reaches its time limit, and rightly offers nothing. */
function offeredInTime(words: string[]): ReturnType<typeof offered> {
  return eventually(async () => {
    const output = await offered(words)
    return output.values.length > 0 ? output : undefined
  }).catch(() => offered(words))
}

/** Completes the last of the words. */
async function offered(words: string[], env: Record<string, string> = {}): Promise<Ended & { values: string[] }> {
  const ended = await runTool(['complete', '--', ...words], { env: { ...instance.shell.env, ...env } })
  const lines = ended.stdout.split('\n').slice(0, -2)
  return { ...ended, values: lines.map((line) => line.split('\t')[0] ?? '') }
}

describe('complete', () => {
  test('offers every value that begins like the word', async () => {
    const { email, id, tokens } = user
    const table: [words: string[], values: string[]][] = [
      [['us'], ['users']],
      [
        ['users', 'se'],
        ['set-password', 'send-reset'],
      ],
      [
        ['-o', 'json', 'users', 'se'],
        ['set-password', 'send-reset'],
      ],
      [['users', 'nope', ''], []],
      [
        ['-o', 'js'],
        ['json', 'jsonl'],
      ],
      [['users', 'list', '--output=c'], ['--output=csv']],
      [['users', 'list', '--st'], ['--status']],
      [
        ['users', 'list', '--status', ''],
        ['active', 'disabled'],
      ],
      [['users', 'list', '--status=d'], ['--status=disabled']],
      [['users', 'create', 'x@example.org', '--role', 'A'], ['ADMIN']],
      [['users', 'list', '--search', ''], []],
      [['users', 'get', '--', '--no'], []],
      [['mail', 'preview', 'inv'], ['invitation']],
      [['mail', 'list', '--status', 'q'], ['queued']],
      [['mail', 'list', '--user', 'zor'], ['zora']],
      [['serve', 'auth', 'm'], ['modules']],
      [
        ['completion', ''],
        ['bash', 'zsh', 'fish'],
      ],
      [
        ['context', 'use', ''],
        ['local', 'id.example.org:8443'],
      ],
      [['logout', 'id'], ['id.example.org:8443']],
      [['users', 'create', ''], []],
      [['users', 'get', email.slice(0, 6)], [email]],
      [['users', 'get', 'zor'], ['zora']],
      [['users', 'get', 'nobody'], []],
      [['modules', 'get', ''], ['billing']],
      [['modules', 'get', 'x'], []],
      [
        ['clients', 'get', ''],
        ['reports', 'The shop', EVIL],
      ],
      [['clients', 'delete', 'rep'], ['reports']],
      [['clients', 'create', ''], []],
      [
        ['clients', 'create', 'x', '--scope', 'mod'],
        ['modules:read', 'modules:write', 'modules'],
      ],
      [['clients', 'update', 'x', '--scope=intro'], ['--scope=introspect']],
      [
        ['clients', 'create', 'x', '--grant', ''],
        ['authorization_code', 'refresh_token', 'client_credentials'],
      ],
      [['clients', 'create', 'x', '--auth-method', 'p'], ['private_key_jwt']],
      [['webhooks', 'create', 'http://x', '--types', 'module.d'], ['module.disabled']],
      [['webhooks', 'delete', ''], [webhook]],
      [['webhooks', 'deliveries', '--webhook', ''], [webhook]],
      [['sessions', 'revoke', '--user', email, ''], [tokens.session_id]],
      [['sessions', 'revoke', '--user', id, ''], [tokens.session_id]],
      [['sessions', 'list', '--user', 'zor'], ['zora']],
    ]
    const look = async ([words, values]: (typeof table)[number]) => {
      const output = values.length > 0 ? await offeredInTime(words) : await offered(words)
      expect([words, output.status, output.stderr, output.values]).toEqual([words, 0, '', values])
      expect([words, output.stdout.endsWith(':4\n')]).toEqual([words, true])
    }
    const rows = sliced(table, 4, ([words]) => words[0])
    for (let at = 0; at < rows.length; at += 3) await Promise.all(rows.slice(at, at + 3).map(look))
    expect((await offeredInTime(['users', 'get', 'zor'])).stdout).toBe('zora\tZora Neale\n:4\n')
    expect((await offered(['package', 'caddy', '--out', ''])).stdout).toBe(':0\n')
  })

  test('ends quickly, and prints nothing when it fails', async () => {
    const silent = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Promise<Response>(() => undefined) })
    const broken = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('<html>') })
    const url = (server: { port?: number }) => `http://127.0.0.1:${server.port}`
    const config = instance.shell.fresh()
    mkdirSync(join(config, 'ch202', 'contexts'), { recursive: true })
    writeFileSync(join(config, 'ch202', 'contexts', 'c.json'), '{')
    const table: [words: string[], env: Record<string, string>][] = [
      [['users', 'get', ''], { USERS_URL: url(silent) }],
      [['--url', url(silent), 'users', 'get', ''], {}],
      [['users', 'get', ''], { USERS_URL: url(broken) }],
      [['users', 'get', ''], { USERS_URL: 'http://127.0.0.1:1' }],
      [['users', 'get', ''], { USERS_URL: 'nonsense' }],
      [['users', 'get', ''], { OPERATOR_API_KEY: 'wrong' }],
      [['context', 'use', ''], { XDG_CONFIG_HOME: config }],
    ]
    for (const [words, env] of table) {
      const { status, stderr, stdout, took } = await offered(words, env)
      expect([words, env, status, stderr, stdout]).toEqual([words, env, 0, '', ':4\n'])
      expect([words, env, took < PROMPT]).toEqual([words, env, true])
    }
    const best = async (ask: () => Promise<Ended>) => {
      const times: number[] = []
      for (let n = 0; n < 3; n++) times.push((await ask()).cpu)
      return Math.min(...times)
    }
    const version = await best(() => runTool(['version']))
    // Time of the processor, which does not depend on other programs.
    const answered = await best(() => offered(['users', 'get', 'z']))
    expect(answered - version).toBeLessThan(350)
    await Promise.all([silent.stop(true), broken.stop(true)])
  })

  test('uses a session without refreshing it, because the shell may kill it at any moment', async () => {
    const seen: string[] = []
    const server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch({ headers, url }) {
        seen.push(`${new URL(url).pathname} ${headers.get('authorization')}`)
        return Response.json({ items: [{ email: 'ana@example.org' }] })
      },
    })
    const config = instance.shell.fresh()
    const file = join(config, 'ch202', 'contexts', 'c.json')
    mkdirSync(join(file, '..'), { recursive: true })
    writeFileSync(join(config, 'ch202', 'current.json'), '{"context":"c"}')
    const unset = { ...addressSettings(() => ''), OPERATOR_API_KEY: '', XDG_CONFIG_HOME: config }
    const look = async (until: number) => {
      writeFileSync(file, JSON.stringify(context(`http://127.0.0.1:${server.port}`, until)))
      return (await offered(['users', 'get', ''], unset)).values
    }
    expect([await look(9e15), seen]).toEqual([['ana@example.org'], ['/api/v1/users Bearer token-of-the-context']])
    expect([await look(0), seen.length]).toEqual([[], 1])
    expect(JSON.parse(readFileSync(file, 'utf8')).refresh_token).toBe('refresh')
    await server.stop(true)
  })

  test('is not listed as a command', async () => {
    const { stdout } = await runTool(['--help'], { env: instance.shell.env })
    expect([/^ {2}completion /m.test(stdout), /^ {2}complete /m.test(stdout)]).toEqual([true, false])
  })
})

/** A directory with these files in it; a shell's name stands for its script. */
function place(files: Record<string, string>): string {
  const path = instance.shell.fresh()
  mkdirSync(path)
  for (const [name, text] of Object.entries(files)) {
    const shell = SHELLS.find((one) => one === text)
    writeFileSync(
      join(path, name),
      shell ? readFileSync(join(import.meta.dir, `../../cli/commands/completion/ch202.${shell}`)) : text,
    )
  }
  return path
}

describe('completion', () => {
  test('prints the script of each shell', async () => {
    for (const shell of SHELLS) {
      const { status, stderr, stdout } = await runTool(['completion', shell])
      expect([shell, status, stderr, stdout]).toEqual([
        shell,
        0,
        '',
        readFileSync(join(import.meta.dir, `../../cli/commands/completion/ch202.${shell}`), 'utf8'),
      ])
    }
    expect((await runTool(['completion', 'tcsh'])).status).toBe(2)
    const { stdout } = await runTool(['completion', 'bash', '-o', 'json'])
    const script = readFileSync(join(import.meta.dir, '../../cli/commands/completion/ch202.bash'), 'utf8').trimEnd()
    expect(JSON.parse(stdout)).toEqual({ shell: 'bash', script })
  })

  test('in bash completes words that bash cuts, and quotes what it offers', async () => {
    const { email } = user
    const half = email.slice(0, email.indexOf('@') + 3)
    const rows: [line: string, cut: string, words: string[], reply: string[]][] = [
      ['ch202 users ge', 'ge', ['ch202', 'users', 'ge'], ['get']],
      [
        `ch202 users get ${half}`,
        '@ex',
        ['ch202', 'users', 'get', half.split('@')[0] ?? '', '@', 'ex'],
        ['@example.org'],
      ],
      ['ch202 users list --status=a', 'a', ['ch202', 'users', 'list', '--status', '=', 'a'], ['active']],
      ['ch202 users list --status=', '', ['ch202', 'users', 'list', '--status', '='], ['active', 'disabled']],
      ['ch202 logout id.example.org:8', '8', ['ch202', 'logout', 'id.example.org', ':', '8'], ['8443']],
      ['ch202 users get o', 'o', ['ch202', 'users', 'get', 'o'], ["o\\'brien@evil.example"]],
      ['ch202 users get \\`', '\\`', ['ch202', 'users', 'get', '\\`'], ['\\`touch\\$IFS./pwned\\`@evil.example']],
      ['ch202 users get $(touch pwned)', 'pwned)', ['ch202', 'users', 'get', '$(touch pwned)'], []],
      ['ch202 users get `touch pwned`x', '`touch pwned`x', ['ch202', 'users', 'get', '`touch pwned`x'], []],
    ]
    const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`
    const lines = rows.map(
      ([line, cut, words]) =>
        `COMP_LINE=${quoted(line)} COMP_POINT=\${#COMP_LINE} COMP_WORDS=(${words.map(quoted).join(' ')})
         COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _ch202 ch202 ${quoted(cut)}; printf '%s\\n' "\${COMPREPLY[*]}"`,
    )
    const path = place({ 'script.bash': 'bash', 'lines.bash': lines.join('\n') })
    const { stderr, stdout } = await instance.shell.run(`bash --norc -c '. ./script.bash; . ./lines.bash'`, {
      cwd: path,
    })
    expect(stdout.split('\n').slice(0, -1)).toEqual(rows.map(([, , , reply]) => reply.join(' ')))
    expect([stderr, existsSync(join(path, 'pwned'))]).toEqual(['', false])
  })

  test('in bash runs nothing but the line that was typed with Tab and Enter', async () => {
    const path = place({ 'script.bash': 'bash' })
    const line = `cd ${path} && PS1='ready> ' bash --norc --noprofile -i`
    const { screen } = await instance.shell.inTerminal(line, {
      typed: [
        [
          /ready> /,
          '. ./script.bash; shown() { printf "<%s>\\n" "$@"; }; complete -o default -F _ch202 shown; clear\r',
        ],
        [/ready> /, 'ch202 users get \\`to\t -o ids | cat\r'],
        [/[0-9a-f]{8}-/, 'exit\r'],
      ],
    }).ended
    expect([/^[0-9a-f]{8}-[0-9a-f-]+$/m.test(screen), existsSync(join(path, 'pwned'))]).toEqual([true, false])
  })

  test('in zsh passes on the words and offers the values', async () => {
    const rows: [words: string[], said: string[]][] = [
      [['users', 'get', 'zor'], ['zora:Zora Neale']],
      [['users', 'get', '\\`'], [EVIL]],
      [
        ['users', 'list', '--status', ''],
        ['active', 'disabled'],
      ],
      [['logout', 'id'], ['id.example.org\\:8443:root@example.org at https\\://id.example.org\\:8443']],
    ]
    const lines = rows.map(
      ([words]) =>
        `words=(ch202 ${words.map((word) => `'${word}'`).join(' ')}) CURRENT=\${#words} PREFIX=$words[-1]; _ch202`,
    )
    const stubs = `compdef() { :; }\n_describe() { print -rl -- "\${(@P)2}"; }\n_files() { print files; }\n`
    const path = place({ 'script.zsh': 'zsh', 'lines.zsh': `${stubs}. ./script.zsh\n${lines.join('\n')}\n` })
    const { stderr, stdout } = await instance.shell.run('zsh -f lines.zsh', { cwd: path })
    expect([stdout.split('\n').slice(0, -1), stderr]).toEqual([rows.flatMap(([, expected]) => expected), ''])
    expect(existsSync(join(path, 'pwned'))).toBe(false)
  })

  test('in fish offers the values with their descriptions', async () => {
    const path = place({
      'script.fish': 'fish',
      'lines.fish': `. ./script.fish
complete -C 'ch202 users get zor'
complete -C 'ch202 users get \\\\\`'
complete -C 'ch202 users list --status=d'
complete -C 'ch202 package caddy --out ./scr'
`,
    })
    const { stderr, stdout } = await instance.shell.run('fish --no-config lines.fish', { cwd: path })
    const lines = stdout.split('\n').map((line) => line.trim())
    expect([lines[0], stderr]).toEqual(['zora\tZora Neale', ''])
    expect(lines.slice(1, 4)).toEqual([EVIL, '--status=disabled', './script.fish'])
    expect(existsSync(join(path, 'pwned'))).toBe(false)
  })
})
