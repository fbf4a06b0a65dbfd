import { basename } from 'node:path'
import { databases } from '../../../services/databases.ts'
import { timestamp } from '../../../services/kit/clock.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import { systemRandom } from '../../../services/kit/random.ts'
import { opaqueProfileOf } from '../../../services/kit/schema/user.ts'
import * as auth from '../../auth/restored.ts'
import * as users from '../../users/restored.ts'
import type { Sqlite } from '../engine.ts'
import { openDatabase } from '../open-database.ts'

/**
 * Makes the copies in a directory, each taken at its own moment, consistent with each other: applies migrations, fills the
 * password cache from users, removes the users from the other databases who were deleted from users, and ends all earlier
 * sessions.
 * @param backup the name and time of the backup, for the audit
 * @param now milliseconds since the epoch
 * @returns how many users the instance has
 * @throws DatabaseError; SQLite's error when a write fails
 */
export async function reconcile(directory: string, backup: { name: string; created_at: string }, now: number) {
  const open = new Map<string, Sqlite>()
  try {
    const files = databases(directory)
    for (const { name, path, migrations } of files) open.set(name, openDatabase(path, name, migrations))
    const [usersFile, authFile] = [open.get('users'), open.get('auth')]
    if (!usersFile || !authFile) throw new Error('A database is missing')
    let count = 0
    const accounts = accountsOf(usersFile, now, () => count++)
    await auth.resetAfterRestore(authFile, accounts, restoredEvent(backup, now))
    const deleted = await users.deletedUsers(usersFile)
    for (const { name, restored } of files) {
      const cleanup = await restored?.()
      await cleanup?.forgetUsers(open.get(name) as Sqlite, deleted)
    }
    return count
  } finally {
    for (const sqlite of open.values()) await sqlite.close()
  }
}

/** @param onUser called for each user, to count them */
async function* accountsOf(sqlite: Sqlite, now: number, onUser: () => void) {
  for await (const user of users.everyUser(sqlite)) {
    onUser()
    const times = { created_at: timestamp(user.createdAt), updated_at: timestamp(user.updatedAt) }
    const profile = opaqueProfileOf({ ...user, ...times })
    yield { ...user, userId: user.id, profile, cached: true, syncedAt: now }
  }
}

function restoredEvent({ name, created_at }: { name: string; created_at: string }, now: number): AuditEvent {
  return {
    id: systemRandom.id(),
    at: now,
    type: 'instance.restored',
    userId: null,
    actor: 'cli',
    ip: null,
    requestId: null,
    detail: { backup: basename(name), created_at },
  }
}
