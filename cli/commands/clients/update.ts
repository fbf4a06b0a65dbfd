import { type Command, Option } from 'commander'
import { usage } from '../../exit.ts'
import { quoted } from '../../terminal/shell.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { CLIENT_REF, type Client, changeClient, clientOf, hasSecret } from './client.ts'
import { type ClientFields, requestBodyOf, withFieldOptions } from './fields.ts'
import { namingOptions, suggestFix } from './fixes.ts'
import { warnOfScopes } from './scopes.ts'

/** Adds `clients update`. */
export function addUpdate(clients: Command): void {
  withFieldOptions(
    addCommand(clients, 'update', 'Change a client; a repeated option replaces the whole list', [
      'ch202 clients update reports --scope users:read,sessions:read',
      'ch202 clients update reports --no-resource --no-backchannel-logout-uri',
    ])
      .argument('<client>', CLIENT_REF)
      .option('--name <name>', 'a new name'),
  )
    .option('--no-redirect-uri', 'remove all addresses that users return to after they signed in')
    .option('--no-post-logout-redirect-uri', 'remove all addresses that users return to after they signed out')
    .option('--no-backchannel-logout-uri', 'do not report ends of sessions')
    .option('--no-scope', 'remove all scopes')
    .option('--no-resource', 'remove all services that it may get tokens for')
    .option('--no-jwks-uri', 'remove the address of its public keys')
    .option('--no-first-party', 'ask users for their consent')
    .option('--pkce', 'it must use PKCE')
    .option('--no-pkce', 'it need not use PKCE: only for a confidential client that cannot')
    .addOption(new Option('--status <status>', 'disabled refuses its tokens at once').choices(['active', 'disabled']))
    .action(withTool(update))
}

async function update(tool: Tool, { name, ...options }: ClientFields & { name?: string }, ref: string): Promise<void> {
  const body = withoutUndefined({ name, ...requestBodyOf(options) })
  if (Object.keys(body).length === 0)
    throw usage('Nothing to change: give an option such as --scope, --redirect-uri or --status', HELP)
  const before = await clientOf(tool, ref)
  const answer = changeClient(tool, before.id, body, suggestFix({ ...body, kind: before.kind }, HELP))
  const after = await namingOptions(answer, body)
  await tool.out.record({ ...after, changed: JSON.stringify(after) !== JSON.stringify(before) })
  if (body.scopes) warnOfScopes(tool, after)
  if (hasSecret(after) && !hasSecret(before)) sayThatSecretIsMissing(tool, after)
}

const HELP = 'ch202 clients update --help'

function sayThatSecretIsMissing(tool: Tool, { name }: Client): void {
  tool.out.say(`The client needs a secret to authenticate\n→ ch202 clients rotate-secret ${quoted(name)}`)
}
