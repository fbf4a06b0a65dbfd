import type { Command } from 'commander'
import { segment } from '../../client/api.ts'
import { EXIT, Failure } from '../../exit.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { forEachRef, shortenedIdFailure } from '../../tool/refs.ts'

/** Adds `mail retry`. */
export function addRetry(mail: Command): void {
  addCommand(mail, 'retry', 'Send an email that failed again, or one that waits at once', [
    'ch202 mail list --status failed --limit 1 -o ids | xargs -r ch202 mail retry',
    'ch202 mail list --status queued --all -o ids | xargs -rn 1 ch202 mail retry',
  ])
    .argument('<id>', 'the id of an email; - reads one per line from standard input')
    .action(withTool((tool, _: object, id: string) => forEachRef(tool, id, (one) => retry(tool, one))))
}

async function retry(tool: Tool, id: string) {
  const shortened = shortenedIdFailure(id, 'ch202 mail list')
  if (shortened) throw shortened
  const api = await tool.api()
  try {
    const mail = await api.auth((auth) => auth.admin.mails({ mail_id: segment(id) }).retry.post())
    return { ...mail, changed: true }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const { code } = error.details
    if (code === 'invalid_challenge')
      throw new Failure(error.exit, error.message, { ...error.details, suggestion: 'ch202 users send-reset <ref>' })
    if (error.exit !== EXIT.notFound) throw error
    const message = error.message === 'Not found' ? `There is no email ${id}` : `${error.message}: ${id}`
    throw new Failure(error.exit, message, { ...error.details, suggestion: 'ch202 mail list --status failed' })
  }
}
