import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { logIn, PASSWORD } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import type { System } from '../support/system.ts'

/** The users of the examples, restored before each example that changes something. */
const USERS = [
  { email: 'admin@example.org', username: 'admin', name: 'Ada Admin', roles: ['USER', 'ADMIN'] },
  { email: 'root@example.org', username: 'root', name: 'Root', roles: ['USER', 'ADMIN'] },
  { email: 'ana@example.org', username: 'ana', name: 'Ana', roles: ['USER'] },
  { email: 'ben@example.org', username: 'ben', name: 'Ben', roles: ['USER'] },
  { email: 'cleo@example.org', username: 'cleo', name: 'Cleo', roles: ['USER', 'GUEST'] },
]

/** The modules of the examples; `billing` is enabled for ana. */
const MODULES = [
  { id: 'billing', name: 'Billing', description: 'Invoices' },
  { id: 'reports', name: 'Reports', description: 'Charts' },
]

/** The files that the examples read, in the directory where they run. */
const FILES: Record<string, (hash: string) => string> = {
  'users.jsonl': (hash) => `${JSON.stringify({ email: 'dora@example.org', password_hash: hash })}\n`,
}

/** Commands to run before an example. */
export const BEFORE: readonly [example: RegExp, line: string][] = [
  [
    /\b(logout|context (use|remove))\b/,
    `printf '${PASSWORD}' | ch202 login "$AUTH_URL" --email root@example.org --password-stdin --name staging`,
  ],
  [
    /\bkeys rotate --alg RS256\b/,
    'ch202 clients create an-app-of-the-tests --redirect-uri https://app.example.org/callback',
  ],
  [/\bbackup (verify --remote|push|pull)\b/, 'ch202 backup create -q && ch202 backup push -q'],
  [/\baudit verify audit\.jsonl\b/, 'ch202 audit export > audit.jsonl'],
  [/\bwebhooks (delete|enable|disable)\b/, 'ch202 webhooks create http://127.0.0.1:9/hook'],
]

/** The client of the examples. */
const CLIENT = { name: 'reports', scopes: ['users:read'] }

/** Users and modules that the examples create, and that must not exist before. */
const CREATED_BY_EXAMPLES: readonly [example: RegExp, away: string][] = [
  [/users (?:create|invite) (\S+@\S+)/, '/users/by-email/$1'],
  [/modules create (\S+)/, '/modules/$1'],
]

/** Creates the users, modules and files of the examples in a running instance. */
export async function prepare(system: System, directory: string) {
  const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
  mkdirSync(directory, { recursive: true })
  const send = async (request: string, fine: number[], body?: unknown, headers: Record<string, string> = {}) => {
    const place = system.url[request.includes('/modules') ? 'modules' : request.includes('/admin') ? 'auth' : 'users']
    const answer = await call(place, request.replace(' ', ' /api/v1'), {
      headers: { ...as.operator, ...headers },
      body,
    })
    if (!fine.includes(answer.status)) throw new Error(`${request}: ${answer.status} ${answer.text}`)
    return answer
  }

  const users = async () => {
    const lines = USERS.map((user) => JSON.stringify({ ...user, status: 'active', password_hash })).join('\n')
    const { text } = await send('POST /users/import?on_conflict=update', [200], lines, {
      'content-type': 'application/x-ndjson',
    })
    if (text.includes('"failed"')) throw new Error(text)
  }

  /** Restores everything that `example` uses, and removes everything that it creates. */
  const again = async (example: string) => {
    await users()
    for (const module of MODULES) await send('POST /modules', [201, 409], module)
    for (const [pattern, path] of CREATED_BY_EXAMPLES) {
      const match = example.match(pattern)
      if (!match) continue
      const { body } = await send(`GET ${path.replace('$1', match[1] ?? '')}`, [200, 404])
      if (body.id) await send(`DELETE /${path.split('/')[1]}/${body.id}`, [204])
    }
    if (example.includes('clients')) await send('POST /admin/clients', [201, 409], CLIENT)
    if (example.includes('sessions')) await logIn(system, 'ana')
    for (const [name, text] of Object.entries(FILES)) writeFileSync(join(directory, name), text(password_hash))
  }
  await again('')
  return { again }
}
