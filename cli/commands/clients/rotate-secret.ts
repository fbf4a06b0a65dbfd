import type { Command } from 'commander'
import { segment } from '../../client/api.ts'
import { EXIT, Failure } from '../../exit.ts'
import { confirm } from '../../terminal/confirm.ts'
import { quoted } from '../../terminal/shell.ts'
import { addCommand, type Tool, withTool } from '../../tool/command.ts'
import { CLIENT_REF, type Client, clientOf, hasSecret, printWithSecret } from './client.ts'

/** Adds `clients rotate-secret`. */
export function addRotateSecret(clients: Command): void {
  addCommand(
    clients,
    'rotate-secret',
    'Give a client another secret, and print it once; the secret before it stays valid until the next rotation',
    [
      'ch202 clients rotate-secret reports',
      'ch202 clients rotate-secret reports --only --confirm reports -o json --fields client_secret',
    ],
  )
    .argument('<client>', CLIENT_REF)
    .option('--only', 'for emergencies: all other secrets of the client stop working at once')
    .option('--confirm <name>', 'the name of the client, instead of --yes')
    .action(withTool(rotate))
}

async function rotate(
  tool: Tool,
  { confirm: confirmation, only = false }: { confirm?: string; only?: boolean },
  ref: string,
): Promise<void> {
  const client = await clientOf(tool, ref)
  const { id, name } = client
  if (!hasSecret(client)) throw withoutSecret(client)
  if (only)
    await confirm(`Give the client ${name} another secret? All others stop working at once.`, {
      yes: tool.globals.yes,
      confirm: confirmation,
      name,
    })
  const api = await tool.api()
  const rotated = await api.auth((auth) => auth.admin.clients({ client_id: segment(id) }).secret.post({ only }))
  await printWithSecret(tool, { ...rotated, changed: true })
}

/** The failure for a client that does not authenticate with a secret. */
function withoutSecret({ kind, name }: Client): Failure {
  const isPublic = kind === 'public'
  return new Failure(
    EXIT.failed,
    `The client ${name} has no secret: it ${isPublic ? 'is public' : 'authenticates with its own key'}`,
    {
      code: 'validation_failed',
      suggestion: isPublic
        ? `ch202 clients get ${quoted(name)}`
        : `ch202 clients update ${quoted(name)} --auth-method client_secret_basic --no-jwks-uri`,
    },
  )
}
