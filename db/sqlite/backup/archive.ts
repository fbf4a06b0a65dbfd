import { createReadStream, createWriteStream, statSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Decrypter, Encrypter } from 'age-encryption'
import { extract, pack } from 'tar-stream'
import { MANIFEST } from '../../../services/kit/process/verified-backup.ts'
import { flush } from '../durable.ts'
import { BackupError, readManifest } from './manifest.ts'

/** The end of the name of a packed backup: `age --decrypt` and `tar` open it without Ch202. */
export const ARCHIVE = '.tar.age'
/**
 * The base 2 logarithm of scrypt's cost: 64 MiB, a fraction of a second. The default of age, 256 MiB, is for passphrases that
 * people remember; this one is random, and small machines should not run out of memory at night.
 */
const SCRYPT_LOG_N = 16
const FILE_NAME = /^(manifest\.json|[a-z]+\.sqlite)$/

/**
 * Packs a backup into one encrypted stream (tar inside age, https://age-encryption.org/v1). Uses constant memory.
 * @throws BackupError if there is no complete backup at `path`
 */
export async function packedBackup(path: string, passphrase: string): Promise<ReadableStream<Uint8Array>> {
  const { services } = readManifest(path)
  const encrypter = new Encrypter()
  encrypter.setPassphrase(passphrase)
  encrypter.setScryptWorkFactor(SCRYPT_LOG_N)
  return encrypter.encrypt(tarOf(path, [MANIFEST, ...Object.values(services).map(({ file }) => file)]))
}

function tarOf(path: string, names: readonly string[]): ReadableStream<Uint8Array> {
  const tar = pack()
  const add = async () => {
    for (const name of names) {
      const { mtime, size } = statSync(join(path, name))
      await pipeline(createReadStream(join(path, name)), tar.entry({ name, size, mode: 0o600, mtime }))
    }
    tar.finalize()
  }
  add().catch((error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))))
  const chunks = tar[Symbol.asyncIterator]()
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    cancel() {
      tar.destroy()
    },
  })
}

/**
 * Unpacks what `packedBackup` made into an empty directory. Only files that a backup has are written, whatever the
 * archive names.
 * @throws BackupError if the passphrase does not open it, or it was cut or changed
 */
export async function unpackBackup(
  archive: ReadableStream<Uint8Array>,
  directory: string,
  passphrase: string,
): Promise<void> {
  const decrypter = new Decrypter()
  decrypter.addPassphrase(passphrase)
  let tar: ReadableStream<Uint8Array>
  try {
    tar = await decrypter.decrypt(archive)
  } catch (cause) {
    throw new BackupError(
      'backup_damaged',
      'BACKUP_PASSPHRASE does not open this backup: it was made with another one, or the backup was changed',
      { cause },
    )
  }
  try {
    await unpack(tar, directory)
  } catch (cause) {
    if (cause instanceof BackupError || isFull(cause)) throw cause
    throw new BackupError('backup_damaged', 'The backup was cut or changed: its encryption does not match', { cause })
  }
  readManifest(directory)
}

async function unpack(tar: ReadableStream<Uint8Array>, directory: string): Promise<void> {
  const entries = extract()
  // Rejects with the fault of the stream, which the loop below then throws too.
  const feeding = pipeline(Readable.fromWeb(tar as never), entries)
  feeding.catch(() => undefined)
  for await (const entry of entries) {
    const { name, type } = entry.header
    if (type !== 'file' || !FILE_NAME.test(name))
      throw new BackupError('backup_damaged', 'The archive has a file that is not part of a backup')
    const target = join(directory, name)
    // Two of one name: the second is refused.
    await pipeline(entry, createWriteStream(target, { flags: 'wx', mode: 0o600 }))
    flush(target)
  }
  await feeding
}

function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes((error as NodeJS.ErrnoException).code ?? '')
}
