import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { listBackups } from '../../../db/sqlite/backup/manifest.ts'
import { canUnseal } from '../../../services/auth/keys/sealing.ts'
import { backupsOf } from '../../../services/kit/process/verified-backup.ts'
import { quoted } from '../../terminal/shell.ts'
import { count, counted } from '../../terminal/terminal.ts'
import { type Check, type DoctorContext, type Finding, failed, ok, skipped, warning } from './check.ts'
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
    run: withDatabase('auth', async (auth, { secrets }) => {
      const opensKey = canUnseal(secrets.CH202_SECRET ?? [])
      const keys = await auth.keys()
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
    describes: 'the active signing key of each algorithm is younger than `SIGNING_KEY_MAX_AGE`',
    run: withDatabase('auth', async (auth, { config, now }) => {
      const keys = await auth.keys()
      const active = keys.filter(({ status }) => status === 'active')
      if (active.length === 0) return skipped('No signing key is active yet: the next start creates one')
      const ages = active.map((key): KeyAge => {
        const pending = keys.find(({ alg, status }) => status === 'pending' && alg === key.alg)
        const lead = config?.signingKeyLead ?? KEY_LEAD
        return {
          alg: key.alg,
          age: now - key.created_at,
          hasSuccessor: pending !== undefined && now - pending.created_at <= lead + KEY_LATE_AFTER,
        }
      })
      return keyAgeOf(ages, config)
    }),
  },
  {
    id: 'backup.age',
    describes: 'the last verified backup is younger than 7 days',
    only: 'files',
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

/** The active key of an algorithm. */
interface KeyAge {
  alg: string
  /** Milliseconds; negative if the key was created in the future. */
  age: number
  /** Whether the next key is published and becomes active in time. */
  hasSuccessor: boolean
}

/** The result for the active keys, one of each algorithm: the first that needs a rotation, or the oldest. */
function keyAgeOf(keys: readonly KeyAge[], config: DoctorContext['config']): Finding {
  const { signingKeyMaxAge = KEY_AGE_MAX, tokenAlg } = config ?? {}
  const name = ({ alg }: KeyAge) => (keys.length === 1 ? 'The signing key' : `The signing key of ${alg}`)
  const command = ({ alg }: KeyAge) =>
    keys.length === 1 || alg === tokenAlg ? 'ch202 keys rotate' : `ch202 keys rotate --alg ${alg}`
  const oldest = keys.toSorted((a, b) => b.age - a.age)
  const future = keys.find(({ age }) => age < -DAY)
  if (future)
    return warning(`${name(future)} was created in the future (clock skew); it will rotate too late`, command(future))
  const message = (key: KeyAge) => `${name(key)} is ${daysOf(key.age)} old`
  const old = oldest.filter(({ age }) => age > signingKeyMaxAge)
  const late = old.find(({ hasSuccessor }) => !hasSuccessor)
  if (late) return warning(message(late), command(late))
  const [first = oldest[0]] = old
  if (!first) return skipped('No signing key is active yet: the next start creates one')
  return ok(old.length > 0 ? `${message(first)}; the next one is published and becomes active soon` : message(first))
}

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
