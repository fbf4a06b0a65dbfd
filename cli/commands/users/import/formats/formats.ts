import type { ReadRecord } from '../record/record.ts'
import type { Bytes } from '../text/text-lines.ts'
import { auth0 } from './auth0.ts'
import { csv } from './csv.ts'
import { django } from './django.ts'
import { firebase } from './firebase.ts'
import { readHashConfig } from './firebase-hash-config.ts'
import type { Format } from './format.ts'
import { jsonl } from './jsonl.ts'
import { keycloak } from './keycloak.ts'
import { supabase } from './supabase.ts'

interface FormatSettings {
  format: Format
  /** Path of a file with the hash parameters of a Firebase project. */
  hashConfig: string | null
}

/**
 * Reads the records of a file, one at a time.
 * @throws Failure if the file with the hash parameters cannot be read
 */
export function recordsOf(source: Bytes, { format, hashConfig }: FormatSettings): AsyncGenerator<ReadRecord> {
  if (format === 'jsonl') return jsonl(source)
  if (format === 'csv') return csv(source)
  if (format === 'auth0') return auth0(source)
  if (format === 'keycloak') return keycloak(source)
  if (format === 'django') return django(source)
  if (format === 'supabase') return supabase(source)
  return firebase(source, readHashConfig(hashConfig ?? ''))
}
