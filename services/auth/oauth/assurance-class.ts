import type { Session } from '../store/index.ts'

/** The classes of authentication (OpenID Connect Core, 2): by one factor, or by two. The names are those of NIST SP 800-63B. */
export const ACR_VALUES = ['aal1', 'aal2'] as const

/** The class of a session's authentication. */
export function acrOf({ amr }: Pick<Session, 'amr'>): (typeof ACR_VALUES)[number] {
  return amr.includes('mfa') ? 'aal2' : 'aal1'
}
