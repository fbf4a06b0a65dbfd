import { type AuditEvent, auditNotice } from '../kit/audit.ts'
import { timestamp } from '../kit/clock.ts'
import type { NewNotice, Notice, Outbox, Together } from '../kit/outbox.ts'
import type { PasswordRecord, UserRead } from '../kit/user.ts'
import type { AuthPeer, EmailChange, ModulesPeer, SyncedUser } from './peers.ts'
import type { User, UsersStore } from './store.ts'

/** How long an answer waits for the others to have heard of a change. */
const PATIENCE = 1000

/** The notices of a change to a user: auth reads the record as it stands when it is told. */
export function changed(userId: string): NewNotice {
  return { target: 'auth', kind: 'changed', subject: userId, payload: {} }
}

export function deleted(userId: string): NewNotice[] {
  const notice = { kind: 'deleted', subject: userId, payload: {} }
  return [
    { target: 'auth', ...notice },
    { target: 'modules', ...notice },
  ]
}

export function emailChanged(change: EmailChange): NewNotice {
  return { target: 'auth', kind: 'email_changed', subject: change.userId, payload: { ...change } }
}

export function audited(event: AuditEvent): NewNotice {
  return auditNotice(event)
}

export function tellAuth(store: UsersStore, auth: AuthPeer) {
  return async (notice: Notice): Promise<void> => {
    if (notice.kind === 'audit') return auth.recordAudit(notice.payload as unknown as AuditEvent)
    if (notice.kind === 'email_changed') return auth.emailChanged(notice.payload as unknown as EmailChange)
    if (notice.kind === 'deleted') return auth.userDeleted(notice.subject)
    const user = await store.userById(notice.subject)
    // Gone since: that is told by a notice of its own, which stands behind this one.
    if (!user) return
    await auth.syncUser(syncedUser(user))
  }
}

/** Changes of many users, as an import makes them, in a few calls. */
export function tellAuthTogether(store: UsersStore, auth: AuthPeer): Together {
  return {
    takes: ({ kind }) => kind === 'changed',
    async send(notices) {
      const users = await store.usersNamed({ ids: notices.map(({ subject }) => subject) })
      await auth.syncUsers(users.map(syncedUser))
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

export function tellModules(modules: ModulesPeer) {
  return (notice: Notice): Promise<void> => modules.userDeleted(notice.subject)
}

/** The outboxes of the users service: one for each that it tells something. */
export class Announcements {
  constructor(
    private readonly auth: Outbox,
    private readonly modules: Outbox,
  ) {}

  start(): void {
    this.auth.start()
    this.modules.start()
  }

  async stop(): Promise<void> {
    await Promise.all([this.auth.stop(), this.modules.stop()])
  }

  /** Sends what was just written, without waiting. */
  send(): void {
    this.auth.poke()
    this.modules.poke()
  }

  /** Resolves when the others know what was written about the user, or after a second: then they hear it later. */
  async heard(userId: string): Promise<void> {
    await Promise.all([this.auth.told(userId, PATIENCE), this.modules.told(userId, PATIENCE)])
  }

  /** Tells auth all that is waiting for it. Gives false when that took longer than `patience` milliseconds. */
  async catchUpAuth(patience: number): Promise<boolean> {
    return await this.auth.drained(patience)
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
    created_at: timestamp(user.createdAt),
    updated_at: timestamp(user.updatedAt),
  }
}

/** What auth keeps of a user. */
export function passwordRecord(user: User): PasswordRecord {
  const { id, ...read } = userRead(user)
  return { user_id: id, ...read, password_hash: user.passwordHash, password_version: user.version }
}
