import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { LOCALES, type Locale } from '../../../services/kit/locale.ts'
import { MAIL_KINDS, type MailKind } from '../../../services/kit/schema/mails.ts'
import { isLocal } from '../../client/connection.ts'
import { dataDirOf } from '../../client/settings.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { sentMail } from './outcome.ts'

interface TestOptions {
  kind?: MailKind
  locale?: Locale
}

/** Adds `mail send-test`. */
export function addSendTest(mail: Command): void {
  addCommand(mail, 'send-test', 'Send a test email, and say whether the mail server takes it', [
    'ch202 mail send-test ana@example.org',
    'ch202 mail send-test ana@example.org --kind invitation --locale ru -o json',
  ])
    .argument('<address>', 'the email to send it to')
    .addOption(new Option('--kind <kind>', 'what email to send (default: notice)').choices(MAIL_KINDS))
    .addOption(new Option('--locale <locale>', 'the language (default: LOCALE)').choices(LOCALES))
    .action(withTool(sendTest))
}

async function sendTest(tool: Tool, options: TestOptions, to: string): Promise<void> {
  const api = await tool.api()
  const queued = await api.auth((auth) => auth.admin.mails.test.post({ to, ...withoutUndefined({ ...options }) }))
  const mail = await sentMail(tool, queued)
  await tool.out.record({ ...mail, changed: true })
  const file = await writtenFile(tool, queued.to, Date.parse(queued.created_at))
  tool.out.say(
    file === undefined
      ? '✓ The mail server took the email'
      : `✓ Written to ${file}, as all emails without SMTP_URL: it reaches nobody`,
  )
}

/** Finds the file of an email, which an instance on this machine writes if it has no mail server. */
async function writtenFile(tool: Tool, to: string, since: number): Promise<string | undefined> {
  const { addresses } = await tool.connection()
  if (!isLocal(addresses.auth.value)) return undefined
  const folder = join(dataDirOf(tool.env), 'mail')
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith('.eml'))
    const name = names.toSorted().findLast((one) => readFileSync(join(folder, one), 'utf8').includes(`To: ${to}\n`))
    return name === undefined || Date.parse(dateIn(join(folder, name))) < since - 1000 ? undefined : join(folder, name)
  } catch {
    return undefined
  }
}

function dateIn(file: string): string {
  return /^Date: (.+)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? ''
}
