import { DAY, HOUR, MINUTE } from '../../../kit/clock.ts'
import { MAIL_KINDS, type MailKind, type NoticeCause } from '../../store/index.ts'
import type { MailValues } from './view.ts'

/** The page of each link, below `PUBLIC_URL`, and how long the link works, in milliseconds. */
const LINKS: Partial<Record<MailKind, [page: string, life: number]>> = {
  password_reset: ['reset-password', 30 * MINUTE],
  email_verification: ['verify-email', DAY],
  email_code: ['sign-in-link', 10 * MINUTE],
  email_change: ['confirm-email', HOUR],
  email_changed: ['undo-email', 7 * DAY],
  invitation: ['invitation', 7 * DAY],
}
const CODES: ReadonlySet<MailKind> = new Set(['email_verification', 'email_code', 'email_change', 'device'])
const CODE_LIFE = 10 * MINUTE
/** As long as a token, and no token. */
const TOKEN = 'SAMPLE-SAMPLE-SAMPLE-S'
const AT = Date.parse('2026-11-20T10:00:00Z')
const USER_AGENT = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0'

const CAUSES = Object.keys({
  password_changed: true,
  email_changed: true,
  device_confirmed: true,
  totp_added: true,
  totp_removed: true,
  passkey_added: true,
  passkey_removed: true,
  recovery_codes_replaced: true,
  recovery_code_used: true,
  factors_reset: true,
} satisfies Record<NoticeCause, true>) as NoticeCause[]

interface EachMail {
  /** The kind, and the cause of a notice, such as `notice-password_changed`. */
  name: string
  kind: MailKind
  cause?: NoticeCause
}

/** Every mail that there is: each kind, and each cause of a notice. */
export const EVERY_MAIL: readonly EachMail[] = MAIL_KINDS.flatMap((kind): EachMail[] =>
  kind === 'notice' ? CAUSES.map((cause) => ({ name: `${kind}-${cause}`, kind, cause })) : [{ name: kind, kind }],
)

export interface SampleOptions {
  /** When it happened, in milliseconds since the epoch. */
  at?: number
  /** The subject of a `notice`. */
  cause?: NoticeCause | undefined
}

/** @param publicUrl the base address of links */
export function sampleOf(kind: MailKind, publicUrl: string, { at = AT, cause }: SampleOptions = {}): MailValues {
  const values: MailValues = { at, ip: '203.0.113.24', userAgent: USER_AGENT, name: 'Ana', email: 'ana@example.org' }
  if (kind === 'notice') values.cause = cause ?? 'password_changed'
  const [page, life] = LINKS[kind] ?? []
  if (page !== undefined && life !== undefined) {
    values.link = `${publicUrl}/${page}?token=${TOKEN}`
    values.expiresAt = at + life
  }
  if (CODES.has(kind)) {
    values.code = '123456'
    values.codeExpiresAt = at + CODE_LIFE
  }
  return values
}
