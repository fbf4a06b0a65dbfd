import { auditEventOf } from '../kit/outbox/audit.ts'
import type { Event } from '../kit/outbox/events.ts'
import type { BatchSender, Notice, Outbox } from '../kit/outbox/outbox.ts'
import type { AccountMail, AuthPeer, DeletionListener, EmailChange, UserErasure } from './peers.ts'
import { syncedUser } from './present.ts'
import type { UsersStore } from './store.ts'

/** Milliseconds that an answer waits for the other services to acknowledge a change. */
const ACKNOWLEDGEMENT_MS = 1000
/**
 * Milliseconds without contact to auth after which an answer waits no longer: longer than a request waits for the database.
 * While that is away, auth is silent too, and the answer must be 503.
 */
const REACHED_WITHIN = 3000

/** Sends one notice to auth. */
export function sendToAuth(store: Pick<UsersStore, 'userById'>, auth: AuthPeer) {
  return async (notice: Notice): Promise<void> => {
    if (notice.kind === 'audit') return auth.recordAudit(auditEventOf(notice))
    if (notice.kind === 'event') return auth.recordEvents([notice.payload as unknown as Event])
    if (notice.kind === 'email_changed') return auth.emailChanged(notice.payload as unknown as EmailChange)
    if (notice.kind === 'account_mail') return auth.accountMail(notice.payload as unknown as AccountMail)
    if (notice.kind === 'deleted') return auth.userDeleted(notice.subject)
    if (notice.kind === 'erased') return auth.userErased(notice.payload as unknown as UserErasure)
    const user = await store.userById(notice.subject)
    // A user deleted in the meantime has a notice of deletion behind this one.
    if (user) await auth.syncUser(syncedUser(user))
  }
}

/** Sends the changes and events of many users, such as those of an import, in a few calls. */
export function sendBatchToAuth(store: Pick<UsersStore, 'usersNamed'>, auth: AuthPeer): BatchSender {
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

/** Sends a notice of a deletion to a service. */
export function sendDeletion(listener: DeletionListener) {
  return (notice: Notice): Promise<void> => listener.userDeleted(notice.subject)
}

/** The outboxes of the users service: one for auth, and one for each service that deletes what it stores of a user. */
export class Outboxes {
  constructor(
    private readonly auth: Outbox,
    private readonly others: readonly Outbox[],
    /** The services that are notified when a user was deleted, besides auth. */
    readonly subscribers: readonly string[],
    /** Milliseconds since the last contact with auth. */
    private readonly silence: () => number,
  ) {}

  start(): void {
    for (const outbox of this.all()) outbox.start()
  }

  async stop(): Promise<void> {
    await Promise.all(this.all().map((outbox) => outbox.stop()))
  }

  /** Begins to send new notices, without waiting. */
  wake(): void {
    for (const outbox of this.all()) outbox.wake()
  }

  /**
   * Resolves when all services have acknowledged the notices of a user, at the latest after a second. One of several nodes
   * waits longer for auth while it can be reached: no token that the change ended may be accepted after the answer.
   */
  async waitForDelivery(userId: string): Promise<void> {
    const isReachable = () => this.silence() < REACHED_WITHIN
    await Promise.all([
      this.auth.waitForDelivery(userId, ACKNOWLEDGEMENT_MS, isReachable),
      ...this.others.map((outbox) => outbox.waitForDelivery(userId, ACKNOWLEDGEMENT_MS)),
    ])
  }

  /** Sends auth all its notices. Resolves with false if that took longer than `patience` milliseconds. */
  async drainAuth(patience: number): Promise<boolean> {
    return await this.auth.drain(patience)
  }

  private all(): Outbox[] {
    return [this.auth, ...this.others]
  }
}
