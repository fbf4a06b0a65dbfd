import type { ChallengePurpose } from '../store/index.ts'

/** The purposes of which a later request makes the earlier ones of the same user useless. */
export const ONLY_ONE: readonly ChallengePurpose[] = ['password_reset', 'email_change', 'invitation']
