import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { backupsOf } from '../../../db/sqlite/backup/create.ts'
import { listBackups } from '../../../db/sqlite/backup/manifest.ts'
import { keysOf } from '../../../db/sqlite/inspect/index.ts'
import { signingKeyOpener } from '../../../services/auth/keys/can-unseal.ts'
import { count } from '../../terminal/terminal.ts'
import { type Check, failed, ok, skipped, warning } from './check.ts'
import { withDatabase } from './databases.ts'

const DAY = 86_400_000
/** Where the settings are not valid. */
const KEY_OLD = 90 * DAY
const KEY_LEAD = 120_000
/** A pending key that should have signed so long ago does not come to it. */
const KEY_LATE = 300_000
const BACKUP_OLD = 7 * DAY
const MAILS_MANY = 100

export const upkeepChecks: Check[] = [
  {
    id: 'keys.open',
    looksAt: '`CH202_SECRET` opens every signing key',
    look: withDatabase('auth', (examined, { secrets }) => {
      const opens = signingKeyOpener(secrets.CH202_SECRET ?? [])
      const keys = keysOf(examined)
      if (keys.length === 0) return skipped('There is no signing key yet: the next start makes one')
      if (!secrets.CH202_SECRET?.length) return skipped('CH202_SECRET is not known here')
      const closed = keys.filter(({ kid, sealed }) => !opens(kid, sealed))
      if (closed.length === 0) return ok(`CH202_SECRET opens ${keys.length === 1 ? 'the key' : `all ${keys.length}`}`)
      return failed(
        `CH202_SECRET does not open ${closed.map(({ kid }) => kid).join(', ')}: it is not the one that sealed them`,
        'ch202 config show --origin',
      )
    }),
  },
  {
    id: 'keys.age',
    looksAt: 'the key that signs is younger than `SIGNING_KEY_MAX_AGE`',
    look: withDatabase('auth', (examined, { config, now }) => {
      const keys = keysOf(examined)
      const active = keys.find(({ status }) => status === 'active')
      if (!active) return skipped('No key signs yet: the next start makes one')
      const age = now - active.created_at
      if (age < -DAY) return warning('The signing key is of the future: it grows old too late', 'ch202 keys rotate')
      const said = `The signing key is ${count(Math.max(0, Math.floor(age / DAY)))} days old`
      if (age <= (config?.signingKeyMaxAge ?? KEY_OLD)) return ok(said)
      const pending = keys.find(({ status }) => status === 'pending')
      const late = pending && now - pending.created_at > (config?.signingKeyLead ?? KEY_LEAD) + KEY_LATE
      if (pending && !late) return ok(`${said}; the next one is published, and signs soon`)
      return warning(said, 'ch202 keys rotate')
    }),
  },
  {
    id: 'backup.age',
    looksAt: 'the last backup that was verified is younger than 7 days',
    look: ({ dataDir, files, has, now }) => {
      if (!files.some(({ path }) => has(path))) return skipped('There is nothing to back up yet')
      const { backups } = listBackups(backupsOf(dataDir))
      const verified = backups.find(({ verified_at }) => verified_at !== null)
      const mend = 'ch202 backup create && ch202 backup verify'
      if (!verified)
        return warning(
          backups.length === 0 ? 'There is no backup' : `None of ${count(backups.length)} backups was verified`,
          mend,
        )
      const age = now - Date.parse(verified.created_at)
      const said = `The last verified backup is ${count(Math.max(0, Math.floor(age / DAY)))} days old`
      return age > BACKUP_OLD ? warning(said, mend) : ok(said)
    },
  },
  {
    id: 'mail.files',
    looksAt: `mails do not pile up as files: a warning above ${MAILS_MANY}`,
    look({ config, dataDir }) {
      const mails = mailsIn(join(dataDir, 'mail'))
      if (mails <= MAILS_MANY) return ok(`${count(mails)} mails are kept as files`)
      const mend = config?.smtpUrl === undefined ? 'SMTP_URL=smtps://…' : `rm ${join(dataDir, 'mail', '*.eml')}`
      return warning(`${count(mails)} mails are kept as files, their links in them`, mend)
    },
  },
]

function mailsIn(directory: string): number {
  try {
    return readdirSync(directory).filter((name) => name.endsWith('.eml')).length
  } catch {
    return 0
  }
}
