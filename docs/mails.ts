import { EVERY_MAIL, mailTexts } from '../services/auth/mail/texts/texts.ts'
import { MAIL_KINDS, type MailKind } from '../services/auth/store/index.ts'
import { LOCALES } from '../services/kit/locale.ts'

/** The purpose of each mail, and its reader. */
const PURPOSES: Record<MailKind, string> = {
  password_reset: 'Someone asked for a link to set a new password. The link works once, for 30 minutes.',
  email_verification:
    'Confirms the address of an account, after a registration or on request. The code works for 10 minutes, the link for 24 hours.',
  email_code: 'Signs in without a password (`EMAIL_LOGIN=on`). The code and the link work for 10 minutes.',
  email_change:
    'Goes to the new address, before anything changes. The code works for 10 minutes, the link for an hour.',
  email_changed:
    'Goes to the previous address, and never names the new one. If that address was verified, it has a link that undoes the change for 7 days.',
  invitation: 'An operator created the account. The link works for 7 days.',
  device: 'Someone entered the right password on a new device (`DEVICE_TRUST`). The code works for 10 minutes.',
  notice: 'Reports what happened to the account. There are three causes.',
}
const LANGUAGES = { en: 'English', ru: 'Russian' }

/** Writes a section for each kind: subjects, pictures, placeholders. @param table writes a Markdown table */
export function mailSections(table: (head: string[], rows: string[][]) => string): string {
  const texts = mailTexts({
    productName: 'Ch202',
    brandColor: '#1f6feb',
    supportEmail: 'help@example.org',
    locale: 'en',
    dataDir: '/nonexistent',
    publicUrl: 'https://app.example.org',
  })
  return MAIL_KINDS.map((kind) => {
    const pictures = EVERY_MAIL.filter((each) => each.kind === kind).map(({ cause, name }) => {
      const mails = LOCALES.map((locale) => {
        const { subject } = texts.render(kind, locale, texts.sample(kind, { cause }))
        return `${LANGUAGES[locale]}: **${subject}**\n\n![${subject}](mails/${name}.${locale}.png)`
      })
      return [...(cause ? [`#### \`${cause}\``] : []), ...mails].join('\n\n')
    })
    const rows = texts
      .placeholders(kind)
      .map(({ isForSubject, isRequired, meaning, name }) => [
        `\`{{${name}}}\``,
        isRequired ? 'yes' : '',
        isForSubject ? 'yes' : '',
        meaning,
      ])
    const placeholders = table(['Placeholder', 'Required', 'In the subject', 'Meaning'], rows)
    return [`### \`${kind}\``, PURPOSES[kind], ...pictures, placeholders].join('\n\n')
  }).join('\n\n')
}
