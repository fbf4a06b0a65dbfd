import { readFileSync } from 'node:fs'
import { usage } from '../../../../exit.ts'
import { bytesIn } from '../record/imported-hash.ts'

/** The parameters that Firebase hashed the passwords of a project with. The key is a secret. */
export interface HashConfig {
  /** Base64. */
  signerKey: string
  separator: string
  rounds: number
  /** The logarithm of scrypt's N. */
  memoryCost: number
}

const ROUNDS_MAX = 8
const COST_MAX = 14

/**
 * Reads what the Firebase console shows: `hash_config { algorithm: SCRYPT, base64_signer_key: …, … }`.
 * @throws Failure that names what is missing, never what was there
 */
export function readHashConfig(path: string): HashConfig {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    throw usage(`The file of the hash parameters can't be read: ${path}`)
  }
  const value = (name: string) => new RegExp(`"?\\b${name}"?\\s*[:=]\\s*"?([^\\s",}]+)`).exec(text)?.[1]
  const complain = (what: string) =>
    usage(`${path}: ${what}. It should hold what the Firebase console shows as hash_config { … }`)
  const algorithm = value('algorithm')
  if (algorithm !== 'SCRYPT') throw complain('the algorithm must be SCRYPT')
  const [key, separator] = [bytesIn(value('base64_signer_key')), bytesIn(value('base64_salt_separator'))]
  if (!key) throw complain('base64_signer_key is missing, or is no base64')
  if (!separator) throw complain('base64_salt_separator is missing, or is no base64')
  const number = (name: string, most: number) => {
    const found = Number(value(name))
    if (!Number.isInteger(found) || found < 1 || found > most)
      throw complain(`${name} must be a number from 1 to ${most}`)
    return found
  }
  return {
    signerKey: key.toString('base64'),
    separator: separator.toString('base64'),
    rounds: number('rounds', ROUNDS_MAX),
    memoryCost: number('mem_cost', COST_MAX),
  }
}
