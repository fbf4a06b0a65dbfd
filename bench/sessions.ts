import type { Session } from '../services/auth/store/index.ts'
import type { AuditEvent } from '../services/kit/outbox/audit.ts'

/** Milliseconds. */
export const HOUR = 3_600_000

/** An event of the audit, such as those of requests. */
export const event = (type: string, userId: string): AuditEvent => ({
  id: Bun.randomUUIDv7(),
  at: Date.now(),
  type,
  userId,
  actor: userId,
  ip: '192.0.2.1',
  requestId: Bun.randomUUIDv7(),
  detail: {},
})

/** An account as auth keeps it. */
export const accountOf = (userId: string) => ({
  userId,
  email: `${userId}@example.org`,
  username: null,
  roles: ['USER'],
  status: 'active' as const,
  emailVerified: true,
  profile: {},
  passwordHash: 'hash',
  version: 1,
})

/** A session that a browser has just opened. */
export function newSession(userId: string): Session {
  const now = Date.now()
  const times = { rotatedAt: now, createdAt: now, lastUsedAt: now, accessUntil: now + HOUR }
  const ends = { expiresAt: now + 24 * HOUR, endsAt: now + 90 * 24 * HOUR }
  const authentication = { authTime: now, amr: ['pwd' as const], ofGrant: false }
  const client = {
    ip: '192.0.2.1',
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  }
  return {
    id: Bun.randomUUIDv7(),
    userId,
    kind: 'v1',
    counter: 0,
    version: 1,
    ...times,
    ...ends,
    ...client,
    ...authentication,
  }
}
