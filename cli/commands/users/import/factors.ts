import type { Api } from '../../../client/api.ts'
import { Failure } from '../../../exit.ts'
import type { Batch, Line } from './batches.ts'
import type { ImportedApp } from './record/imported-factor.ts'
import type { SkippedField } from './record/record.ts'
import type { Outcome } from './retry.ts'
import { countSkipped, type SkippedCounts } from './skipped-fields.ts'

/** Users whose apps are sent at the same time. */
const AT_ONCE = 8
/** Tries of one app while auth does not answer, or does not know yet that the email is verified. */
const TRIES = 6
/** Milliseconds before the second try; each further pause is twice as long. */
const FIRST_PAUSE = 200

/** The counts that adding factors changes. */
interface FactorCounts {
  factors?: number
  skippedFields: SkippedCounts
}

/** Adds the apps of imported users. Adding one again changes nothing, so an import can be resumed or repeated. */
export class FactorSender {
  constructor(private readonly api: Api) {}

  /**
   * Adds the apps of the users of a batch who were created, or whom an update found.
   * @throws Failure if auth stays unreachable or refuses the credential
   */
  async send({ lines }: Batch, outcomes: readonly Outcome[], counts: FactorCounts): Promise<void> {
    const queue = lines.entries()
    let failure: unknown
    const worker = async () => {
      for (const [at, line] of queue) {
        const { id, status } = outcomes[at] ?? {}
        if (failure !== undefined || !line.record.apps || id === undefined) continue
        if (status === 'created' || status === 'updated' || status === 'unchanged')
          await this.addApps(line, line.record.apps, id, counts).catch((error: unknown) => {
            failure ??= error
          })
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    if (failure !== undefined) throw failure
  }

  private async addApps(line: Line, apps: readonly ImportedApp[], userId: string, counts: FactorCounts) {
    const skipped = new Set<SkippedField>()
    for (const app of apps) {
      const result = await this.addApp(userId, app, line.record.user.email_verified === true)
      if (result === 'added') counts.factors = (counts.factors ?? 0) + 1
      else if (result !== 'taken') skipped.add(result)
    }
    countSkipped(counts.skippedFields, [...skipped])
  }

  /** @param isVerified whether the file says so: then auth may only not have learned it yet */
  private async addApp(
    userId: string,
    app: ImportedApp,
    isVerified: boolean,
  ): Promise<'added' | 'taken' | 'factor_kind' | 'factor_unverified'> {
    for (let tries = 1; ; tries++) {
      try {
        await this.api.auth((auth) => auth.admin.users({ user_id: userId }).factors.post({ ...app }))
        return 'added'
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        const { code, errors = [], retryable = false } = error.details
        if (errors.some((one) => one.field === 'secret' && one.code === 'taken')) return 'taken'
        const isEarly = code === 'email_not_verified' && isVerified
        if (tries < TRIES && (retryable || isEarly)) await Bun.sleep(FIRST_PAUSE * 2 ** (tries - 1))
        else if (code === 'email_not_verified') return 'factor_unverified'
        else if (code === 'validation_failed') return 'factor_kind'
        // Someone has deleted the user meanwhile.
        else if (code === 'user_not_found') return 'taken'
        else throw error
      }
    }
  }
}
