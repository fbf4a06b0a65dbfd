import type { PasskeyReason } from '../../kit/login-verdict.ts'
import type { MailKind, MailStatus } from '../../kit/schema/mails.ts'

/** @example '3 times' */
const times = (count: number) => (count === 1 ? 'once' : `${count} times`)

/** Sentences about why sign-ins fail, by the reason of the verdict. */
const verdicts = {
  account_disabled: 'The account is disabled. Sign-ins fail even with the right password.',
  account_paused: (failures: number) =>
    `Sign-ins are locked after ${failures} failed within a day. The password is not even checked.`,
  was_paused: 'A sign-in was refused without a check of the password: too many had failed before.',
  address_paused: 'A sign-in came from an address from which too many failed. The password was not checked.',
  users_unavailable: 'A sign-in was refused because a part of the system could not be reached.',
  overloaded: 'A sign-in was refused because too many people were signing in at that moment.',
  reset_mail_failing: (tries: number) =>
    `A mail to set a new password could not be sent. It was tried ${times(tries)}.`,
  was_disabled: 'The account was disabled at the last attempt. It is active now, and the password was right.',
  wrong_passkey: (passkey: PasskeyReason) => `The last passkey ${passkeys[passkey]}.`,
  wrong_second_factor: (tries: number) =>
    `The code of the second factor was wrong ${times(tries)}. The step before it was right.`,
  wrong_code: (tries: number) => `The code from a mail was wrong ${times(tries)}.`,
  password_changed_since: (tries: number) =>
    `The password was wrong ${times(tries)}. It was changed after that, and nobody has tried the new one.`,
  no_password: (tries: number) => `The account has no password. A sign-in was tried ${times(tries)}.`,
  wrong_password: (tries: number) => `The password was wrong ${times(tries)}.`,
  maybe_old_password: 'It was changed before that: they may be using the old one.',
  unused_reset: 'A mail to set a new one was requested, and its link was not used.',
  no_failure: 'Nothing is wrong: the last sign-in succeeded.',
  no_login_tried: 'Nothing is wrong: nobody has tried to sign in.',
}

/** Each continues "The last passkey". */
const passkeys: Record<PasskeyReason, string> = {
  unknown_passkey: 'belongs to no account: it was removed here, but not on the device',
  passkey_of_another: 'belongs to another account',
  wrong_passkey: 'did not fit: it came from another address or an old page, or the device did not check who uses it',
  replayed_or_copied_passkey: 'answered twice, or seems to be a copy',
}

/** Advice, by the reason of the verdict. */
const advice = {
  account_disabled: 'Find out why before you enable it.',
  account_paused: 'The lock ends by itself, or at once with a new password: send a password reset.',
  account_paused_at_factor:
    'The last one failed at the second factor. The lock ends by itself. If they have lost the factor, ask an administrator to remove it:',
  address_paused:
    'This ends by itself. If everyone seems to come from this address, ask an administrator to set TRUSTED_PROXIES.',
  try_again: 'Ask them to try again. If that does not help, tell an administrator.',
  reset_mail_failing: 'The list of mails says why. Check the address with them, then tell an administrator.',
  lost_factor: 'If they have lost it and the recovery codes, ask an administrator to remove their second factors:',
  wrong_code: 'Each code allows five tries. Ask them to request a new one.',
  password_changed_since: 'Ask them to use the new password, or send a password reset.',
  no_password: 'Send a password reset, or an invitation: its link lets them set one.',
  wrong_password: 'Send a password reset.',
  no_failure: 'Ask them what they see. They may be using another account.',
}

/** The texts of the support console in English. */
export const consoleEn = {
  title: 'Support console',
  nav: { users: 'Users', invite: 'Invite', account: 'Your account' },
  /** Stands before a command of the tool that does the same as a button. */
  command: 'With the tool:',
  copy: 'Copy',
  copyNamed: (command: string) => `Copy ${command}`,
  copied: 'Copied',
  confirm: {
    lead: 'You signed in a while ago. Confirm that it is you, and this is done:',
    factorLead: 'The console opens with your second factor. Confirm that it is you, and this is done:',
  },
  /** Parts of the page to sign in again, on the way to the console. */
  again: {
    lead: (email: string) => ['To open the support console as ', email, ', confirm that it is you.'],
    hint: 'The console needs a recent sign-in.',
  },
  enrol: {
    title: 'A second factor is needed',
    lead: 'The support console opens only with a second factor, and your account has none. Add one, then come back.',
    go: 'Add a second factor',
  },
  users: {
    title: 'Users',
    search: 'Find a user',
    hint: 'A part of the name, the email or the username; or the whole id.',
    submit: 'Search',
    all: 'Show all',
    count: (count: number) => (count === 1 ? '1 user' : `${count} users`),
    none: 'No user matches.',
    next: 'Next',
    first: 'First page',
    created: 'Created',
  },
  tags: {
    active: 'active',
    disabled: 'disabled',
    noPassword: 'no password',
    locked: 'locked',
  },
  invite: {
    title: 'Invite someone',
    lead: 'They get a mail with a link, by which they choose a password. The link works for 7 days.',
    submit: 'Send the invitation',
    taken: 'There is an account with this email already. If it has no password, open it and send the invitation there.',
    find: 'Find this account',
  },
  user: {
    about: 'Account',
    aboutLead: 'Roles can be changed only by administrators.',
    id: 'Id',
    status: 'Status',
    roles: 'Roles',
    noRoles: 'none',
    password: 'Password',
    hasPassword: 'set',
    hasNoPassword: 'not set',
    factors: 'Second factors',
    noFactors: 'none',
    recoveryCodes: (count: number) => (count === 1 ? '1 recovery code' : `${count} recovery codes`),
    created: 'Created',
    lastSignIn: 'Last sign-in',
    never: 'never',
    why: 'Why does the sign-in fail?',
    whyLead: 'From the last sign-ins of this account.',
    failures: 'Failed within 24 hours',
    lockedUntil: 'Locked until',
    recent: 'Recent attempts',
    sessions: 'Sessions',
    sessionsLead: 'Where the account is signed in.',
    noSessions: 'It is signed in nowhere.',
    mails: 'Mails',
    mailsLead: 'Sent to this account, the newest first.',
    noMails: 'None yet.',
    tries: (count: number) => `Tried ${times(count)}`,
    reason: 'Reason',
    audit: 'Audit',
    auditLead: 'What happened to this account, and who did it.',
    actions: 'What you can do',
    actionsLead: 'The audit records each of these with your name.',
    self: 'This is your own account.',
  },
  facts: {
    since: 'Since',
    until: 'Until',
    last: 'Last attempt',
    changed: 'Password changed',
    requested: 'Mail requested',
    signedIn: 'Signed in',
  },
  verdicts,
  advice,
  /** The buttons, each with what it does. */
  actions: {
    reset: {
      submit: 'Send a password reset',
      says: 'A mail with a link to set a new password. It works for 30 minutes.',
    },
    invite: {
      submit: 'Send an invitation',
      says: 'A mail with a link to choose the first password. It works for 7 days.',
    },
    disable: { submit: 'Disable the account', says: 'All sessions end, and nobody can sign in until it is enabled.' },
    enable: { submit: 'Enable the account', says: 'They can sign in again.' },
    'end-sessions': { submit: 'End all sessions', says: 'They are signed out everywhere, also from apps.' },
    'end-session': { submit: 'End the session', says: '' },
  },
  /** The end of a sign-in that failed, by the reason in the audit. */
  reasons: {
    wrong_password: 'wrong password',
    no_password: 'no password is set',
    wrong_code: 'wrong code',
    account_disabled: 'right password, but disabled',
    account_deleted: 'the account was deleted',
    unknown_passkey: 'unknown passkey',
    passkey_of_another: 'passkey of another account',
    wrong_passkey: 'passkey did not fit',
    replayed_or_copied_passkey: 'passkey answered twice',
    refused: 'not checked',
  },
  mailKinds: {
    password_reset: 'Password reset',
    email_verification: 'Verification of the email',
    email_code: 'Sign-in code',
    email_change: 'Confirmation of a new email',
    email_changed: 'Notice of a changed email',
    invitation: 'Invitation',
    device: 'Code for a new device',
    notice: 'Notice',
  } satisfies Record<MailKind, string>,
  mailStatuses: { queued: 'waiting', sent: 'sent', failed: 'failed' } satisfies Record<MailStatus, string>,
  /** Actors, by their name in the audit. */
  actors: {
    self: 'the user',
    you: 'you',
    operator: 'the operator key',
    internal: 'a service',
    auth: 'Ch202 itself',
    cli: 'an operator on the server',
  },
  by: 'by',
}

/** The texts of the console in one language. */
export type ConsoleTexts = typeof consoleEn
