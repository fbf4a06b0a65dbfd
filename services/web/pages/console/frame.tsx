/** @jsxRuntime automatic @jsxImportSource preact */

import type { ComponentChildren } from 'preact'
import { quoted } from '../../../kit/shell-word.ts'
import { SignedInPage } from '../../components/document.tsx'
import { useRequest } from '../../components/request-context.ts'
import { CONSOLE } from '../../request/console.ts'

/** The address at which people are invited. */
export const INVITE = `${CONSOLE}/invite`

/** The address of a user in the console. */
export function addressOf({ id }: { id: string }): string {
  return `${CONSOLE}/users/${id}`
}

interface ConsolePageProps {
  children: ComponentChildren
  lead?: string
  title: string
  /** The path of the section that the page belongs to, if it is not that of the page. */
  section?: string
}

/** The frame of a page of the console. */
export function ConsolePage({ children, lead, section, title }: ConsolePageProps) {
  const { texts } = useRequest()
  const { nav, title: label } = texts.console
  const sections = [
    { path: CONSOLE, name: nav.users },
    { path: INVITE, name: nav.invite },
    { path: '/account', name: nav.account },
  ]
  return (
    <SignedInPage title={title} lead={lead} label={label} sections={sections} section={section}>
      {children}
    </SignedInPage>
  )
}

/**
 * The name by which a command of the tool takes a user. An email may begin with a dash, like an option: then their id.
 * @example referenceOf(user) // "ana@example.org"
 */
export function referenceOf({ email, id }: { email: string; id: string }): string {
  return email.startsWith('-') ? id : quoted(email)
}

/** An argument of a command: it may begin with a dash, like an option. */
export function argumentOf(word: string): string {
  return word.startsWith('-') ? `-- ${quoted(word)}` : quoted(word)
}

interface CommandProps {
  /** Tells the commands of one page apart. */
  id: string
  /** The command, without the name of the tool. */
  words: string
}

/** Characters that a terminal takes as keys, or may take as the end of a line. */
const KEYS = /\p{Cc}|[\u2028\u2029]/u

/**
 * The command of the tool that does the same as a button, to read or to copy. None with a name that holds keys of a terminal,
 * such as Ctrl-C and Enter: quotes do not protect from them, and the name may come from the link that opened the page.
 */
export function Command({ id, words }: CommandProps) {
  const texts = useRequest().texts.console
  if (KEYS.test(words)) return null
  const text = `ch202 ${words}`
  return (
    <div class="command small">
      <p>
        <span class="muted">{texts.command} </span>
        <span id={id}>
          <code>{text}</code>
        </span>
      </p>
      <button
        type="button"
        class="link"
        hidden
        data-does="copy"
        data-of={id}
        data-done={texts.copied}
        aria-label={texts.copyNamed(text)}
      >
        {texts.copy}
      </button>
    </div>
  )
}
