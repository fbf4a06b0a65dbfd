import type { Command } from 'commander'
import { SCOPES, USER_SCOPES } from '../../../services/kit/access/scopes.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { printWithSecret } from './client.ts'
import { type ClientFields, requestBodyOf, withFieldOptions } from './fields.ts'
import { namingOptions, suggestFix } from './fixes.ts'
import { warnOfScopes } from './scopes.ts'

/** Adds `clients create`. */
export function addCreate(clients: Command): void {
  withFieldOptions(
    addCommand(clients, 'create', 'Add a client, and print its secret once', [
      'ch202 clients create crm --scope users:read   # a machine that reads users',
      'ch202 clients create orders --scope introspect,modules:read   # a service that guards its routes',
      'ch202 clients create shop --redirect-uri https://shop.example.org/callback   # a web app',
      'ch202 clients create board --public --redirect-uri https://board.example.org/   # a single-page app',
      'ch202 clients create desktop --public --redirect-uri http://127.0.0.1/callback   # a native app, on any port',
    ])
      .argument('<name>', 'the name of the client, which users see')
      .option('--public', 'it runs in a browser or on a device, and has no secret'),
  )
    .option('--no-pkce', 'it need not use PKCE: only for a confidential client that cannot')
    .addHelpText('after', scopesHelp())
    .action(withTool(create))
}

function scopesHelp(): string {
  const width = Math.max(...Object.keys({ ...SCOPES, ...USER_SCOPES }).map((scope) => scope.length))
  const lines = (scopes: Record<string, string>) =>
    Object.entries(scopes).map(([scope, description]) => `  ${scope.padEnd(width)}  ${description}`)
  return [
    ...['', 'Scopes of machines:', ...lines(SCOPES)],
    ...['', 'Scopes of apps, for the user who signs in:', ...lines(USER_SCOPES)],
  ].join('\n')
}

async function create(
  tool: Tool,
  { pkce, public: isPublic, ...options }: ClientFields & { public?: boolean },
  name: string,
): Promise<void> {
  const body = {
    name,
    ...(isPublic ? { kind: 'public' as const } : {}),
    // Commander sets `pkce` unless it is negated.
    ...requestBodyOf(pkce === false ? { ...options, pkce } : options),
  }
  const api = await tool.api()
  const answer = api.auth((auth) => auth.admin.clients.post(body), suggestFix(body, 'ch202 clients create --help'))
  const created = await namingOptions(answer, body)
  await printWithSecret(tool, { ...created, changed: true })
  warnOfScopes(tool, created)
}
