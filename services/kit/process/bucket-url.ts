/** Characters of BACKUP_PASSPHRASE: whoever has a copy can try passphrases for years. */
export const PASSPHRASE_MIN_LENGTH = 20

/** A bucket of an S3-compatible store for copies of backups, and the key for it. */
export interface Bucket {
  bucket: string
  /** The beginning of every name in the bucket: empty, or with a slash at the end. */
  prefix: string
  /** Undefined: that of AWS. */
  endpoint: string | undefined
  region: string | undefined
  accessKeyId: string | undefined
  secretAccessKey: string | undefined
}

/** 3 to 63 lower-case letters, digits, dots and dashes (the rules of AWS for names of buckets). */
const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/

/**
 * Reads `https://key:secret@host/bucket/prefix?region=…`, or `s3://bucket/prefix?region=…` for AWS.
 * @returns the bucket, or the fault as text without any part of the address, because that may hold a secret
 */
export function readBucketUrl(address: string): Bucket | string {
  const url = URL.parse(address)
  if (!url || !/^(https?|s3):$/.test(url.protocol) || url.hash !== '')
    return 'must be an address such as https://key:secret@s3.example.org/bucket or s3://bucket'
  const unknown = [...url.searchParams.keys()].find((name) => name !== 'region')
  if (unknown !== undefined) return 'may have the option region, and no other'
  if ((url.username === '') !== (url.password === '')) return 'must have a key and its secret, or neither'
  const names = url.pathname.split('/').filter(Boolean)
  const isAws = url.protocol === 's3:'
  const [bucket = '', ...prefix] = isAws ? [url.hostname, ...names] : names
  if (!BUCKET_NAME.test(bucket))
    return `must name a bucket, such as ${isAws ? 's3://bucket' : 'https://key:secret@s3.example.org/bucket'}`
  if (!prefix.every((name) => /^[\w.-]+$/.test(name) && !/^\.+$/.test(name)))
    return 'must have a prefix of letters, digits, dots, dashes and underscores'
  return {
    bucket,
    prefix: prefix.map((name) => `${name}/`).join(''),
    endpoint: isAws ? undefined : url.origin,
    region: url.searchParams.get('region') ?? undefined,
    accessKeyId: decoded(url.username),
    secretAccessKey: decoded(url.password),
  }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text) || undefined
  } catch {
    return text
  }
}
