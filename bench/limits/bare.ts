import { Database } from 'bun:sqlite'
import { Elysia, t } from 'elysia'

// The lower bound of a response: an Elysia app with one SQLite file whose routes parse the same requests, give the answers
// of ours, and do nothing else. `bun bench/limits/bare.ts <port> <file> <answers as JSON>`

const [port = '0', file = ':memory:', answersJson = '{}'] = process.argv.slice(2)
const answers: Record<'validate' | 'user' | 'modules', object> = JSON.parse(answersJson)

const database = new Database(file, { create: true, strict: true })
database.run('PRAGMA journal_mode = WAL')
database.run('CREATE TABLE IF NOT EXISTS hits (id INTEGER PRIMARY KEY, at INTEGER)')

new Elysia()
  .get('/health', () => ({ status: 'ok' }))
  .post('/api/v1/auth/validate-token', () => answers.validate, { body: t.Object({ token: t.String() }) })
  .get('/api/v1/users/:user_id', () => answers.user)
  .get('/api/v1/modules/', () => answers.modules)
  .listen({ port: Number(port), hostname: '127.0.0.1' })
