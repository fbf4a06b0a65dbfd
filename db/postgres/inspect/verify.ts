import type { Check, OpensKey } from '../../sqlite/backup/checks.ts'
import type { DatabaseFile } from '../../sqlite/database-file.ts'
import { PostgresFailure } from '../failure.ts'
import { InspectedSchema, NO_TABLE } from './data.ts'
import { inspecting } from './server.ts'

/**
 * Checks a copy of a database that was restored elsewhere, without a change to it: that it can be reached, the schema and
 * the references of each service, the audit, the signing keys, and what it holds.
 * @param opens whether CH202_SECRET decrypts a private key
 */
export async function verifyCopy(url: string, databases: readonly DatabaseFile[], opens: OpensKey): Promise<Check[]> {
  const reached = await checked('database', async () => {
    const version = await inspecting(url, (tx) => tx.unsafe('SHOW server_version'))
    return { ok: true, message: `PostgreSQL ${version[0].server_version} answers` }
  })
  if (!reached.ok) return [reached]
  const checks = [reached]
  for (const database of databases) {
    const schema = new InspectedSchema(url, database)
    const current = await schemaCheck(schema, database)
    checks.push(current)
    // The tables of another version may have other columns.
    if (current.ok) checks.push(...(await contentChecks(schema, database, opens)))
  }
  return checks
}

function schemaCheck(schema: InspectedSchema, { name }: DatabaseFile): Promise<Check> {
  return checked(`${name}.schema`, async () => {
    const { edited, pending, unknown } = await schema.schema()
    if (unknown.length > 0)
      return { ok: false, message: `The schema ${name} is newer than this program: ${unknown.join(', ')}` }
    if (edited.length > 0)
      return { ok: false, message: `The schema ${name} was made by other migrations: ${edited.join(', ')}` }
    if (pending.length > 0)
      return { ok: false, message: `The schema ${name} lacks migrations of this version: ${pending.join(', ')}` }
    return { ok: true, message: `The schema ${name} is that of this version` }
  })
}

async function contentChecks(
  schema: InspectedSchema,
  { mainTables, name }: DatabaseFile,
  opens: OpensKey,
): Promise<Check[]> {
  const checks = [
    await checked(`${name}.references`, async () => {
      const orphans = await schema.orphans()
      if (orphans.length > 0) return { ok: false, message: `The schema ${name} has ${orphans.join(', ')}` }
      return { ok: true, message: 'Every reference has its row' }
    }),
    await checked(`${name}.rows`, async () => {
      const counts = Object.entries(await schema.counts(mainTables))
      return { ok: true, message: counts.map(([table, count]) => `${table}: ${count}`).join(', ') }
    }),
  ]
  if (name !== 'auth') return checks
  return [
    ...checks,
    await checked('signing_key', () => keyCheck(schema, opens)),
    await checked('audit', () => chainCheck(schema)),
  ]
}

type Result = Pick<Check, 'ok' | 'message'>

async function keyCheck(schema: InspectedSchema, opens: OpensKey): Promise<Result> {
  const keys = await schema.keys()
  if (keys.length === 0) return { ok: true, message: 'There is no signing key yet' }
  if (keys.every(({ kid, sealed }) => opens(kid, sealed)))
    return { ok: true, message: 'CH202_SECRET decrypts the signing key' }
  return { ok: false, message: 'CH202_SECRET does not decrypt the signing key: the copy was made with another secret' }
}

async function chainCheck(schema: InspectedSchema): Promise<Result> {
  const { fault, rows, unchained } = await schema.auditChain()
  if (fault !== undefined) return { ok: false, message: fault }
  const rest = unchained?.rows ? `; the next start chains ${unchained.rows} more` : ''
  return { ok: true, message: `The audit's chain of ${rows} ${rows === 1 ? 'row' : 'rows'} is intact${rest}` }
}

async function checked(id: string, run: () => Promise<Result>): Promise<Check> {
  try {
    return { id, ...(await run()) }
  } catch (error) {
    if (!(error instanceof PostgresFailure)) throw error
    const message = error.code === NO_TABLE ? 'A table is missing' : `${error.message} (${error.code})`
    return { id, ok: false, message }
  }
}
