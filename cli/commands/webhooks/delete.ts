import type { Command } from 'commander'
import { segment } from '../../client/api.ts'
import { EXIT } from '../../exit.ts'
import { confirm } from '../../terminal/confirm.ts'
import { asFailure } from '../../terminal/failures.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { shortenedIdFailure } from '../../tool/refs.ts'
import { findWebhook } from './webhook.ts'

/** Adds `webhooks delete`. */
export function addDelete(webhooks: Command): void {
  addCommand(webhooks, 'delete', 'Delete a webhook and its pending deliveries', [
    'ch202 webhooks delete 0193a8f4-7c1e-7b3a-9f00-3b1f0e9c2a11 --yes',
    'ch202 webhooks list -o ids | xargs -n 1 ch202 webhooks delete --yes',
  ])
    .argument('<webhook>', 'the id of the webhook')
    .option('--confirm <id>', 'the id of the webhook, instead of --yes')
    .action(withTool(deleteWebhook))
}

async function deleteWebhook(tool: Tool, { confirm: confirmation }: { confirm?: string }, id: string): Promise<void> {
  const shortened = shortenedIdFailure(id, 'ch202 webhooks list')
  if (shortened) throw shortened
  const webhook = await findWebhook(tool, id)
  if (!webhook) return nothingDeleted(tool, id)
  await confirm(`Delete the webhook to ${webhook.url}? Its pending deliveries are lost.`, {
    yes: tool.globals.yes,
    confirm: confirmation,
    name: id,
  })
  const api = await tool.api()
  try {
    await api.auth((auth) => auth.admin.webhooks({ webhook_id: segment(id) }).delete())
  } catch (error) {
    // Another operator may have deleted the webhook meanwhile.
    if (asFailure(error).exit === EXIT.notFound) return nothingDeleted(tool, id)
    throw error
  }
  await tool.out.done(true, `Deleted the webhook ${id}`, { id })
}

function nothingDeleted(tool: Tool, id: string): Promise<void> {
  return tool.out.done(false, `There is no webhook ${id}: nothing was deleted`, { id })
}
