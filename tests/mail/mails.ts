import { type MailText, type MailValues, mailTexts } from '../../services/auth/mail/texts/texts.ts'
import { MAIL_KINDS, type MailKind } from '../../services/auth/store/index.ts'
import { LOCALES, type Locale } from '../../services/kit/locale.ts'

export const TEXT_SETTINGS = {
  productName: 'Acme Notes',
  brandColor: '#1f6feb',
  supportEmail: 'help@example.org' as string | undefined,
  locale: 'en' as const,
  dataDir: '/nonexistent',
  publicUrl: 'https://app.example.org',
}

const CAUSES = ['password_changed', 'email_changed', 'device_confirmed'] as const

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
    MAIL_KINDS.flatMap((kind) =>
      (kind === 'notice' ? CAUSES : [undefined]).map((cause) => {
        const values = { ...texts.sample(kind), ...(cause ? { cause } : {}), ...more }
        const name = cause ? `${kind}-${cause}` : kind
        return { name, kind, locale, values, mail: texts.render(kind, locale, values) }
      }),
    ),
  )
}
