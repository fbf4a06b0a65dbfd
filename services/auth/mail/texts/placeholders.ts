import type { MailKind } from '../../store/index.ts'
import type { Dictionary, View } from './dictionary.ts'
import type { Rich } from './rich.ts'

// What texts of your own may contain. The lists are part of what operators rely on: a name that was once here stays.

interface Placeholder {
  /** For operators. */
  meaning: string
  value(view: View, dictionary: Dictionary, kind: MailKind): Rich
}

const line = (text: string): Rich => [text]

const PLACEHOLDERS = {
  link: { meaning: 'The link', value: ({ link }) => line(link) },
  code: { meaning: 'The code, 6 digits', value: ({ code }) => line(code) },
  expires: { meaning: 'Until when the link works', value: ({ linkLife }) => line(linkLife.fullUntil) },
  code_expires: { meaning: 'Until when the code works', value: ({ codeLife }) => line(codeLife.fullUntil) },
  what: { meaning: 'What happened, in one sentence', value: (view, { what }) => line(what(view)) },
  advice: {
    meaning: 'What to do if it was someone else; in a mail about an undoable change with the link to undo it',
    value: (view, { advice }, kind) => advice(kind === 'email_changed' ? kind : 'notice', view),
  },
  when: { meaning: 'When it happened', value: ({ when }) => line(when) },
  where: { meaning: 'The IP address', value: ({ where }) => line(where) },
  device: { meaning: 'The browser and the system, such as `Firefox, Linux`', value: ({ device }) => line(device) },
  greeting: {
    meaning: 'A greeting, with the name if there is one',
    value: (view, { greeting }) => line(greeting(view)),
  },
  email: { meaning: 'The invited address', value: ({ email }) => line(email) },
  product: { meaning: '`PRODUCT_NAME`', value: ({ product }) => line(product) },
  site: { meaning: '`PUBLIC_URL`', value: ({ site }) => line(site.text) },
  support: { meaning: '`SUPPORT_EMAIL`, which must be set', value: ({ support }) => line(support?.text ?? '') },
} satisfies Record<string, Placeholder>

export type PlaceholderName = keyof typeof PLACEHOLDERS

/** In every kind. */
const COMMON: PlaceholderName[] = ['product', 'site', 'support']
const EVENT: PlaceholderName[] = ['when', 'where', 'device']

/** The placeholders of each kind. The text and the HTML must have those that are required. */
const OF_KIND: Record<MailKind, { required: PlaceholderName[]; optional: PlaceholderName[] }> = {
  password_reset: { required: ['link'], optional: ['expires'] },
  email_verification: { required: ['code', 'link'], optional: ['code_expires', 'expires'] },
  email_code: { required: ['code', 'link'], optional: ['code_expires', 'expires'] },
  email_change: { required: ['code', 'link'], optional: ['code_expires', 'expires'] },
  // The link is in the advice: not every change can be undone.
  email_changed: { required: ['advice'], optional: EVENT },
  invitation: { required: ['link'], optional: ['expires', 'greeting', 'email'] },
  device: { required: ['code'], optional: ['code_expires', ...EVENT] },
  notice: { required: ['what', 'advice'], optional: EVENT },
}

/** Never in a subject, which servers log and screens show when they are locked. */
const SECRET: ReadonlySet<PlaceholderName> = new Set(['link', 'code', 'advice'])

export interface PlaceholderOf {
  name: PlaceholderName
  /** Whether the text and the HTML must have it. */
  isRequired: boolean
  /** Whether the subject may have it. */
  isForSubject: boolean
  meaning: string
}

/** The placeholders that the own texts of a kind may have. */
export function placeholdersOf(kind: MailKind): PlaceholderOf[] {
  const { optional, required } = OF_KIND[kind]
  return [...required, ...optional, ...COMMON].map((name) => ({
    name,
    isRequired: required.includes(name),
    isForSubject: !SECRET.has(name) || (name === 'code' && kind === 'email_code'),
    meaning: PLACEHOLDERS[name].meaning,
  }))
}

const PATTERN = /\{\{\s*([^{}]*?)\s*\}\}/g

/** The names of the placeholders in a text, known or not. A `{{` that nothing closes is one, too. */
export function placeholdersIn(text: string): Set<string> {
  const names = [...text.matchAll(PATTERN)].map(([, name = '']) => name)
  const isUnclosed = text.replaceAll(PATTERN, '').includes('{{')
  return new Set([...names, ...(isUnclosed ? ['{{'] : [])])
}

/** Replaces the placeholders of a text, which were checked. @param write writes a value, such as with escapes for HTML */
export function fill(
  text: string,
  write: (value: Rich) => string,
  { dictionary, kind, view }: { kind: MailKind; view: View; dictionary: Dictionary },
): string {
  return text.replaceAll(PATTERN, (_, name: PlaceholderName) => write(PLACEHOLDERS[name].value(view, dictionary, kind)))
}
