import type { MailKind, NoticeCause } from '../../store/index.ts'
import type { Link, Rich } from './rich.ts'

/** A part of a mail. */
export type Part =
  | { line: Rich }
  | { code: string }
  /** A link, and the label of the button for it. */
  | { link: string; label: string }
  /** Names with values, such as when and from where something happened. */
  | { facts: readonly (readonly [name: string, value: string])[] }
  /** Advice for someone who did not do it. */
  | { note: Rich }

/** The content of a mail. The text and the HTML are written from the same content. */
export interface Content {
  subject: string
  heading: string
  parts: Part[]
}

/** How long a link or a code works. */
export interface Life {
  /** @example '10:30 UTC' */
  until: string
  /** @example '20 November 2026, 10:30 UTC' */
  fullUntil: string
  /** @example '30 minutes', in the case that the language needs after "for"; null: nothing says when it was created */
  lasts: string | null
}

/** The values of one mail, ready to be shown: nothing in them needs more than escaping. */
export interface View {
  product: string
  /** The base address of the product's pages. */
  site: Link
  /** Null: the product has no address for support. */
  support: Link | null
  /** Empty when the mail has no link. */
  link: string
  linkLife: Life
  code: string
  codeLife: Life
  when: string
  /** The IP address. */
  where: string
  device: string
  cause: NoticeCause
  name: string | null
  /** The address of an invited user. */
  email: string
}

/** The words of one language. */
export interface Dictionary {
  letters: Record<MailKind, (view: View) => Content>
  /** The first line of an invitation. */
  greeting(view: View): string
  /** One sentence that says what happened: of notices. */
  what(view: View): string
  /** Advice for someone who did not do it: of notices, and of the mail to the old address. */
  advice(kind: 'email_changed' | 'notice', view: View): Rich
  /** A duration after "for". */
  duration(ms: number): string
  dateTime(ms: number): string
  time(ms: number): string
  unknownAddress: string
  unknownDevice: string
  /** The line above a bare link in HTML. */
  orCopy: string
  /** The last line of a mail, for questions. */
  questions(support: Link): Rich
}
