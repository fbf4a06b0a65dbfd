import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { LOCALES, type Locale } from '../../../kit/locale.ts'
import { ConfigError } from '../../../kit/process/config.ts'
import { MAIL_KINDS, type MailKind } from '../../../kit/schema/mails.ts'
import { placeholdersIn, placeholdersOf } from './placeholders.ts'

/** Texts of an operator for one kind in one language. */
export interface OwnText {
  /** Undefined: the subject stays as it is. */
  subject?: string
  /** Undefined: only the subject is the operator's. */
  body?: { text: string; html: string }
}

export type OwnTexts = ReadonlyMap<`${Locale}/${MailKind}`, OwnText>

const FOLDER = 'mails'
/** The end of each file's name, after the kind. */
const FORMS = { '.subject.txt': 'subject', '.txt': 'text', '.html': 'html' } as const
type Form = (typeof FORMS)[keyof typeof FORMS]
/** Mail programs cut longer mails: Gmail at 102 KB, with what the values add. */
const MOST_BYTES = 90 * 1024
const BOTH = 'a mail has a text and an HTML form'

/**
 * Reads the texts in `mails/<locale>/<kind>.{subject.txt,txt,html}` of the data directory. A kind has both
 * forms or none. Names that begin with a dot are left alone.
 * @param hasSupport whether `{{support}}` has a value
 * @throws ConfigError that lists every fault at once
 */
export function readOwnTexts(dataDir: string, { hasSupport }: { hasSupport: boolean }): OwnTexts {
  const faults: string[] = []
  const texts = new Map<`${Locale}/${MailKind}`, OwnText>()
  for (const folder of namesIn(dataDir, FOLDER, faults)) {
    const locale = LOCALES.find((each) => each === folder)
    if (!locale) faults.push(`${FOLDER}/${folder} is unknown: the languages are ${LOCALES.join(' and ')}`)
    else
      for (const [kind, text] of textsIn(dataDir, locale, { faults, hasSupport })) texts.set(`${locale}/${kind}`, text)
  }
  if (faults.length > 0) throw new ConfigError(faults)
  return texts
}

/** Reads the texts of one language. */
function textsIn(
  dataDir: string,
  locale: Locale,
  { faults, hasSupport }: { faults: string[]; hasSupport: boolean },
): Map<MailKind, OwnText> {
  const folder = `${FOLDER}/${locale}`
  const files = new Map<MailKind, Partial<Record<Form, string>>>()
  for (const name of namesIn(dataDir, folder, faults)) {
    const path = `${folder}/${name}`
    const { form, kind } = partsOfName(name)
    if (form === undefined) faults.push(`${path} is unknown: a name is <kind>.subject.txt, <kind>.txt or <kind>.html`)
    else if (kind === undefined) faults.push(`${path} is unknown: the kinds are ${MAIL_KINDS.join(', ')}`)
    else {
      const text = readText(dataDir, path, faults)
      if (text !== undefined)
        faults.push(...faultsOf(text, { form, hasSupport, kind }).map((fault) => `${path} ${fault}`))
      files.set(kind, { ...files.get(kind), [form]: text ?? '' })
    }
  }
  const texts = new Map<MailKind, OwnText>()
  for (const [kind, { html, subject, text }] of files) {
    if (text === undefined && html !== undefined) faults.push(`${folder}/${kind}.txt is missing: ${BOTH}`)
    if (html === undefined && text !== undefined) faults.push(`${folder}/${kind}.html is missing: ${BOTH}`)
    texts.set(kind, {
      ...(subject === undefined ? {} : { subject }),
      ...(text === undefined || html === undefined ? {} : { body: { text, html } }),
    })
  }
  return texts
}

function partsOfName(name: string): { kind?: MailKind; form?: Form } {
  // `.subject.txt` comes first: it ends with `.txt`, too.
  const [end, form] = Object.entries(FORMS).find(([each]) => name.endsWith(each)) ?? []
  if (end === undefined || form === undefined) return {}
  const kind = MAIL_KINDS.find((each) => each === name.slice(0, -end.length))
  return kind === undefined ? { form } : { form, kind }
}

/** The names in a folder, sorted. Without the folder, there are no names. */
function namesIn(dataDir: string, path: string, faults: string[]): string[] {
  try {
    return readdirSync(join(dataDir, path))
      .filter((name) => !name.startsWith('.'))
      .sort()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT')
      faults.push(code === 'ENOTDIR' ? `${path} must be a folder` : `${path} cannot be read: ${code}`)
    return []
  }
}

/** Reads a file of UTF-8. Lines end with a line feed. */
function readText(dataDir: string, path: string, faults: string[]): string | undefined {
  try {
    const file = join(dataDir, path)
    if (!statSync(file).isFile()) faults.push(`${path} must be a file`)
    else {
      const bytes = readFileSync(file)
      if (bytes.length > MOST_BYTES)
        faults.push(`${path} must have at most ${MOST_BYTES / 1024} KiB: mail programs cut longer mails`)
      else return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replaceAll(/\r\n?/g, '\n')
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const isText = error instanceof TypeError || code === 'ERR_ENCODING_INVALID_ENCODED_DATA'
    faults.push(isText ? `${path} must be UTF-8` : `${path} cannot be read: ${code}`)
  }
  return undefined
}

/** The faults of a text, each to follow the name of its file. */
function faultsOf(
  text: string,
  { form, hasSupport, kind }: { form: Form; hasSupport: boolean; kind: MailKind },
): string[] {
  const faults: string[] = []
  if (text.trim() === '') faults.push('is empty')
  if (form === 'subject' && text.trim().includes('\n')) faults.push('must be one line')
  if (/(?![\t\n])\p{Cc}/u.test(text)) faults.push('must not contain control characters')
  const rules = placeholdersOf(kind)
  const allowed = rules.filter(({ isForSubject }) => form !== 'subject' || isForSubject).map(({ name }) => name)
  const present = placeholdersIn(text)
  for (const name of present) {
    const isKnown = rules.some((rule) => rule.name === name)
    if (name === '{{') faults.push('has {{ without }}')
    else if (!isKnown) faults.push(`has the unknown placeholder {{${name}}}: it may have ${listed(allowed)}`)
    else if (!allowed.some((each) => each === name)) faults.push(`must not have {{${name}}}, which is secret`)
    else if (name === 'support' && !hasSupport) faults.push('has {{support}}, but SUPPORT_EMAIL is not set')
  }
  if (form !== 'subject')
    for (const { isRequired, name } of rules) if (isRequired && !present.has(name)) faults.push(`must have {{${name}}}`)
  return faults
}

const listed = (names: string[]) => names.map((name) => `{{${name}}}`).join(', ')
