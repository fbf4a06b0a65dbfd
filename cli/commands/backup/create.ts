import { createBackup } from '../../../db/sqlite/backup/create.ts'
import { listBackups } from '../../../db/sqlite/backup/manifest.ts'
import { expiredBackups } from '../../../db/sqlite/backup/retention.ts'
import { dataDirOf } from '../../client/settings.ts'
import type { Tool } from '../../tool/command.ts'
import { backupsRoot, withBackupFailures } from './backups.ts'
import { refuseWithPostgres } from './of-postgres.ts'
import { type RetentionOptions, removeBackup, retentionOf } from './retention.ts'

export async function create(tool: Tool, { out, ...options }: { out?: string } & RetentionOptions): Promise<void> {
  refuseWithPostgres(tool, 'create')
  const retention = retentionOf(options)
  const root = backupsRoot(tool, out)
  const { manifest, path } = await withBackupFailures(createBackup(dataDirOf(tool.env), root))
  // Only after the new one is complete: a full disk never costs an old backup.
  const all = retention === undefined ? [] : listBackups(root).backups
  // Whatever the clock says, the new one stays.
  const expired =
    retention === undefined
      ? []
      : expiredBackups(all, retention, Date.now()).filter(({ name }) => name !== manifest.name)
  for (const backup of expired) await removeBackup(backup.path)
  const services = Object.values(manifest.services)
  await tool.out.record({
    name: manifest.name,
    path,
    bytes: services.reduce((sum, { bytes }) => sum + bytes, 0),
    created_at: manifest.created_at,
    users: manifest.services.users.rows.users,
    ...(retention && { removed: expired.map(({ name }) => name) }),
    changed: true,
  })
  tool.out.say(
    'Secrets are not included. Keep a copy of CH202_SECRET: without it the signing keys and webhook secrets in this backup cannot be recovered (users and passwords can)',
  )
}
