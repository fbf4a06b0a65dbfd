import { statSync } from 'node:fs'
import { secretsFile } from '../../../services/kit/process/secrets.ts'
import { quoted } from '../../terminal/shell.ts'
import { type Check, failed, ok, skipped, warning } from './check.ts'
import { isOpen, modeOf } from './files.ts'

const LENGTH_LEAST = 32
/** Bits, counted by how often each character stands in it: 128 random ones in hex have 120 and more. */
const BITS_LEAST = 100
const SAMPLE = /^(your[-_ ]|change[-_ ]?me|secret|example|sample|password|test|xxx)/i

export const secretsChecks: Check[] = [
  {
    id: 'secrets.strength',
    looksAt: 'the keys and `CH202_SECRET` are long, of many characters, and no samples',
    look({ config, env, secrets }) {
      const given = Object.entries(secrets).flatMap(([name, values]) => values.map((value) => ({ name, value })))
      if (given.length === 0) return skipped('No secret is known here: the first start makes them')
      const weak = given.flatMap(({ name, value }) => weaknessOf(name, value))
      if (weak.length === 0) return ok('The secrets are strong')
      const mend = 'openssl rand -base64 32'
      const production = config?.production ?? env.CH202_ENV === 'production'
      return production ? failed(weak.join('; '), mend) : warning(weak.join('; '), mend)
    },
  },
  {
    id: 'secrets.mode',
    looksAt: '`secrets.env` is its owner’s alone',
    look({ dataDir }) {
      const path = secretsFile(dataDir)
      try {
        const { mode } = statSync(path)
        if (!isOpen(mode)) return ok('secrets.env is its owner’s alone')
        return failed(
          `secrets.env has the mode ${modeOf(mode)}: others on this machine can read every key`,
          `chmod 600 ${quoted(path)}`,
        )
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code !== 'ENOENT') return skipped(`secrets.env can't be seen: ${code}`)
        return skipped('There is no secrets.env: the secrets come from the environment, or are yet to be made')
      }
    },
  },
]

/** Never the value. */
function weaknessOf(name: string, value: string): string[] {
  if (value.length < LENGTH_LEAST) return [`${name} has ${value.length} characters, fewer than ${LENGTH_LEAST}`]
  if (SAMPLE.test(value)) return [`${name} begins as a sample does`]
  return bitsOf(value) < BITS_LEAST ? [`${name} repeats itself: it is easier to guess than its length says`] : []
}

function bitsOf(value: string): number {
  const counts = Map.groupBy(value, (character) => character)
  let bits = 0
  for (const { length } of counts.values()) bits -= length * Math.log2(length / value.length)
  return bits
}
