import { basename } from 'node:path'
import { databases } from '../../../services/databases.ts'
import { timestamp } from '../../../services/kit/clock.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import { systemRandom } from '../../../services/kit/random.ts'
import { opaqueProfileOf } from '../../../services/kit/schema/user.ts'
import * as auth from '../../auth/restored.ts'
import * as users from '../../users/restored.ts'
import { openDatabase, type Sqlite } from '../engine.ts'

/**
 * Makes of the copies in a directory, each of its own moment, the databases of an instance that can start: brought up
 * to date, in step with each other, all earlier sessions ended.
 * @param now milliseconds since the epoch
 * @returns how many users can log in
 * @throws DatabaseError; SQLite's error when something can't be written
 */
export async function reconcile(directory: string, backup: { name: string; created_at: string }, now: number) {
  const open = new Map<string, Sqlite>()
  try {
    const files = databases(directory)
    for (const { name, path, migrations } of files) open.set(name, openDatabase(path, name, migrations))
    const [usersFile, authFile] = ['users', 'auth'].map((name) => open.get(name) as Sqlite)
    if (!usersFile || !authFile) throw new Error('A database is missing')
    let count = 0
    await auth.beginAnew(
      authFile,
      accountsOf(usersFile, now, () => count++),
      restoredEvent(backup, now),
    )
    const deleted = users.deletedUsers(usersFile)
    for (const { name, restored } of files) {
      const service = await restored?.()
      await service?.forgetUsers(open.get(name) as Sqlite, deleted)
    }
    return count
  } finally {
    for (const sqlite of open.values()) sqlite.close()
  }
}

function* accountsOf(sqlite: Sqlite, now: number, counted: () => void) {
  for (const user of users.everyUser(sqlite)) {
    counted()
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
