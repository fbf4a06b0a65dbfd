import { mailTexts } from '../../services/auth/mail/texts/texts.ts'
import { ConfigError, readConfig, settingDefaults } from '../../services/kit/process/config.ts'
import { secretsFile } from '../../services/kit/process/secrets.ts'
import { SERVICE_NAMES, SERVICES } from '../../services/registry.ts'
import { connect } from '../client/connection.ts'
import { currentContext, LOCAL } from '../client/contexts.ts'
import {
  dataDirOf,
  type Environment,
  OPTIONAL_SECRETS,
  SECRETS,
  withPlannedSecrets,
  withStoredSecrets,
} from '../client/settings.ts'
import { EXIT } from '../exit.ts'
import { unreachableSettings } from '../runner/issuer.ts'
import type { Row } from '../terminal/table.ts'
import { addCommand, group, type Tool, withTool } from '../tool/command.ts'

export function configCommand() {
  const config = group('config', 'Show and check the settings')

  addCommand(config, 'show', 'Show every setting, and the addresses and credential that the tool uses', [
    'ch202 config show',
    'ch202 config show --origin',
  ])
    .option('--origin', 'show where each value comes from')
    .action(withTool(show))

  addCommand(config, 'validate', 'Check the settings as the services do at startup', [
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
  // The settings are shown even if the tool's own addresses cannot be determined.
  const connecting = await connect(globals.url, env).catch((error: unknown) => ({ error }))
  if (!('error' in connecting)) {
    const { addresses, credential } = connecting
    for (const service of SERVICE_NAMES)
      rows.push({ name: `${service}_address`, value: addresses[service].value, origin: addresses[service].origin })
    rows.push({ name: 'credential', value: credential?.kind ?? null, origin: credential?.origin ?? null })
  }
  const columns = origin ? ['name', 'value', 'origin'] : ['name', 'value']
  await out.list(origin ? rows : rows.map(({ name, value }) => ({ name, value })), columns, {
    omitEqual: 'none',
    chosen: origin,
  })
  if ('error' in connecting) throw connecting.error
}

/** The settings that the services would start with; of a secret only whether it is set. */
function settings(env: Environment): Row[] {
  const stored = withStoredSecrets(env)
  const file = secretsFile(dataDirOf(env))
  return [...settingDefaults(stored, SERVICES)].map(([name, defaultValue]) => {
    const fromEnvironment = env[name]?.trim()
    const value = stored[name]?.trim()
    const origin = fromEnvironment ? 'environment' : value ? file : 'default'
    if (SECRETS.some((secret) => secret === name))
      return { name, value: fromEnvironment ? 'set' : value ? 'from the first start' : 'missing', origin }
    if (OPTIONAL_SECRETS.some((secret) => secret === name)) return { name, value: value ? 'set' : null, origin }
    return { name, value: withoutPassword(value ?? defaultValue ?? null), origin }
  })
}

/** Hides the user and the password in the address of a mail server, a broker or a database. */
function withoutPassword(value: string | null): string | null {
  // A password may hold an unencoded @ or /.
  return value?.replace(/^((?!https?:)[a-z+]+:\/\/).*@/i, '$1***@').replace(/^(https?:\/\/)[^/@]*@/i, '$1***@') ?? null
}

/** @throws the error of an unreadable `secrets.env` */
async function validate({ env, out }: Tool): Promise<void> {
  const faults = await faultsOf(withPlannedSecrets(env, withStoredSecrets(env)))
  if (out.json) await out.record({ ok: faults.length === 0, faults })
  else if (faults.length === 0) await out.record({ settings: 'valid' })
  else
    await out.list(
      faults.map((fault) => ({ fault })),
      ['fault'],
    )
  if (faults.length > 0) process.exitCode = EXIT.checkFailed
}

async function faultsOf(env: Environment): Promise<string[]> {
  try {
    const config = readConfig(env, SERVICES)
    mailTexts(config)
    return await unreachableSettings(config)
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
}
