import { listBackups } from '../../../db/sqlite/backup/manifest.ts'
import { drillTime, lastDrill } from '../../../services/kit/process/backup-drill.ts'
import { backupsOf, isInFuture } from '../../../services/kit/process/verified-backup.ts'
import { quoted } from '../../terminal/shell.ts'
import { count } from '../../terminal/terminal.ts'
import { type Check, daysOf, failed, ok, skipped, warning } from './check.ts'

const DAY = 86_400_000
const BACKUP_AGE_MAX = 7 * DAY
/** A weekly timer, and a day. */
const DRILL_AGE_MAX = 8 * DAY

export const backupChecks: Check[] = [
  {
    id: 'backup.age',
    describes: 'the last verified backup is younger than 7 days, and none is dated in the future',
    only: 'files',
    run: ({ dataDir, files, has, now }) => {
      if (!files.some(({ path }) => has(path))) return skipped('There is nothing to back up yet')
      const { backups } = listBackups(backupsOf(dataDir))
      const ahead = backups.find(({ created_at }) => isInFuture(Date.parse(created_at), now))
      if (ahead) return failed(inFuture(ahead.name), `if the clock is right now: rm -r ${quoted(ahead.path)}`)
      const verified = backups.find(({ verified_at }) => verified_at !== null)
      const command = 'ch202 backup create && ch202 backup verify'
      if (!verified) return warning(unverified(backups.length), command)
      const age = now - Date.parse(verified.created_at)
      const message = `The last verified backup is ${daysOf(age)} old`
      return age > BACKUP_AGE_MAX ? warning(message, command) : ok(message)
    },
  },
  {
    id: 'backup.drill',
    describes:
      'with BACKUP_S3_URL: a backup that is younger than 8 days was fetched from the bucket and verified within 8 days',
    only: 'files',
    run: ({ config, dataDir, now }) => {
      if (config?.backupS3Url === undefined) return skipped('No BACKUP_S3_URL is set')
      const drill = lastDrill(backupsOf(dataDir))
      const command = 'ch202 backup verify --remote'
      if (!drill) return warning('No backup was ever fetched from the bucket and verified', command)
      const message = `The backup ${drill.backup} of the bucket ${drill.passed ? 'was verified' : 'failed its checks'}`
      if (!drill.passed) return failed(message, command)
      const at = Date.parse(drill.at)
      if (isInFuture(drillTime(drill), now)) return failed(inFuture(`${drill.backup} of the bucket`), command)
      if (now - at > DRILL_AGE_MAX) return warning(`${message} ${daysOf(now - at)} ago`, command)
      const age = now - drillTime(drill)
      return age > DRILL_AGE_MAX
        ? warning(`${message}, but it is ${daysOf(age)} old`, 'ch202 backup push')
        : ok(message)
    },
  },
]

function inFuture(name: string): string {
  return `The backup ${name} is dated in the future: the clock was ahead, or is behind`
}

function unverified(backups: number): string {
  if (backups === 0) return 'There is no backup'
  return backups === 1 ? 'The only backup is not verified' : `None of the ${count(backups)} backups is verified`
}
