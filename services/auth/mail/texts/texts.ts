import type { Locale } from '../../../kit/locale.ts'
import type { MailKind } from '../../store/index.ts'
import { buttonColors } from './colors.ts'
import type { Dictionary } from './dictionary.ts'
import { en } from './en.ts'
import { htmlText } from './html.ts'
import { plainText } from './plain.ts'
import { sampleOf } from './samples.ts'
import { type MailValues, oneLine, type TextSettings, viewOf } from './view.ts'

export type { MailValues } from './view.ts'

/** What a mail says: the subject is one line, `text` and `html` say the same. */
export interface MailText {
  subject: string
  text: string
  html: string
}

export interface MailTexts {
  /** Writes a mail. The same values give the same mail. @throws Error when a value that the kind needs is missing */
  render(kind: MailKind, locale: Locale, values: MailValues): MailText
  /** Returns values that show what a mail looks like. Its link and code work nowhere. @param at when it happened, in milliseconds */
  sample(kind: MailKind, at?: number): MailValues
}

const DICTIONARIES: Record<Locale, Dictionary> = { en, ru: en }

/** Opens the texts of mails. */
export function mailTexts(settings: TextSettings): MailTexts {
  const button = buttonColors(settings.brandColor)
  return {
    render(kind, locale, values) {
      const dictionary = DICTIONARIES[locale]
      const view = viewOf(kind, values, dictionary, settings)
      const content = dictionary.letters[kind](view)
      return {
        subject: oneLine(content.subject),
        text: plainText(content, view, dictionary),
        html: htmlText(content, view, dictionary, { locale, button }),
      }
    },
    sample: (kind, at) => sampleOf(kind, settings.publicUrl, at),
  }
}
