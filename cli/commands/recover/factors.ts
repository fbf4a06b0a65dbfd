import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { openAuthStore } from '../../../db/auth/store.ts'
import { ADMIN } from '../../../services/kit/caller.ts'
import type { Config } from '../../../services/kit/process/config.ts'
import type { UserRead } from '../../../services/kit/schema/user.ts'
import type { ServiceName } from '../../../services/registry.ts'
import { readStored } from '../../runner/stored-data.ts'
import { agrees } from '../../terminal/confirm.ts'
import { quoted } from '../../terminal/shell.ts'
import { canAsk } from '../../terminal/terminal.ts'
import type { Tool } from '../../tool/command.ts'

type Settings = Config<ServiceName>

/** The second factors of an administrator, in the database of auth, which need not run. */
export interface StoredFactors {
  /** Whether the user has any. */
  has(userId: string): Promise<boolean>
  /** Removes all of them, with their row in the audit. @returns how many there were */
  remove(userId: string): Promise<number>
  close(): Promise<void>
}

const NO_FACTORS: StoredFactors = { has: async () => false, remove: async () => 0, close: async () => undefined }

/** Opens the factors. Where auth has never run, its database is not created. */
export async function openFactors(config: Settings): Promise<StoredFactors> {
  if (!(await hasDatabase(config))) return NO_FACTORS
  const { openAuthStore: open } = await import('../../../db/auth/store.ts')
  return factorsIn(await open(config, { amqp: config.amqpUrl !== undefined }))
}

async function hasDatabase({ databaseUrl, dataDir }: Settings): Promise<boolean> {
  if (!databaseUrl) return existsSync(join(dataDir, 'auth.sqlite'))
  const schema = await readStored({ dataDir, databaseUrl }, 'auth', async (auth) => Boolean(await auth.schema()), true)
  return schema !== undefined
}

function factorsIn(store: Awaited<ReturnType<typeof openAuthStore>>): StoredFactors {
  return {
    has: async (userId) => (await store.secondFactorMethods(userId)).length > 0,
    async remove(userId) {
      const [{ systemClock }, { systemRandom }] = await Promise.all([
        import('../../../services/kit/clock.ts'),
        import('../../../services/kit/random.ts'),
      ])
      const event = { id: systemRandom.id(), at: systemClock.now(), type: 'factors.reset', userId, detail: {} }
      return store.removeFactors(userId, 0, { ...event, actor: 'cli', ip: null, requestId: systemRandom.id() })
    },
    close: () => store.close(),
  }
}

/**
 * Whether to remove the factors of a user: as the flag says, or as someone in a terminal answers.
 * @throws Failure if they cancel
 */
export async function removesFactors(
  { globals }: Tool,
  factors: StoredFactors,
  { email, flag, userId }: { email: string; flag: boolean; userId: string | undefined },
): Promise<boolean> {
  if (userId === undefined || !(await factors.has(userId))) return false
  if (flag || globals.yes || !canAsk()) return flag
  return agrees(`Also remove the second factors and passkeys of ${email}? Without this the login asks for them.`)
}

/** Says what the next login asks for besides the new password. */
export function sayNext({ out }: Tool, user: UserRead, { mfa }: Settings, hasFactors: boolean): void {
  const { email, email_verified, roles } = user
  const mustHave = mfa === 'all' || (mfa === 'admins' && roles.includes(ADMIN))
  if (hasFactors) {
    const again = `ch202 recover ${quoted(email)} --remove-factors --generate`
    out.say(`The login asks for the second factor of ${email}, which was not removed\n→ ${again}`)
  } else if (mustHave && email_verified) out.say(`MFA=${mfa}: the login asks to add a second factor`)
  else if (mustHave) {
    const verify = `ch202 users update ${quoted(email)} --verified`
    out.say(`MFA=${mfa}: the email must be verified before the login can add a second factor\n→ ${verify}`)
  }
}
