import type { AccountMail } from './peers.ts'
import type { User } from './store.ts'

/** A row of the audit without its actor: the type (`user.disabled`) and the details. */
export type AuditRow = [type: string, detail: Record<string, unknown>]

/** The fields of a record that get another value, and the audit rows that describe the change. No fields: no change. */
export interface Change {
  fields: Partial<User>
  audit: AuditRow[]
  /** The mail behind another email: it proved the new address, or undid an earlier change. */
  emailBy?: 'proof' | 'undo'
  /** The subject of a mail that tells the user of the change. Auth itself sends the mails about what it asks for. */
  notice?: AccountMail['cause']
}

export const NO_CHANGE: Change = { fields: {}, audit: [] }

/** Joins the fields and audit rows of the parts of a change. */
export function oneChange(...parts: Change[]): Change {
  return {
    fields: Object.assign({}, ...parts.map(({ fields }) => fields)),
    audit: parts.flatMap(({ audit }) => audit),
  }
}
