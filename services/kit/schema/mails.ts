/** The kinds of mails. */
export const MAIL_KINDS = [
  'password_reset',
  'email_verification',
  'email_code',
  'email_change',
  'email_changed',
  'invitation',
  'device',
  'notice',
] as const

export type MailKind = (typeof MAIL_KINDS)[number]

/** The states of mails. `queued`: waits, also for another attempt. `failed`: was refused for good, or given up. */
export const MAIL_STATUSES = ['queued', 'sent', 'failed'] as const

export type MailStatus = (typeof MAIL_STATUSES)[number]
