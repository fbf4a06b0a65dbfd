import { ARCHIVE } from '../../../db/sqlite/backup/archive.ts'
import { PASSPHRASE_MIN_LENGTH, readBucketUrl } from '../../../services/kit/process/bucket-url.ts'
import type { Environment } from '../../client/settings.ts'
import { EXIT, Failure, usage } from '../../exit.ts'

/** Bytes of a part of an upload: S3 allows 10,000, so an archive has at most 156 GiB. */
const PART_SIZE = 16 << 20
/** Milliseconds without any progress after which a bucket is given up. */
const STALLED_AFTER = 60_000
/** The names that `backup create` gives. */
const BACKUP_NAME = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z$/

export function isBackupName(name: string): boolean {
  return BACKUP_NAME.test(name)
}

/** A packed backup in the bucket. */
export interface StoredBackup {
  name: string
  bytes: number
  created_at: string
  /** When the upload ended. */
  stored_at: string
}

/** The bucket of BACKUP_S3_URL. An object exists only once it is complete. */
export class BackupBucket {
  private readonly client: Bun.S3Client
  private readonly prefix: string

  /** @throws Failure if the settings name no bucket, or no passphrase */
  constructor(
    env: Environment,
    private readonly stalledAfter = STALLED_AFTER,
  ) {
    const address = env.BACKUP_S3_URL?.trim()
    if (!address)
      throw usage(
        'BACKUP_S3_URL names no bucket',
        'BACKUP_S3_URL=https://key:secret@s3.example.org/bucket BACKUP_PASSPHRASE=… ch202 backup push',
      )
    const bucket = readBucketUrl(address)
    if (typeof bucket === 'string') throw usage(`BACKUP_S3_URL ${bucket}`)
    const { prefix, ...options } = bucket
    this.prefix = prefix
    // Without a key in the address, those of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN are used.
    const settings = Object.entries(options).filter(([, value]) => value !== undefined)
    this.client = new Bun.S3Client(Object.fromEntries(settings))
  }

  /** Lists the backups, the newest first. Other objects are left out. */
  async list(): Promise<StoredBackup[]> {
    const backups: StoredBackup[] = []
    let continuationToken: string | undefined
    do {
      const page = await this.asked(
        this.client.list({ prefix: this.prefix, ...(continuationToken && { continuationToken }) }),
      )
      for (const { key, lastModified, size } of page.contents ?? []) {
        const name = key.slice(this.prefix.length, -ARCHIVE.length)
        if (!key.endsWith(ARCHIVE) || !isBackupName(name)) continue
        backups.push({ name, bytes: size ?? 0, created_at: timeOfName(name), stored_at: String(lastModified ?? '') })
      }
      continuationToken = page.isTruncated ? page.nextContinuationToken : undefined
    } while (continuationToken !== undefined)
    return backups.sort((a, b) => (a.name < b.name ? 1 : -1))
  }

  /** Stores an archive in parts. After a failure there is no object. @returns its size in bytes */
  async put(name: string, archive: ReadableStream<Uint8Array>): Promise<number> {
    const writer = this.client.file(this.keyOf(name)).writer({ partSize: PART_SIZE, queueSize: 1, retry: 3 })
    let bytes = 0
    let unsent = 0
    // After a failure the writer is dropped, because its `end`, also with an error, would complete the upload: a cut archive
    // would have the name of a backup. The store keeps the parts until its own clean-up.
    for await (const chunk of archive) {
      writer.write(chunk)
      bytes += chunk.byteLength
      unsent += chunk.byteLength
      if (unsent < PART_SIZE) continue
      await this.asked(Promise.resolve(writer.flush()))
      unsent = 0
    }
    await this.asked(Promise.resolve(writer.end()))
    return bytes
  }

  /** Gives the archive of a backup. */
  get(name: string): ReadableStream<Uint8Array> {
    const reader = this.client.file(this.keyOf(name)).stream().getReader()
    return new ReadableStream({
      pull: async (controller) => {
        const { done, value } = await this.asked(reader.read())
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: (reason) => reader.cancel(reason),
    })
  }

  async remove(name: string): Promise<void> {
    await this.asked(this.client.delete(this.keyOf(name)))
  }

  private keyOf(name: string): string {
    return `${this.prefix}${name}${ARCHIVE}`
  }

  /** Waits for an answer of the store. @throws Failure that says what is wrong, without the key and its secret */
  private async asked<T>(answer: Promise<T>): Promise<T> {
    let timer: Timer | undefined
    const stalled = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('it has not answered for a minute')), this.stalledAfter)
    })
    try {
      return await Promise.race([answer, stalled])
    } catch (error) {
      throw bucketFailure(error)
    } finally {
      clearTimeout(timer)
    }
  }
}

/** The passphrase that encrypts what leaves this machine. @throws Failure if it is missing or too short */
export function passphraseOf(env: Environment): string {
  const passphrase = env.BACKUP_PASSPHRASE?.trim()
  if (passphrase && passphrase.length >= PASSPHRASE_MIN_LENGTH) return passphrase
  throw usage(
    passphrase
      ? `BACKUP_PASSPHRASE must have at least ${PASSPHRASE_MIN_LENGTH} characters`
      : 'BACKUP_PASSPHRASE is missing: backups leave this machine encrypted only',
    'openssl rand -hex 32',
  )
}

/** The time in the name of a backup: `2026-11-21T10-30-00-000Z`. */
function timeOfName(name: string): string {
  return name.replace(/T(\d\d)-(\d\d)-(\d\d)-/, 'T$1:$2:$3.')
}

/** Codes of the store's answers (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html). */
const REFUSED = ['AccessDenied', 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'ERR_S3_MISSING_CREDENTIALS']
const ABSENT = ['NoSuchBucket', 'NoSuchKey']

function bucketFailure(error: unknown): Failure {
  const { code = '', message = String(error) } = error as { code?: string; message?: string }
  const exit = REFUSED.includes(code) ? EXIT.notLoggedIn : ABSENT.includes(code) ? EXIT.notFound : EXIT.tryAgain
  const isNetwork = /^(Connection|E[A-Z]+$|FailedToOpenSocket|UnableTo)/.test(code)
  const reason = isNetwork ? `it cannot be reached (${code})` : code === '' ? message : `${message} (${code})`
  return new Failure(exit, `The bucket of BACKUP_S3_URL could not be used: ${reason}`, {
    code: 'bucket_failed',
    retryable: exit === EXIT.tryAgain,
  })
}
