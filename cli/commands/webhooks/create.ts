import { type Command, InvalidArgumentError } from 'commander'
import { EVENT_TYPES, type EventType } from '../../../services/kit/schema/events.ts'
import { addCommand, collectNames, type Tool, withTool } from '../../tool/command.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { displayed } from './webhook.ts'

/** Adds `webhooks create`. */
export function addCreate(webhooks: Command): void {
  addCommand(webhooks, 'create', 'Add a webhook, and print its signing secret once', [
    'ch202 webhooks create https://shop.example.org/hooks/ch202',
    'ch202 webhooks create https://crm.example.org/in --types user.created,user.deleted --fields secret -o csv',
  ])
    .argument('<url>', 'the address to send to: https://, or http:// in development or on this machine')
    .option('--types <types>', `only these events, separated by commas: ${EVENT_TYPES.join(', ')}`, collectTypes)
    .option('--description <text>', 'what the webhook is for')
    .action(withTool(create))
}

function collectTypes(value: string, before: EventType[] = []): EventType[] {
  return [
    ...before,
    ...collectNames(value).map((name) => {
      const type = EVENT_TYPES.find((eventType) => eventType === name)
      if (!type) throw new InvalidArgumentError(`There is no event ${name || '""'}`)
      return type
    }),
  ]
}

async function create(
  tool: Tool,
  { description, types }: { description?: string; types?: EventType[] },
  url: string,
): Promise<void> {
  const api = await tool.api()
  const created = await api.auth((auth) =>
    auth.admin.webhooks.post({ url, ...withoutUndefined({ types, description }) }),
  )
  await tool.out.record({ ...displayed(tool, created), changed: true })
  tool.out.say('The secret is shown only once: copy it to the receiver now')
}
