import { readHashConfig } from '../firebase-hash-config.ts'
import type { ImportSettings } from '../import-options.ts'
import type { ReadRecord } from '../record.ts'
import type { Bytes } from '../text-lines.ts'
import { auth0 } from './auth0.ts'
import { csv } from './csv.ts'
import { django } from './django.ts'
import { firebase } from './firebase.ts'
import { jsonl } from './jsonl.ts'
import { keycloak } from './keycloak.ts'
import { supabase } from './supabase.ts'

/**
 * The records of a file, one at a time.
 * @throws Failure where the hash parameters can't be read
 */
export function recordsOf(source: Bytes, settings: ImportSettings): AsyncGenerator<ReadRecord> {
  const { format, hashConfig } = settings
  if (format === 'jsonl') return jsonl(source)
  if (format === 'csv') return csv(source)
  if (format === 'auth0') return auth0(source)
  if (format === 'keycloak') return keycloak(source)
  if (format === 'django') return django(source)
  if (format === 'supabase') return supabase(source)
  return firebase(source, readHashConfig(hashConfig ?? ''))
}
