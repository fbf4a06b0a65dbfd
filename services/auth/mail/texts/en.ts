import type { NoticeCause } from '../../store/index.ts'
import type { Dictionary, Life, Part, View } from './dictionary.ts'
import { type Forms, formatsOf, type Unit } from './formats.ts'
import { type Rich, rich } from './rich.ts'

const formats = formatsOf('en')

const UNITS: Record<Unit, Forms> = {
  minutes: { one: 'minute', other: 'minutes' },
  hours: { one: 'hour', other: 'hours' },
  days: { one: 'day', other: 'days' },
}

/** @example 'for 30 minutes (until 10:30 UTC)' */
const lasting = ({ lasts, until }: Life) =>
  lasts === null ? `until\u00a0${until}` : `for ${lasts} (until\u00a0${until})`

const facts = ({ device, when, where }: View): Part => ({
  facts: [
    ['When', when],
    ['IP address', where],
    ['Device', device],
  ],
})

const supportOf = ({ product, support }: View): Rich =>
  support ? rich`write to ${support}` : rich`contact the support of ${product}`

/** Says how to undo a change of the address, when there is a link for it. */
const undoing = ({ linkLife }: View): Rich =>
  rich`The link works once, ${lasting(linkLife)}. It restores this address, ends every session and voids the password. Another mail then lets you set a new one.`

/** Says what to do if someone else has changed how the user logs in. */
const takenOver = (view: View): Rich =>
  rich`If it was someone else, they could sign in to your account. Change your password at once at ${view.site}, check your second factors and passkeys there, and end all other sessions. If you cannot, ${supportOf(view)}.`

const SUBJECTS: Record<NoticeCause, (product: string) => string> = {
  password_changed: (product) => `Your ${product} password was changed`,
  email_changed: (product) => `New email address of your ${product} account`,
  device_confirmed: (product) => `New sign-in to ${product}`,
  totp_added: (product) => `New second factor of your ${product} account`,
  totp_removed: (product) => `A second factor of your ${product} account was removed`,
  passkey_added: (product) => `New passkey of your ${product} account`,
  passkey_removed: (product) => `A passkey of your ${product} account was removed`,
  recovery_codes_replaced: (product) => `New recovery codes of your ${product} account`,
  recovery_code_used: (product) => `A recovery code of your ${product} account was used`,
  factors_reset: (product) => `The second factors of your ${product} account were removed`,
}

const HEADINGS: Record<NoticeCause, string> = {
  password_changed: 'Your password was changed',
  email_changed: 'New email address',
  device_confirmed: 'New sign-in',
  totp_added: 'New second factor',
  totp_removed: 'A second factor was removed',
  passkey_added: 'New passkey',
  passkey_removed: 'A passkey was removed',
  recovery_codes_replaced: 'New recovery codes',
  recovery_code_used: 'A recovery code was used',
  factors_reset: 'Your second factors were removed',
}

const WHAT: Record<NoticeCause, (product: string) => string> = {
  password_changed: (product) => `The password of your ${product} account was changed.`,
  email_changed: (product) => `The email address of a ${product} account was changed to this address.`,
  device_confirmed: (product) =>
    `Someone signed in to your ${product} account on a new device, with your password and a code from a mail.`,
  totp_added: (product) => `An app that shows codes was added to your ${product} account, as a second factor.`,
  totp_removed: (product) => `An app that shows codes was removed from your ${product} account.`,
  passkey_added: (product) => `A passkey was added to your ${product} account.`,
  passkey_removed: (product) => `A passkey was removed from your ${product} account.`,
  recovery_codes_replaced: (product) =>
    `New recovery codes were made for your ${product} account. The old ones no longer work.`,
  recovery_code_used: (product) => `A recovery code was used for your ${product} account. It no longer works.`,
  factors_reset: (product) =>
    `An operator removed the second factors and the passkeys of your ${product} account. Every session has ended.`,
}

const ADVICE: Record<NoticeCause, (view: View) => Rich> = {
  password_changed: (view) =>
    rich`If it was someone else, reset your password at once at ${view.site}. That also ends every session. If you cannot, ${supportOf(view)}.`,
  email_changed: (view) =>
    rich`If it was someone else, they entered your address, perhaps by mistake. To have it removed, ${supportOf(view)}.`,
  device_confirmed: (view) =>
    rich`If it was someone else, they know your password and can read your mail. Change both passwords at once, first that of your mailbox, then this one at ${view.site}. That also ends every other session.`,
  totp_added: takenOver,
  totp_removed: takenOver,
  passkey_added: takenOver,
  passkey_removed: takenOver,
  recovery_codes_replaced: takenOver,
  recovery_code_used: takenOver,
  factors_reset: (view) =>
    rich`If you did not ask for this, ${supportOf(view)}. Otherwise sign in at ${view.site} and add a second factor again.`,
}

export const en: Dictionary = {
  letters: {
    password_reset: ({ link, linkLife, product }) => ({
      subject: `Reset your ${product} password`,
      heading: 'Reset your password',
      parts: [
        {
          line: rich`Someone asked to reset the password of your ${product} account. To set a new password, open this link:`,
        },
        { link, label: 'Set a new password' },
        { line: rich`The link works once, ${lasting(linkLife)}.` },
        { note: rich`If it was not you, ignore this mail: your password stays as it is.` },
      ],
    }),
    email_verification: ({ code, codeLife, link, linkLife, product }) => ({
      subject: `Confirm your email address for ${product}`,
      heading: 'Confirm your email address',
      parts: [
        { line: rich`To confirm that this address is yours, enter this code:` },
        { code },
        { line: rich`Or open this link:` },
        { link, label: 'Confirm the address' },
        { line: rich`The code works ${lasting(codeLife)}, the link ${lasting(linkLife)}.` },
        {
          note: rich`If you did not enter this address at ${product}, ignore this mail: without the code or the link the address stays unconfirmed.`,
        },
      ],
    }),
    email_code: ({ code, codeLife, link, product }) => ({
      // The code is useless without the browser that asked for it, and most readers take it from the notification.
      subject: `${code} is your ${product} sign-in code`,
      heading: 'Your sign-in code',
      parts: [
        { line: rich`To sign in to ${product}, enter this code:` },
        { code },
        { line: rich`Or open this link:` },
        { link, label: 'Sign in' },
        { line: rich`The code and the link work once, ${lasting(codeLife)}.` },
        {
          note: rich`Do not give the code to anyone. If it was not you who asked for it, ignore this mail: nobody can sign in without the code or the link.`,
        },
      ],
    }),
    email_change: ({ code, codeLife, link, linkLife, product }) => ({
      subject: `Confirm your new email address for ${product}`,
      heading: 'Confirm your new email address',
      parts: [
        {
          line: rich`Someone asked to make this the email address of their ${product} account. If it was you, enter this code:`,
        },
        { code },
        { line: rich`Or open this link in the browser in which you are signed in:` },
        { link, label: 'Confirm the address' },
        { line: rich`The code works ${lasting(codeLife)}, the link ${lasting(linkLife)}.` },
        { note: rich`If it was not you, ignore this mail: nothing changes without the code or the link.` },
      ],
    }),
    email_changed: (view) => ({
      subject: `The email address of your ${view.product} account was changed`,
      heading: 'Your email address was changed',
      parts: [
        {
          line: rich`This is no longer the email address of your ${view.product} account: it was replaced by another one.`,
        },
        facts(view),
        {
          line: rich`If you made this change, you need to do nothing. This address receives no further mail about the account.`,
        },
        ...(view.link
          ? [
              { note: rich`If it was not you, undo the change with this link:` },
              { link: view.link, label: 'Undo the change' },
              { line: undoing(view) },
            ]
          : [{ note: en.advice('email_changed', view) }]),
      ],
    }),
    invitation: (view) => ({
      subject: `You are invited to ${view.product}`,
      heading: `Welcome to ${view.product}`,
      parts: [
        { line: rich`${en.greeting(view)}` },
        {
          line: rich`An account at ${view.product} was created for you. To use it, open this link and choose a password:`,
        },
        { link: view.link, label: 'Choose a password' },
        { line: rich`The link works once, ${lasting(view.linkLife)}.` },
        { note: rich`If you do not know why you received this mail, ignore it.` },
      ],
    }),
    device: (view) => ({
      subject: `Confirm a sign-in to ${view.product}`,
      heading: 'Sign-in on a new device',
      parts: [
        {
          line: rich`Someone entered the password of your ${view.product} account on a new device. If it was you, enter this code there:`,
        },
        { code: view.code },
        { line: rich`The code works once, ${lasting(view.codeLife)}.` },
        facts(view),
        {
          note: rich`If it was not you, someone else knows your password. Do not give the code to anyone, and change your password at once at ${view.site}.`,
        },
      ],
    }),
    notice: (view) => ({
      subject: SUBJECTS[view.cause](view.product),
      heading: HEADINGS[view.cause],
      parts: [
        { line: rich`${en.what(view)}` },
        facts(view),
        { line: rich`If it was you, you need to do nothing.` },
        { note: en.advice('notice', view) },
      ],
    }),
  },
  greeting: ({ name }) => (name === null ? 'Hello,' : `Hello ${name},`),
  what: ({ cause, product }) => WHAT[cause](product),
  advice(kind, view) {
    if (kind === 'notice') return ADVICE[view.cause](view)
    if (!view.link)
      return rich`If it was not you, ${supportOf(view)} at once: whoever made the change can now set a new password.`
    return rich`If it was not you, undo the change: ${{ href: view.link, text: view.link }}. ${undoing(view)}`
  },
  ...formats,
  duration: (ms) => formats.duration(ms, UNITS),
  unknownAddress: 'unknown',
  unknownDevice: 'unknown',
  orCopy: 'Or copy this address into the browser:',
  questions: (support) => rich`Questions? Write to ${support}.`,
}
