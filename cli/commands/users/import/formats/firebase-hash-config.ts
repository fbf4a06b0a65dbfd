import { readFileSync } from 'node:fs'
import { usage } from '../../../../exit.ts'
import { bytesIn } from '../record/imported-hash.ts'

/** The parameters of a Firebase project's password hashes. The signer key is a secret. */
export interface HashConfig {
  /** Base64. */
  signerKey: string
  separator: string
  rounds: number
  /** Base-2 logarithm of scrypt's N. */
  memoryCost: number
}

const ROUNDS_MAX = 8
const COST_MAX = 14

/**
 * Reads the text that the Firebase console shows: `hash_config { algorithm: SCRYPT, base64_signer_key: …, … }`.
 * @throws Failure that names the missing parameter, without quoting the file
 */
export function readHashConfig(path: string): HashConfig {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    throw usage(`The file with the hash parameters cannot be read: ${path}`)
  }
  const value = (name: string) => new RegExp(`"?\\b${name}"?\\s*[:=]\\s*"?([^\\s",}]+)`).exec(text)?.[1]
  const failure = (reason: string) =>
    usage(`${path}: ${reason}. Copy the hash_config { … } from the Firebase console into it`)
  const algorithm = value('algorithm')
  if (algorithm !== 'SCRYPT') throw failure('the algorithm must be SCRYPT')
  const [key, separator] = [bytesIn(value('base64_signer_key')), bytesIn(value('base64_salt_separator'))]
  if (!key) throw failure('base64_signer_key is missing or not base64')
  if (!separator) throw failure('base64_salt_separator is missing or not base64')
  const number = (name: string, max: number) => {
    const parsed = Number(value(name))
    if (!Number.isInteger(parsed) || parsed < 1 || parsed > max)
      throw failure(`${name} must be a number from 1 to ${max}`)
    return parsed
  }
  return {
    signerKey: key.toString('base64'),
    separator: separator.toString('base64'),
    rounds: number('rounds', ROUNDS_MAX),
    memoryCost: number('mem_cost', COST_MAX),
  }
}
