import { counted } from '../../terminal/terminal.ts'
import { toTheSecond } from '../../terminal/times.ts'
import { MAIL_PROBLEMS, type Problem } from '../mail/problems.ts'
import { type Check, type DoctorContext, ok, skipped, warning } from './check.ts'
import { withDatabase } from './databases.ts'
import { pagesAreAway } from './pages.ts'

const LATE_AFTER = 600_000

export const mailWaiting: Check = {
  id: 'mail.waiting',
  describes: 'emails are sent within ten minutes, and the mail server does not refuse them because of a setting',
  run: withDatabase('auth', async (auth, { config, now }) => {
    const [trouble] = config?.smtpUrl === undefined ? [] : await auth.mailTroubles(Object.keys(MAIL_PROBLEMS))
    const [message, suggestion] = MAIL_PROBLEMS[trouble?.reason ?? ''] ?? []
    if (trouble && message !== undefined && suggestion !== undefined) {
      const at = trouble.at === null ? '' : `, at ${toTheSecond(new Date(trouble.at).toISOString())}`
      return warning(`${message} (${trouble.reason}${at})`, suggestion)
    }
    const { reasons, waiting } = await auth.waitingMails(now - LATE_AFTER)
    if (waiting === 0) return ok('No email is waiting')
    const why = reasons.length === 0 ? '' : ` (${reasons.join(', ')})`
    return warning(
      `${counted(waiting, 'email has', 'emails have')} been waiting for over ten minutes${why}`,
      'ch202 logs auth --level error',
    )
  }),
}

/**
 * Finds why emails reach nobody, as far as this machine knows; undefined if they should.
 * @throws nothing: without a database that can be read, the settings decide
 */
async function whyNoMail({ config, databaseUrl, files, has, open }: DoctorContext): Promise<Problem | undefined> {
  if (config?.smtpUrl === undefined) return ['Emails are only written to files', 'SMTP_URL=smtps://…']
  if (databaseUrl === undefined && !files.some(({ name, path }) => name === 'auth' && has(path))) return undefined
  try {
    const [trouble] = await (await open('auth')).mailTroubles(Object.keys(MAIL_PROBLEMS))
    return MAIL_PROBLEMS[trouble?.reason ?? '']
  } catch {
    // Another check reports the database.
    return undefined
  }
}

/** Makes a check of a setting that locks people out when emails reach nobody. */
function neededFor(
  effect: (config: NonNullable<DoctorContext['config']>) => { needed: boolean; warns: string; says: string },
) {
  return async (context: DoctorContext) => {
    if (!context.config) return skipped('The settings are not valid')
    const { needed, says, warns } = effect(context.config)
    const problem = needed ? await whyNoMail(context) : undefined
    return problem ? warning(`${warns}: ${problem[0]}`, problem[1]) : ok(says)
  }
}

export const mailSettingsChecks: Check[] = [
  {
    id: 'mail.verification',
    describes: 'emails are sent if `EMAIL_VERIFICATION` is `required`',
    run: neededFor(({ emailVerification }) => ({
      needed: emailVerification === 'required',
      warns: 'Nobody who registers can verify their email, and so log in',
      says: `EMAIL_VERIFICATION is ${emailVerification}`,
    })),
  },
  {
    id: 'mail.device_trust',
    describes: 'emails are sent if `DEVICE_TRUST` is not `off`, and what it covers',
    async run(context) {
      const areAway = context.config?.deviceTrust === 'pages' && (await pagesAreAway(context))
      return await neededFor(({ deviceTrust }) => ({
        needed: deviceTrust !== 'off' && !areAway,
        warns: `DEVICE_TRUST is ${deviceTrust}, and the code that confirms a new device does not arrive`,
        says: areAway
          ? 'DEVICE_TRUST is pages, but no pages run: no new device is confirmed'
          : DEVICE_TRUST[deviceTrust],
      }))(context)
    },
  },
]

const DEVICE_TRUST: Record<NonNullable<DoctorContext['config']>['deviceTrust'], string> = {
  off: 'DEVICE_TRUST is off: a stolen password is enough on any device',
  pages:
    'DEVICE_TRUST is pages: new devices are confirmed on the pages only, and a thief who calls the API with a stolen password is not stopped',
  all: 'DEVICE_TRUST is all: new devices are confirmed on the pages and by the API',
}
