import { buttonColors } from '../../../kit/colors.ts'
import type { Locale } from '../../../kit/locale.ts'
import type { MailKind } from '../../store/index.ts'
import type { Dictionary } from './dictionary.ts'
import { en } from './en.ts'
import { htmlText } from './html.ts'
import { type OwnTexts, readOwnTexts } from './own-texts.ts'
import { fill, type PlaceholderOf, placeholdersOf } from './placeholders.ts'
import { breakable, plainText } from './plain.ts'
import { htmlOf, plainOf } from './rich.ts'
import { ru } from './ru.ts'
import { type SampleOptions, sampleOf } from './samples.ts'
import { type MailValues, oneLine, type TextSettings, viewOf } from './view.ts'

export { EVERY_MAIL } from './samples.ts'
export type { MailValues } from './view.ts'

/** The words of a mail. The subject is one line; `text` and `html` say the same. */
export interface MailText {
  subject: string
  text: string
  html: string
}

export interface MailTexts {
  /** Writes a mail. The same values give the same mail. @throws Error when a value that the kind needs is missing */
  render(kind: MailKind, locale: Locale, values: MailValues): MailText
  /** The placeholders that texts of your own may have. */
  placeholders(kind: MailKind): PlaceholderOf[]
  /** Returns values that show what a mail looks like. Its link and code work nowhere. */
  sample(kind: MailKind, options?: SampleOptions): MailValues
}

const DICTIONARIES: Record<Locale, Dictionary> = { en, ru }

/**
 * Opens the texts of mails: those of the operator, in `mails/` of the data directory, take the place of ours. They are read
 * once, here.
 * @throws ConfigError that lists every fault of the operator's texts
 */
export function mailTexts(settings: TextSettings): MailTexts {
  const ownTexts: OwnTexts = readOwnTexts(settings.dataDir, { hasSupport: settings.supportEmail !== undefined })
  const button = buttonColors(settings.brandColor)
  return {
    render(kind, locale, values) {
      const dictionary = DICTIONARIES[locale]
      const view = viewOf(kind, values, dictionary, settings)
      const content = dictionary.letters[kind](view)
      const { body, subject } = ownTexts.get(`${locale}/${kind}`) ?? {}
      const filled = { kind, view, dictionary }
      return {
        subject: oneLine(subject === undefined ? content.subject : fill(subject, plainOf, filled)),
        text: body ? breakable(fill(body.text, plainOf, filled)) : plainText(content, view, dictionary),
        html: body ? fill(body.html, htmlOf, filled) : htmlText(content, view, dictionary, { locale, button }),
      }
    },
    placeholders: placeholdersOf,
    sample: (kind, options) => sampleOf(kind, settings.publicUrl, options),
  }
}
