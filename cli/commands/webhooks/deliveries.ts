import { type Command, Option } from 'commander'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { flags, type ListOptions, list, listCommand } from '../../tool/lists.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { AMQP, type DeliveryStatus, STATUSES } from './webhook.ts'

/** The fields that fit a terminal; the other output formats have all of them. */
const COLUMNS = ['id', 'target', 'type', 'status', 'tries', 'last_status', 'last_error', 'next_at']

interface Filters extends ListOptions {
  webhook?: string
  status?: DeliveryStatus
}

/** Adds `webhooks deliveries`. */
export function addDeliveries(webhooks: Command): void {
  listCommand(
    addCommand(webhooks, 'deliveries', 'List deliveries to webhooks and to the message broker, newest first', [
      'ch202 webhooks deliveries --status dead',
      'ch202 webhooks deliveries --webhook amqp --limit 5 -o json',
    ])
      .option('--webhook <webhook>', `only deliveries to this webhook: its id, or ${AMQP} for the message broker`)
      .addOption(new Option('--status <status>', 'only deliveries with this status').choices(STATUSES)),
  ).action(withTool(listDeliveries))
}

async function listDeliveries(tool: Tool, { status, webhook, ...options }: Filters): Promise<void> {
  const api = await tool.api()
  const query = withoutUndefined({ webhook, status })
  const words = ['webhooks', 'deliveries', ...flags({ webhook, status })]
  await list(tool, options, words, COLUMNS, (page) =>
    api.auth((auth) => auth.admin.webhooks.deliveries.get({ query: { ...query, ...page } })),
  )
}
