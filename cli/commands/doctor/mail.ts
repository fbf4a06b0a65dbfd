import { counted } from '../../terminal/terminal.ts'
import { toTheSecond } from '../../terminal/times.ts'
import { MAIL_PROBLEMS } from '../mail/problems.ts'
import { type Check, ok, warning } from './check.ts'
import { withDatabase } from './databases.ts'

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
