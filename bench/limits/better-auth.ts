import { Database } from 'bun:sqlite'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'

// better-auth with its defaults, except the rate limiter, on bun:sqlite: `bun bench/limits/better-auth.ts <port> <file>`

const [port = '0', file = ':memory:'] = process.argv.slice(2)
const database = new Database(file, { create: true })
// As durable as ours, and readers do not block the writer.
database.run('PRAGMA journal_mode = WAL')
database.run('PRAGMA synchronous = FULL')
const options = {
  database,
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  baseURL: `http://127.0.0.1:${port}`,
  secret: crypto.randomUUID() + crypto.randomUUID(),
}
const { runMigrations } = await getMigrations(options)
await runMigrations()
const { handler } = betterAuth(options)

Bun.serve({
  port: Number(port),
  hostname: '127.0.0.1',
  fetch: (request) => (request.url.endsWith('/health') ? new Response('ok') : handler(request)),
})
