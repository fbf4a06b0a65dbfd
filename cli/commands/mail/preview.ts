import { Argument, type Command, Option } from 'commander'
import { mailTexts } from '../../../services/auth/mail/texts/texts.ts'
import { LOCALES, type Locale } from '../../../services/kit/locale.ts'
import { readConfig } from '../../../services/kit/process/config.ts'
import { MAIL_KINDS, type MailKind } from '../../../services/kit/schema/mails.ts'
import { SERVICES } from '../../../services/registry.ts'
import { withPlannedSecrets, withStoredSecrets } from '../../client/settings.ts'
import { plain, prose, write } from '../../terminal/terminal.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'

interface PreviewOptions {
  locale?: Locale
  html?: boolean
}

/** Adds `mail preview`. */
export function addPreview(mail: Command): void {
  addCommand(mail, 'preview', 'Print an email as this installation would send it, with sample values', [
    'ch202 mail preview invitation',
    'ch202 mail preview password_reset --locale ru',
    'ch202 mail preview notice --html > notice.html',
  ])
    .addArgument(new Argument('<kind>', 'what the email is for').choices(MAIL_KINDS))
    .addOption(new Option('--locale <locale>', 'the language (default: LOCALE)').choices(LOCALES))
    .option('--html', 'print the HTML')
    .action(withTool(preview))
}

/** Reads the settings and the texts of this machine: works while the services are down. @throws ConfigError */
async function preview(
  { env, out }: Tool,
  { html = false, ...options }: PreviewOptions,
  kind: MailKind,
): Promise<void> {
  const config = readConfig(withPlannedSecrets(env, withStoredSecrets(env)), SERVICES)
  const texts = mailTexts(config)
  const locale = options.locale ?? config.locale
  const mail = texts.render(kind, locale, texts.sample(kind))
  const placeholders = texts.placeholders(kind).map(({ isForSubject, isRequired, meaning, name }) => {
    return { name, required: isRequired, in_subject: isForSubject, meaning }
  })
  if (out.options.output !== 'table') return out.record({ kind, locale, ...mail, placeholders })
  if (html) return write(mail.html)
  const lines = [`Subject: ${mail.subject}`, '', ...mail.text.trimEnd().split('\n')]
  await write(prose(lines.map(plain).join('\n'), process.stdout))
  const names = placeholders.map(({ name, required }) => `{{${name}}}${required ? ' (required)' : ''}`)
  out.say(`Placeholders of mails/${locale}/${kind}.{txt,html} in the data directory: ${names.join(', ')}`)
}
