import { EVERY_MAIL, type MailText, type MailValues, mailTexts } from '../../services/auth/mail/texts/texts.ts'
import type { MailKind } from '../../services/auth/store/index.ts'
import { LOCALES, type Locale } from '../../services/kit/locale.ts'

export const TEXT_SETTINGS = {
  productName: 'Acme Notes',
  brandColor: '#1f6feb',
  supportEmail: 'help@example.org' as string | undefined,
  locale: 'en' as const,
  dataDir: '/nonexistent',
  publicUrl: 'https://app.example.org',
}

export interface SampleMail {
  /** The kind, and the cause of a notice, such as `notice-password_changed`. */
  name: string
  kind: MailKind
  locale: Locale
  values: MailValues
  mail: MailText
}

/** Every mail that Ch202 sends, in each language, with sample values. */
export function sampleMails(settings: Partial<typeof TEXT_SETTINGS> = {}, more: MailValues = {}): SampleMail[] {
  const texts = mailTexts({ ...TEXT_SETTINGS, ...settings })
  return LOCALES.flatMap((locale) =>
    EVERY_MAIL.map(({ kind, name, ...options }) => {
      const values = { ...texts.sample(kind, options), ...more }
      return { name, kind, locale, values, mail: texts.render(kind, locale, values) }
    }),
  )
}
