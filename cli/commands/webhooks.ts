import { type Command, InvalidArgumentError, Option } from 'commander'
import { EVENT_TYPES, type EventType } from '../../services/kit/schema/events.ts'
import { segment } from '../client/api.ts'
import { endOfId, UUID } from '../client/refs.ts'
import { addCommand, collectNames, group, type Tool, withTool } from '../command.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { type Extent, flags, list, listCommand } from '../terminal/lists.ts'
import { asFailure } from '../terminal/output.ts'
import { confirm } from '../terminal/terminal.ts'
import { withoutUndefined } from '../without-undefined.ts'

/** What a terminal has room for: of both there is more in the other forms. */
const COLUMNS = ['id', 'url', 'types', 'status']
const COLUMNS_OF_DELIVERIES = ['id', 'target', 'type', 'status', 'tries', 'last_status', 'last_error', 'next_at']
const STATUSES = ['pending', 'delivered', 'dead'] as const
const AMQP = 'amqp'

export function webhooksCommand(): Command {
  const webhooks = group('webhooks', 'Tell other systems what happens, and see what reached them')

  addCommand(webhooks, 'create', 'Add a webhook; the secret that signs what it gets is shown this once', [
    'ch202 webhooks create https://shop.example.org/hooks/ch202',
    'ch202 webhooks create https://crm.example.org/in --types user.created,user.deleted --fields secret -o csv',
  ])
    .argument('<url>', 'where to send: https://, or http:// outside production and on this machine')
    .option('--types <types>', `only these events, separated by commas: ${EVENT_TYPES.join(', ')}`, collectTypes)
    .option('--description <text>', 'what it is for')
    .action(withTool(create))

  addCommand(webhooks, 'list', 'List the webhooks', ['ch202 webhooks list', 'ch202 webhooks list -o json']).action(
    withTool(async (tool) => {
      const api = await tool.api()
      const { items } = await api.auth((auth) => auth.admin.webhooks.get())
      await tool.out.list(
        items.map((webhook) => shown(tool, webhook)),
        COLUMNS,
      )
    }),
  )

  addCommand(webhooks, 'delete', 'Delete a webhook, with what is on its way to it', [
    'ch202 webhooks delete 0193a8f4-7c1e-7b3a-9f00-3b1f0e9c2a11 --yes',
    'ch202 webhooks list -o ids | xargs -n 1 ch202 webhooks delete --yes',
  ])
    .argument('<webhook>', 'the id of the webhook')
    .option('--confirm <id>', 'the id of the webhook, in place of --yes')
    .action(withTool(remove))

  for (const [name, description] of [
    ['enable', 'Send to a webhook again from now on, as after its receiver said that it was gone'],
    ['disable', 'Send nothing more to a webhook; what was on its way to it is dead'],
  ] as const)
    addCommand(webhooks, name, description, [
      `ch202 webhooks list -o ids | head -n 1 | xargs ch202 webhooks ${name}`,
      `ch202 webhooks list -o ids | xargs -n 1 ch202 webhooks ${name} -o json`,
    ])
      .argument('<webhook>', 'the id of the webhook')
      .action(withTool((tool, _: object, id: string) => turn(tool, id, name === 'enable' ? 'active' : 'disabled')))

  listCommand(
    addCommand(webhooks, 'deliveries', 'List what is and was on its way to webhooks and to the broker, newest first', [
      'ch202 webhooks deliveries --status dead',
      'ch202 webhooks deliveries --webhook amqp --limit 5 -o json',
    ])
      .option('--webhook <webhook>', `only to this one: the id of a webhook, or ${AMQP}`)
      .addOption(new Option('--status <status>', 'only those that are').choices(STATUSES)),
  ).action(withTool(listDeliveries))

  addCommand(webhooks, 'replay', 'Send again what is dead or was delivered, or at once what waits for its next try', [
    'ch202 webhooks replay --webhook amqp --yes',
    'ch202 webhooks replay --status delivered --since 2026-11-20T10:00:00Z --yes -o json',
    'ch202 webhooks replay --status pending --yes',
    'ch202 webhooks deliveries --status dead -o ids | xargs -rn 1 ch202 webhooks replay',
  ])
    .argument('[delivery]', 'the id of one delivery; without it, all that are dead')
    .option('--webhook <webhook>', `only to this one: the id of a webhook, or ${AMQP}`)
    .addOption(new Option('--status <status>', 'those that are').choices(STATUSES))
    .option('--since <time>', 'only those that were first sent then or later (RFC 3339)')
    .action(withTool(replay))

  return webhooks
}

function collectTypes(value: string, before: EventType[] = []): EventType[] {
  return [
    ...before,
    ...collectNames(value).map((name) => {
      const type = EVENT_TYPES.find((known) => known === name)
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
  await tool.out.record({ ...shown(tool, created), changed: true })
  tool.out.say('The secret is shown this once: give it to the receiver now')
}

/** To people an empty cell would say that it gets none. */
function shown<T extends { types: string[] }>({ out }: Tool, webhook: T): T {
  return out.form.output === 'table' && webhook.types.length === 0 ? { ...webhook, types: ['all'] } : webhook
}

/** What is no id would lead elsewhere in the API. @throws Failure */
function checkId(id: string): void {
  if (!UUID.test(id)) throw endOfId(id, 'ch202 webhooks list') ?? noWebhook(id)
}

function noWebhook(id: string): Failure {
  return new Failure(EXIT.notFound, `There is no webhook ${id}`, {
    code: 'not_found',
    suggestion: 'ch202 webhooks list',
  })
}

async function remove(tool: Tool, { confirm: name }: { confirm?: string }, id: string): Promise<void> {
  const end = endOfId(id, 'ch202 webhooks list')
  if (end) throw end
  const api = await tool.api()
  const { items } = await api.auth((auth) => auth.admin.webhooks.get())
  const webhook = items.find((one) => one.id === id)
  if (!webhook) return gone(tool, id)
  await confirm(`Delete the webhook to ${webhook.url}? What is on its way to it is lost.`, {
    yes: tool.globals.yes,
    confirm: name,
    name: id,
  })
  try {
    await api.auth((auth) => auth.admin.webhooks({ webhook_id: segment(id) }).delete())
  } catch (error) {
    // Someone else was quicker.
    if (asFailure(error).exit === EXIT.notFound) return gone(tool, id)
    throw error
  }
  await tool.out.done(true, `The webhook ${id} is deleted`, { id })
}

function gone(tool: Tool, id: string): Promise<void> {
  return tool.out.done(false, `There is no webhook ${id}: nothing was deleted`, { id })
}

async function turn(tool: Tool, id: string, status: 'active' | 'disabled'): Promise<void> {
  checkId(id)
  const api = await tool.api()
  const { items } = await api.auth((auth) => auth.admin.webhooks.get())
  const before = items.find((one) => one.id === id)
  if (!before) throw noWebhook(id)
  const after = await api.auth((auth) => auth.admin.webhooks({ webhook_id: segment(id) }).patch({ status }))
  await tool.out.record({ ...shown(tool, after), changed: before.status !== status })
}

interface Which {
  webhook?: string
  status?: (typeof STATUSES)[number]
}

async function listDeliveries(tool: Tool, { status, webhook, ...extent }: Extent & Which): Promise<void> {
  const api = await tool.api()
  const query = withoutUndefined({ webhook, status })
  const words = ['webhooks', 'deliveries', ...flags({ webhook, status })]
  await list(tool, extent, words, COLUMNS_OF_DELIVERIES, (part) =>
    api.auth((auth) => auth.admin.webhooks.deliveries.get({ query: { ...query, ...part } })),
  )
}

async function replay(
  tool: Tool,
  { since, status, webhook }: { since?: string; status?: (typeof STATUSES)[number]; webhook?: string },
  delivery?: string,
): Promise<void> {
  const which = withoutUndefined({ since, status, webhook })
  if (delivery !== undefined && Object.keys(which).length > 0)
    throw usage('Say one delivery by its id, or which by --webhook, --status and --since')
  if (delivery === undefined)
    await confirm(
      `Send again everything ${webhook === undefined ? '' : `to ${webhook} `}that ${told(status, since)}?`,
      {
        yes: tool.globals.yes,
      },
    )
  const api = await tool.api()
  const { replayed } = await api.auth((auth) =>
    auth.admin.webhooks.replay.post(withoutUndefined({ ...which, delivery })),
  )
  await tool.out.record({ replayed, changed: replayed > 0 })
  if (replayed === 0)
    tool.out.say(
      delivery === undefined
        ? `Nothing ${webhook === undefined ? '' : `to ${webhook} `}that ${told(status, since)} could be sent: what is for a disabled webhook stays`
        : `Delivery ${delivery} was not sent again: it is for a disabled webhook, or does not exist`,
    )
}

function told(status: (typeof STATUSES)[number] = 'dead', since?: string): string {
  const what = { pending: 'waits', delivered: 'was delivered', dead: 'is dead' }[status]
  return `${what}${since === undefined ? '' : ` since ${since}`}`
}
