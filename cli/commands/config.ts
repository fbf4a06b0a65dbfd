import { ConfigError, readConfig, settingDefaults } from '../../services/kit/process/config.ts'
import { secretsFile } from '../../services/kit/process/secrets.ts'
import { SERVICES } from '../../services/registry.ts'
import { connect, PLACES } from '../client/connection.ts'
import { currentContext, LOCAL } from '../client/contexts.ts'
import { unreachable } from '../client/issuer.ts'
import { dataDirOf, type Environment, knownEnvironment, SECRETS, withSecretsToBe } from '../client/settings.ts'
import { addCommand, group, type Tool, withTool } from '../command.ts'
import { EXIT } from '../exit.ts'
import type { Row } from '../terminal/output.ts'

export function configCommand() {
  const config = group('config', 'Show and check the settings')

  addCommand(config, 'show', 'Show every setting, and whom the tool itself talks to', [
    'ch202 config show',
    'ch202 config show --origin',
  ])
    .option('--origin', 'with where each value comes from')
    .action(withTool(show))

  addCommand(config, 'validate', 'Check the settings as a start would', [
    'ch202 config validate',
    'ch202 config validate -o json',
  ]).action(withTool(validate))

  return config
}

async function show({ env, globals, out }: Tool, { origin = false }: { origin?: boolean }): Promise<void> {
  const rows: Row[] = [
    ...settings(env),
    { name: 'context', value: currentContext(env) ?? LOCAL, origin: 'ch202 context use' },
  ]
  // The settings are told even where the tool itself can't make out whom to talk to.
  const connecting = await connect(globals.url, env).catch((error: unknown) => ({ error }))
  if (!('error' in connecting)) {
    const { addresses, credential } = connecting
    for (const place of PLACES)
      rows.push({ name: `${place}_address`, value: addresses[place].value, origin: addresses[place].origin })
    rows.push({ name: 'credential', value: credential?.kind ?? null, origin: credential?.origin ?? null })
  }
  const columns = origin ? ['name', 'value', 'origin'] : ['name', 'value']
  await out.list(origin ? rows : rows.map(({ name, value }) => ({ name, value })), columns, 'none')
  if ('error' in connecting) throw connecting.error
}

/** What the services would start with; of a secret only whether it is there. */
function settings(env: Environment): Row[] {
  const known = knownEnvironment(env)
  const file = secretsFile(dataDirOf(env))
  return [...settingDefaults(known, SERVICES)].map(([name, fallback]) => {
    const own = env[name]?.trim()
    const kept = known[name]?.trim()
    const origin = own ? 'environment' : kept ? file : 'default'
    if (SECRETS.some((secret) => secret === name))
      return { name, value: own ? 'set' : kept ? 'made at the first start' : 'missing', origin }
    return { name, value: withoutPassword(kept ?? fallback ?? null), origin }
  })
}

/** An address of a mail server may hold one. */
function withoutPassword(value: string | null): string | null {
  return value?.replace(/^([a-z+]+:\/\/)([^/@]*)@/i, '$1***@') ?? null
}

/** @throws what keeps `secrets.env` from being read */
async function validate({ env, out }: Tool): Promise<void> {
  const faults = await faultsOf(withSecretsToBe(env, knownEnvironment(env)))
  if (out.json) await out.record({ ok: faults.length === 0, faults })
  else if (faults.length === 0) await out.record({ settings: 'good' })
  else
    await out.list(
      faults.map((fault) => ({ fault })),
      ['fault'],
    )
  if (faults.length > 0) process.exitCode = EXIT.checkFailed
}

async function faultsOf(env: Environment): Promise<string[]> {
  try {
    return await unreachable(readConfig(env, SERVICES))
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
}
