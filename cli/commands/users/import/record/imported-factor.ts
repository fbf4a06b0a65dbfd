import { fromBase32, toBase32 } from '../../../../../services/auth/factors/totp.ts'
import type { Fields } from '../text/raw-record.ts'
import { fieldsInJson, fieldsOf } from './field-values.ts'

// Converts second factors of other products to the form that the API accepts.

/** An app that shows codes (RFC 6238). */
export interface ImportedApp {
  /** In Base32. A secret: it stays out of every report. */
  secret: string
  algorithm: 'SHA1' | 'SHA256' | 'SHA512'
  digits: number
  /** Seconds for which a code is shown. */
  period: number
  name?: string
}

/** The second factors of a user. */
export interface ImportedFactors {
  apps: ImportedApp[]
  /** Whether the user has another one, of a kind that cannot be imported. */
  hasOthers: boolean
}

/** Bytes of a secret, as the API accepts them. */
const SECRET_BYTES = { least: 10, most: 128 }
const NAME_MAX = 64
const ALGORITHMS: Record<string, ImportedApp['algorithm']> = {
  HmacSHA1: 'SHA1',
  HmacSHA256: 'SHA256',
  HmacSHA512: 'SHA512',
}
/** The kinds of credentials in Keycloak that are a second factor. Before version 9 an app had its algorithm as its type. */
const KEYCLOAK_FACTOR = /^(otp|totp|hotp|webauthn(-passwordless)?|recovery-authn-codes)$/

/** Reads the credentials of a user of Keycloak. */
export function keycloakFactors(credentials: unknown): ImportedFactors {
  const all = (Array.isArray(credentials) ? credentials : []).map(fieldsOf)
  return collected(all.filter(({ type }) => KEYCLOAK_FACTOR.test(String(type))).map(keycloakApp))
}

function keycloakApp(credential: Fields): ImportedApp | null {
  const data = credential.credentialData === undefined ? credential : fieldsInJson(credential.credentialData)
  const { value } = credential.secretData === undefined ? credential : fieldsInJson(credential.secretData)
  const { algorithm = 'HmacSHA1', digits = 6, period = 30, secretEncoding, subType = credential.type } = data
  const isByTime = subType === 'totp' || (credential.type === 'otp' && subType === 'otp')
  const hash = ALGORITHMS[String(algorithm)]
  if (!isByTime || typeof value !== 'string' || !hash) return null
  if (!isBetween(digits, 6, 8) || !isBetween(period, 15, 120)) return null
  // Without an encoding the secret is the bytes of the text.
  const secret = secretEncoding === 'BASE32' ? fromBase32(value) : Buffer.from(value)
  const name = typeof credential.userLabel === 'string' ? credential.userLabel.trim().slice(0, NAME_MAX) : ''
  return appWith(secret, { algorithm: hash, digits, period, ...(name !== '' && { name }) })
}

/** Reads the factors of a user of Auth0, in the form of its own import. */
export function auth0Factors(factors: unknown): ImportedFactors {
  const all = (Array.isArray(factors) ? factors : []).map(fieldsOf)
  return collected(
    all.map(({ totp }) => {
      const { secret } = fieldsOf(totp)
      if (typeof secret !== 'string') return null
      return appWith(fromBase32(secret), { algorithm: 'SHA1', digits: 6, period: 30 })
    }),
  )
}

/** @param apps null: a factor of a kind that cannot be imported */
function collected(apps: readonly (ImportedApp | null)[]): ImportedFactors {
  return { apps: apps.filter((app) => app !== null), hasOthers: apps.includes(null) }
}

function appWith(secret: Uint8Array | null, form: Omit<ImportedApp, 'secret'>): ImportedApp | null {
  if (!secret || secret.length < SECRET_BYTES.least || secret.length > SECRET_BYTES.most) return null
  return { secret: toBase32(secret), ...form }
}

function isBetween(value: unknown, least: number, most: number): value is number {
  return Number.isInteger(value) && Number(value) >= least && Number(value) <= most
}
