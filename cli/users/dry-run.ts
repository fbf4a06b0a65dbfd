import { isKnownHash, isUnusableHash, KNOWN_HASHES } from '../../services/kit/hasher.ts'
import { Problem } from '../../services/kit/problem.ts'
import type { Tool } from '../command.ts'
import { EXIT, Failure } from '../exit.ts'
import { onStop } from '../signals.ts'
import { count, note, Progress, write } from '../terminal.ts'
import { type Counts, countLeft, leftBehind, leftOf, noCounts } from './counts.ts'
import { ErrorsFile, ErrorsShown, type Refusal } from './errors-file.ts'
import type { ImportSettings } from './import-options.ts'
import type { Input } from './input.ts'
import { rolesLeftOf } from './outcomes.ts'
import type { ImportLine, ImportRecord } from './record.ts'
import { Records } from './records.ts'
import { exitFor } from './summary.ts'

/** Reads and checks a file, and writes nothing but its errors: no service is asked, so who is there already is not known. */
export async function dryRun(tool: Tool, input: Input, settings: ImportSettings): Promise<void> {
  const startedAt = performance.now()
  const check = await checker()
  const refusals = settings.errors === null ? new ErrorsShown() : new ErrorsFile(settings.errors, 0)
  const progress = new Progress('records', tool.globals.quiet)
  const stop = new AbortController()
  onStop(
    () => {
      stop.abort()
      input.close()
    },
    () => process.exit(EXIT.interrupted),
  )
  const records = new Records(input, settings, tool.globals.quiet)
  const counts = noCounts()
  const found: Refusal[] = []
  let ready = 0
  try {
    for await (const record of records) {
      const refusal = check(record)
      if ('user' in record && !('fault' in record)) counts.roles.add(record.leftRoles)
      if (refusal) found.push(refusal)
      else if (!('fault' in record)) countLeft(counts, leftOf(record, true))
      if (refusal) counts.failed++
      else ready++
      if (stop.signal.aborted) break
      if (found.length === 1000) refusals.write(found.splice(0))
      if ((ready + counts.failed) % 1000 === 0) await pause(progress, ready + counts.failed, input)
    }
  } finally {
    progress.clear()
    refusals.write(found)
    refusals.close()
  }
  if (stop.signal.aborted) throw new Failure(EXIT.interrupted, 'Stopped: nothing was written', { code: 'interrupted' })
  if (!tool.globals.quiet) for (const said of [...leftBehind(counts), ...records.unusedMap]) note(`! ${said}`)
  await tellReady(tool, ready, counts, performance.now() - startedAt)
}

/** Others get their turn: a Ctrl-C, say. */
async function pause(progress: Progress, done: number, { part }: Input): Promise<void> {
  progress.update(done, part === undefined ? {} : { part })
  await Bun.sleep(0)
}

async function tellReady(tool: Tool, ready: number, { failed, roles }: Counts, duration: number): Promise<void> {
  const total = ready + failed
  if (tool.out.form.output === 'table')
    await write(`${count(ready)} can be imported, ${count(failed)} can’t; nothing was written`)
  else if (tool.out.form.output !== 'ids') {
    const duration_ms = Math.round(duration)
    await tool.out.record({ dry_run: true, ready, failed, total, changed: false, duration_ms, ...roles.read })
  }
  process.exitCode = exitFor(failed, total)
}

/** What the API would say of a record, as far as it can be said without looking who is there. */
async function checker() {
  const [{ strict, uuid, moment }, { userCreate }, { validator }, { Type }] = await Promise.all([
    import('../../services/kit/schema.ts'),
    import('../../services/kit/user.ts'),
    import('../../services/kit/validation.ts'),
    import('@sinclair/typebox'),
  ])
  const valid = validator(
    strict({
      ...userCreate.properties,
      id: Type.Optional(uuid()),
      created_at: Type.Optional(moment()),
      updated_at: Type.Optional(moment()),
    }),
  )
  return (record: ImportRecord) => {
    if ('fault' in record) {
      const { fault, place, user } = record
      return { place, code: 'unreadable', message: fault, ...(user ? { record: user } : {}) }
    }
    const { place, user } = record
    const left = rolesLeftOf(record)
    try {
      valid(user)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      return { place, code: error.code, message: [error.publicMessage].flat().join('; '), record: user, ...left }
    }
    const message = passwordFault(user)
    return message === undefined ? undefined : { place, code: 'validation_failed', message, record: user, ...left }
  }
}

function passwordFault({ password, password_hash }: ImportLine): string | undefined {
  if (password_hash === undefined) return undefined
  if (password !== undefined) return 'password_hash should not exist beside password'
  const hash = String(password_hash)
  return isKnownHash(hash) || isUnusableHash(hash) ? undefined : `password_hash must be ${KNOWN_HASHES}`
}
