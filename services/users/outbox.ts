import { timestamp } from '../kit/clock.ts'
import { type AuditEvent, auditNotice, eventOfNotice } from '../kit/outbox/audit.ts'
import type { Event } from '../kit/outbox/events.ts'
import type { BatchSender, NewNotice, Notice, Outbox } from '../kit/outbox/outbox.ts'
import type { PasswordRecord, UserRead } from '../kit/schema/user.ts'
import { HEAR_OF_DELETED } from '../kit/services.ts'
import type { AuthPeer, DeletionListener, EmailChange, SyncedUser } from './peers.ts'
import type { User, UsersStore } from './store.ts'

/** How long an answer waits for the others to have heard of a change. */
const PATIENCE = 1000

/** The notices of a change to a user: auth reads the record as it stands when it is told. */
export function changeNotice(userId: string): NewNotice {
  return { target: 'auth', kind: 'changed', subject: userId, payload: {} }
}

export function deletionNotices(userId: string): NewNotice[] {
  const notice = { kind: 'deleted', subject: userId, payload: {} }
  return ['auth', ...HEAR_OF_DELETED].map((target) => ({ target, ...notice }))
}

export function emailChangeNotice(change: EmailChange): NewNotice {
  return { target: 'auth', kind: 'email_changed', subject: change.userId, payload: { ...change } }
}

export function auditedNotice(event: AuditEvent): NewNotice {
  return auditNotice(event)
}

export function sendToAuth(store: UsersStore, auth: AuthPeer) {
  return async (notice: Notice): Promise<void> => {
    if (notice.kind === 'audit') return auth.recordAudit(eventOfNotice(notice))
    if (notice.kind === 'event') return auth.recordEvents([notice.payload as unknown as Event])
    if (notice.kind === 'email_changed') return auth.emailChanged(notice.payload as unknown as EmailChange)
    if (notice.kind === 'deleted') return auth.userDeleted(notice.subject)
    const user = await store.userById(notice.subject)
    // Gone since: that is told by a notice of its own, which stands behind this one.
    if (!user) return
    await auth.syncUser(syncedUser(user))
  }
}

/** Changes of many users, as an import makes them, and what the outside hears of them, in a few calls. */
export function sendBatchToAuth(store: UsersStore, auth: AuthPeer): BatchSender {
  return {
    accepts: ({ kind }) => kind === 'changed' || kind === 'event',
    async send(notices) {
      const events = notices.filter(({ kind }) => kind === 'event')
      const changes = notices.filter(({ kind }) => kind === 'changed')
      const users = await store.usersNamed({ ids: changes.map(({ subject }) => subject) })
      await Promise.all([
        auth.syncUsers(users.map(syncedUser)),
        auth.recordEvents(events.map(({ payload }) => payload as unknown as Event)),
      ])
    },
  }
}

function syncedUser(user: User): SyncedUser {
  return {
    ...passwordRecord(user),
    sessions_from: user.sessionsFrom,
    session_kept: user.sessionKept,
    all_sessions_from: user.allSessionsFrom,
    tokens_from: user.tokensFrom,
  }
}

export function sendDeletion(listener: DeletionListener) {
  return (notice: Notice): Promise<void> => listener.userDeleted(notice.subject)
}

/** The outboxes of the users service: one for each that it tells something. */
export class Outboxes {
  constructor(
    private readonly auth: Outbox,
    private readonly others: readonly Outbox[],
  ) {}

  start(): void {
    for (const outbox of this.all()) outbox.start()
  }

  async stop(): Promise<void> {
    await Promise.all(this.all().map((outbox) => outbox.stop()))
  }

  /** Sends what was just written, without waiting. */
  send(): void {
    for (const outbox of this.all()) outbox.wake()
  }

  /** Resolves when the others know what was written about the user, or after a second: then they hear it later. */
  async heard(userId: string): Promise<void> {
    await Promise.all(this.all().map((outbox) => outbox.waitForDelivery(userId, PATIENCE)))
  }

  /** Tells auth all that is waiting for it. Gives false when that took longer than `patience` milliseconds. */
  async catchUpAuth(patience: number): Promise<boolean> {
    return await this.auth.drain(patience)
  }

  private all(): Outbox[] {
    return [this.auth, ...this.others]
  }
}

/** What any caller may see of a user. */
export function userRead(user: User): UserRead {
  return {
    id: user.id,
    email: user.email,
    username: user.username,
    name: user.name,
    roles: user.roles,
    status: user.status,
    email_verified: user.emailVerified,
    has_password: user.passwordHash !== null,
    created_at: timestamp(user.createdAt),
    updated_at: timestamp(user.updatedAt),
  }
}

/** What auth keeps of a user. */
export function passwordRecord(user: User): PasswordRecord {
  const { id, ...read } = userRead(user)
  return { user_id: id, ...read, password_hash: user.passwordHash, password_version: user.version }
}
