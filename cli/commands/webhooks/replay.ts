import { type Command, Option } from 'commander'
import { usage } from '../../exit.ts'
import { confirm } from '../../terminal/confirm.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { AMQP, type DeliveryStatus, STATUSES } from './webhook.ts'

interface Filters {
  webhook?: string
  status?: DeliveryStatus
  since?: string
}

/** Adds `webhooks replay`. */
export function addReplay(webhooks: Command): void {
  addCommand(webhooks, 'replay', 'Resend dead or delivered events, or retry pending ones now', [
    'ch202 webhooks replay --webhook amqp --yes',
    'ch202 webhooks replay --status delivered --since 2026-11-20T10:00:00Z --yes -o json',
    'ch202 webhooks replay --status pending --yes',
    'ch202 webhooks deliveries --status dead -o ids | xargs -rn 1 ch202 webhooks replay',
  ])
    .argument('[delivery]', 'the id of one delivery; without it, all dead deliveries')
    .option('--webhook <webhook>', `only deliveries to this webhook: its id, or ${AMQP} for the message broker`)
    .addOption(new Option('--status <status>', 'only deliveries with this status (default: dead)').choices(STATUSES))
    .option('--since <time>', 'only deliveries first sent at this time or later (RFC 3339)')
    .action(withTool(replay))
}

async function replay(tool: Tool, { since, status, webhook }: Filters, delivery?: string): Promise<void> {
  const filters = withoutUndefined({ since, status, webhook })
  if (delivery !== undefined && Object.keys(filters).length > 0)
    throw usage('Give either the id of one delivery, or --webhook, --status and --since')
  const selection = `${status ?? 'dead'} deliveries${webhook === undefined ? '' : ` to ${webhook}`}${since === undefined ? '' : ` since ${since}`}`
  if (delivery === undefined) await confirm(`Send all ${selection} again?`, { yes: tool.globals.yes })
  const api = await tool.api()
  const { replayed } = await api.auth((auth) =>
    auth.admin.webhooks.replay.post(withoutUndefined({ ...filters, delivery })),
  )
  await tool.out.record({ replayed, changed: replayed > 0 })
  if (replayed === 0)
    tool.out.say(
      delivery === undefined
        ? `There are no ${selection} to send: those of a disabled webhook are not sent`
        : `Delivery ${delivery} was not sent again: it does not exist, or its webhook is disabled`,
    )
}
