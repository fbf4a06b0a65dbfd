import { type Complaint, errorOf, excludedBy } from '../../../../services/kit/field-errors.ts'
import { isSupportedHash, isUnusableHash, SUPPORTED_HASHES } from '../../../../services/kit/passwords/hasher.ts'
import { invalid, Problem } from '../../../../services/kit/problem.ts'
import type { Environment } from '../../../client/settings.ts'
import { EXIT, Failure } from '../../../exit.ts'
import { Progress } from '../../../terminal/progress.ts'
import { onStop } from '../../../terminal/signals.ts'
import { count, note, write } from '../../../terminal/terminal.ts'
import type { Tool } from '../../../tool/command.ts'
import { ErrorsFile, ErrorsOnTerminal, type Refusal } from './errors-file.ts'
import type { Input } from './input.ts'
import type { ImportSettings } from './options.ts'
import type { ImportLine, ImportRecord } from './record/record.ts'
import { Records } from './records.ts'
import { type Counts, exitFor, noCounts, skippedRolesOf } from './report.ts'
import { countSkipped, skippedFieldsOf, skippedWarnings } from './skipped-fields.ts'

/** Reads and checks a file without asking a service, so conflicts with existing users stay unknown. */
export async function dryRun(tool: Tool, input: Input, settings: ImportSettings): Promise<void> {
  const startedAt = performance.now()
  const check = await createChecker(tool.env)
  const refusalLog = settings.errors === null ? new ErrorsOnTerminal() : new ErrorsFile(settings.errors, 0)
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
  const refusals: Refusal[] = []
  let ready = 0
  try {
    for await (const record of records) {
      const refusal = check(record)
      if ('user' in record && !('fault' in record)) counts.roles.add(record.skippedRoles)
      if (refusal) refusals.push(refusal)
      else if (!('fault' in record)) countSkipped(counts.skippedFields, skippedFieldsOf(record, true))
      if (refusal) counts.failed++
      else ready++
      if (stop.signal.aborted) break
      if (refusals.length === 1000) refusalLog.write(refusals.splice(0))
      if ((ready + counts.failed) % 1000 === 0) await yieldToSignals(progress, ready + counts.failed, input)
    }
  } finally {
    progress.clear()
    refusalLog.write(refusals)
    refusalLog.close()
  }
  if (stop.signal.aborted) throw new Failure(EXIT.interrupted, 'Stopped: nothing was imported', { code: 'interrupted' })
  if (!tool.globals.quiet)
    for (const warning of [...skippedWarnings(counts), ...records.unusedRoleMap]) note(`! ${warning}`)
  await printDryRun(tool, ready, counts, performance.now() - startedAt)
}

/** Lets signal handlers run, Ctrl-C for example. */
async function yieldToSignals(progress: Progress, done: number, { part }: Input): Promise<void> {
  progress.update(done, part === undefined ? {} : { part })
  await Bun.sleep(0)
}

async function printDryRun(tool: Tool, ready: number, { failed, roles }: Counts, duration: number): Promise<void> {
  const total = ready + failed
  if (tool.out.options.output === 'table')
    await write(`${count(ready)} can be imported, ${count(failed)} cannot; nothing was imported`)
  else if (tool.out.options.output !== 'ids') {
    const duration_ms = Math.round(duration)
    await tool.out.record({ dry_run: true, ready, failed, total, changed: false, duration_ms, ...roles.fields })
  }
  process.exitCode = exitFor(failed, total)
}

/** Default minimum length in characters, as in `services/kit/process/config.ts`. */
const PASSWORD_MIN = 8

/**
 * Creates a function that checks a record as the API would, except for conflicts with existing users. The minimum length
 * of a password is a setting of the service; the tool's own environment is used for it.
 */
async function createChecker({ PASSWORD_MIN_LENGTH }: Environment) {
  const minLength = Number(PASSWORD_MIN_LENGTH?.trim()) || PASSWORD_MIN
  const [{ strict, uuid, moment }, { userCreate }, { validator }, { readObject }, { passwordErrors }, { Type }] =
    await Promise.all([
      import('../../../../services/kit/schema/schema.ts'),
      import('../../../../services/kit/schema/user.ts'),
      import('../../../../services/kit/schema/validation.ts'),
      import('../../../../services/kit/messages/body.ts'),
      import('../../../../services/kit/passwords/policy.ts'),
      import('@sinclair/typebox'),
    ])
  const passwordErrorsOf = ({ email, name, password, password_hash, username }: ImportLine) => {
    const errors = passwordErrors('password', password, minLength, [email, username, name])
    const complaint = hashComplaint(password, password_hash)
    return complaint ? [...errors, errorOf('password_hash', complaint)] : errors
  }
  const validate = validator(
    strict({
      ...userCreate.properties,
      id: Type.Optional(uuid()),
      created_at: Type.Optional(moment()),
      updated_at: Type.Optional(moment()),
    }),
    passwordErrorsOf,
  )
  /** @throws Problem */
  const checkUser = (user: ImportLine) => {
    const body = readObject(JSON.stringify(user))
    if ('problem' in body) throw body.problem
    const errors = passwordErrorsOf(validate(body.value))
    if (errors.length > 0) throw invalid(errors)
  }
  return (record: ImportRecord) => {
    if ('fault' in record) {
      const { fault, place, user } = record
      return { place, code: 'unreadable', message: fault, ...(user ? { record: user } : {}) }
    }
    const { place, user } = record
    try {
      checkUser(user)
      return undefined
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      const message = [error.publicMessage].flat().join('; ')
      return { place, code: error.code, message, record: user, ...skippedRolesOf(record) }
    }
  }
}

function hashComplaint(password: unknown, hash: unknown): Complaint | undefined {
  if (hash !== undefined && password !== undefined) return excludedBy('password')
  if (typeof hash !== 'string') return undefined
  return isSupportedHash(hash) || isUnusableHash(hash)
    ? undefined
    : { code: 'format', message: `must be ${SUPPORTED_HASHES}` }
}
