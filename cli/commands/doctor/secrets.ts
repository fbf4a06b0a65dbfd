import { statSync } from 'node:fs'
import { secretsFile } from '../../../services/kit/process/secrets.ts'
import { quoted } from '../../terminal/shell.ts'
import { type Check, failed, ok, skipped, warning } from './check.ts'
import { isOpenToOthers, modeOf } from './files.ts'

/** The command that makes a secret. */
const COMMAND = 'openssl rand -base64 32'
const LENGTH_MIN = 32
/** Entropy in bits, from the frequency of each character; 128 random bits in hex measure 120 or more. */
const BITS_MIN = 100
const SAMPLE = /^(your[-_ ]|change[-_ ]?me|secret|example|sample|password|test|xxx)/i

export const secretsChecks: Check[] = [
  {
    id: 'secrets.strength',
    describes: 'the keys and `CH202_SECRET` are long and random, and not sample values',
    run({ config, databaseUrl, env, secrets }) {
      const production = config?.production ?? env.CH202_ENV?.trim() === 'production'
      const values = Object.entries(secrets).flatMap(([name, values]) => values.map((value) => ({ name, value })))
      if (values.length === 0 && !production && databaseUrl === undefined)
        return skipped('There are no secrets yet: the first start creates them')
      if (values.length === 0)
        return failed('There are no secrets: in production, and with a DATABASE_URL, no start creates them', COMMAND)
      const weak = values.flatMap(({ name, value }) => weaknessOf(name, value))
      if (weak.length === 0) return ok('The secrets are strong')
      return production ? failed(weak.join('; '), COMMAND) : warning(weak.join('; '), COMMAND)
    },
  },
  {
    id: 'secrets.mode',
    describes: 'only its owner can read `secrets.env`',
    run({ dataDir, databaseUrl }) {
      const path = secretsFile(dataDir)
      try {
        const { mode } = statSync(path)
        if (!isOpenToOthers(mode)) return ok('Only its owner can read secrets.env')
        return failed(
          `secrets.env has mode ${modeOf(mode)}: other users on this machine can read every key`,
          `chmod 600 ${quoted(path)}`,
        )
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code !== 'ENOENT') return skipped(`secrets.env cannot be read: ${code}`)
        const origin = `the secrets come from the environment${databaseUrl === undefined ? ', or the first start creates them' : ''}`
        return skipped(`There is no secrets.env: ${origin}`)
      }
    },
  },
]

/** Describes the weakness of a secret without its value. */
function weaknessOf(name: string, value: string): string[] {
  if (value.length < LENGTH_MIN) return [`${name} has ${value.length} characters, fewer than ${LENGTH_MIN}`]
  if (SAMPLE.test(value)) return [`${name} looks like a sample value`]
  return bitsOf(value) < BITS_MIN ? [`${name} is repetitive: it is easier to guess than its length suggests`] : []
}

function bitsOf(value: string): number {
  const counts = Map.groupBy(value, (character) => character)
  let bits = 0
  for (const { length } of counts.values()) bits -= length * Math.log2(length / value.length)
  return bits
}
