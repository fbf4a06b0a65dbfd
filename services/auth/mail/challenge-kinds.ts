import type { MailedPurpose, MailKind, MailRequest } from '../store/index.ts'

/** The challenge whose code and link a kind of mail contains, and the page that the link opens. */
export const CHALLENGES: Partial<Record<MailKind, { purpose: MailedPurpose; page?: string }>> = {
  password_reset: { purpose: 'password_reset', page: 'reset-password' },
  email_verification: { purpose: 'email_verification', page: 'verify-email' },
  email_code: { purpose: 'email_code', page: 'sign-in-link' },
  email_change: { purpose: 'email_change', page: 'confirm-email' },
  email_changed: { purpose: 'email_undo', page: 'undo-email' },
  invitation: { purpose: 'invitation', page: 'invitation' },
  device: { purpose: 'device' },
}

/** Whether a mail has a code or a link. */
export function hasChallenge({ data, kind }: Pick<MailRequest, 'data' | 'kind'>): boolean {
  if (data.isTest || CHALLENGES[kind] === undefined) return false
  // A change of an address that was not verified cannot be undone by a mail to it.
  return kind !== 'email_changed' || data.isUndoable === true
}
