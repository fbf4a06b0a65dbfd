import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { backupsOf } from '../../../db/sqlite/backup/create.ts'
import { listBackups } from '../../../db/sqlite/backup/manifest.ts'
import { keysOf } from '../../../db/sqlite/inspect/auth.ts'
import { canUnseal } from '../../../services/auth/keys/sealing.ts'
import { quoted } from '../../terminal/shell.ts'
import { count, counted } from '../../terminal/terminal.ts'
import { type Check, failed, ok, skipped, warning } from './check.ts'
import { withDatabase } from './databases.ts'

const DAY = 86_400_000
/** Default if the settings are not valid. */
const KEY_AGE_MAX = 90 * DAY
const KEY_LEAD = 120_000
/** A pending key this late after its planned activation is stuck. */
const KEY_LATE_AFTER = 300_000
const BACKUP_AGE_MAX = 7 * DAY
const MAILS_MAX = 100

export const upkeepChecks: Check[] = [
  {
    id: 'keys.open',
    describes: '`CH202_SECRET` decrypts every signing key',
    run: withDatabase('auth', (database, { secrets }) => {
      const opensKey = canUnseal(secrets.CH202_SECRET ?? [])
      const keys = keysOf(database)
      if (keys.length === 0) return skipped('There is no signing key yet: the next start creates one')
      if (!secrets.CH202_SECRET?.length) return skipped('CH202_SECRET is not set on this machine')
      const sealedKeys = keys.filter(({ kid, sealed }) => !opensKey(kid, sealed))
      if (sealedKeys.length === 0)
        return ok(`CH202_SECRET decrypts ${keys.length === 1 ? 'the signing key' : `all ${keys.length} signing keys`}`)
      return failed(
        `CH202_SECRET does not decrypt ${sealedKeys.map(({ kid }) => kid).join(', ')}: another secret encrypted ${sealedKeys.length === 1 ? 'it' : 'them'}`,
        'ch202 config show --origin',
      )
    }),
  },
  {
    id: 'keys.age',
    describes: 'the active signing key is younger than `SIGNING_KEY_MAX_AGE`',
    run: withDatabase('auth', (database, { config, now }) => {
      const keys = keysOf(database)
      const active = keys.find(({ status }) => status === 'active')
      if (!active) return skipped('No signing key is active yet: the next start creates one')
      const age = now - active.created_at
      if (age < -DAY)
        return warning(
          'The signing key was created in the future (clock skew); it will rotate too late',
          'ch202 keys rotate',
        )
      const message = `The signing key is ${daysOf(age)} old`
      if (age <= (config?.signingKeyMaxAge ?? KEY_AGE_MAX)) return ok(message)
      const pending = keys.find(({ status }) => status === 'pending')
      const late = pending && now - pending.created_at > (config?.signingKeyLead ?? KEY_LEAD) + KEY_LATE_AFTER
      if (pending && !late) return ok(`${message}; the next one is published and becomes active soon`)
      return warning(message, 'ch202 keys rotate')
    }),
  },
  {
    id: 'backup.age',
    describes: 'the last verified backup is younger than 7 days',
    run: ({ dataDir, files, has, now }) => {
      if (!files.some(({ path }) => has(path))) return skipped('There is nothing to back up yet')
      const { backups } = listBackups(backupsOf(dataDir))
      const verified = backups.find(({ verified_at }) => verified_at !== null)
      const command = 'ch202 backup create && ch202 backup verify'
      if (!verified) return warning(unverified(backups.length), command)
      const age = now - Date.parse(verified.created_at)
      const message = `The last verified backup is ${daysOf(age)} old`
      return age > BACKUP_AGE_MAX ? warning(message, command) : ok(message)
    },
  },
  {
    id: 'mail.files',
    describes: `emails do not pile up as files: a warning above ${MAILS_MAX}`,
    run({ config, dataDir }) {
      const mails = mailsIn(join(dataDir, 'mail'))
      if (mails <= MAILS_MAX) return ok(`${counted(mails, 'email is', 'emails are')} stored as files`)
      const command = config?.smtpUrl === undefined ? 'SMTP_URL=smtps://…' : `rm ${quoted(join(dataDir, 'mail'))}/*.eml`
      return warning(`${count(mails)} emails are stored as files, with the links in them`, command)
    },
  },
]

function unverified(backups: number): string {
  if (backups === 0) return 'There is no backup'
  return backups === 1 ? 'The only backup is not verified' : `None of the ${count(backups)} backups is verified`
}

/** @param age milliseconds; negative if the clock was set back */
function daysOf(age: number): string {
  return counted(Math.max(0, Math.floor(age / DAY)), 'day')
}

function mailsIn(directory: string): number {
  try {
    return readdirSync(directory).filter((name) => name.endsWith('.eml')).length
  } catch {
    return 0
  }
}
