import { type Complaint, errorOf, excludedBy } from '../../../../services/kit/field-errors.ts'
import { isKnownHash, isUnusableHash, KNOWN_HASHES } from '../../../../services/kit/passwords/hasher.ts'
import { invalid, Problem } from '../../../../services/kit/problem.ts'
import type { Environment } from '../../../client/settings.ts'
import type { Tool } from '../../../command.ts'
import { EXIT, Failure } from '../../../exit.ts'
import { onStop } from '../../../terminal/signals.ts'
import { count, note, Progress, write } from '../../../terminal/terminal.ts'
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
  const check = await checker(tool.env)
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
  if (!tool.globals.quiet) for (const warning of [...leftBehind(counts), ...records.unusedMap]) note(`! ${warning}`)
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

/** Characters, as `services/kit/process/config.ts` has it. */
const PASSWORD_LEAST = 8

/**
 * What the API would say of a record, as far as it can be said without looking who is there. How long a password must be
 * is a setting of the service: it is taken to be that of where the tool runs.
 */
async function checker({ PASSWORD_MIN_LENGTH }: Environment) {
  const least = Number(PASSWORD_MIN_LENGTH?.trim()) || PASSWORD_LEAST
  const [{ strict, uuid, moment }, { userCreate }, { validator }, { readObject }, { passwordErrors }, { Type }] =
    await Promise.all([
      import('../../../../services/kit/schema/schema.ts'),
      import('../../../../services/kit/schema/user.ts'),
      import('../../../../services/kit/schema/validation.ts'),
      import('../../../../services/kit/messages/body.ts'),
      import('../../../../services/kit/passwords/policy.ts'),
      import('@sinclair/typebox'),
    ])
  const passwordFaults = ({ email, name, password, password_hash, username }: ImportLine) => {
    const errors = passwordErrors('password', password, least, [email, username, name])
    const complaint = hashComplaint(password, password_hash)
    return complaint ? [...errors, errorOf('password_hash', complaint)] : errors
  }
  const valid = validator(
    strict({
      ...userCreate.properties,
      id: Type.Optional(uuid()),
      created_at: Type.Optional(moment()),
      updated_at: Type.Optional(moment()),
    }),
    passwordFaults,
  )
  /** @throws Problem */
  const check = (user: ImportLine) => {
    const body = readObject(JSON.stringify(user))
    if ('problem' in body) throw body.problem
    const errors = passwordFaults(valid(body.value))
    if (errors.length > 0) throw invalid(errors)
  }
  return (record: ImportRecord) => {
    if ('fault' in record) {
      const { fault, place, user } = record
      return { place, code: 'unreadable', message: fault, ...(user ? { record: user } : {}) }
    }
    const { place, user } = record
    try {
      check(user)
      return undefined
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      const message = [error.publicMessage].flat().join('; ')
      return { place, code: error.code, message, record: user, ...rolesLeftOf(record) }
    }
  }
}

function hashComplaint(password: unknown, hash: unknown): Complaint | undefined {
  if (hash !== undefined && password !== undefined) return excludedBy('password')
  if (typeof hash !== 'string') return undefined
  return isKnownHash(hash) || isUnusableHash(hash) ? undefined : { code: 'format', message: `must be ${KNOWN_HASHES}` }
}
