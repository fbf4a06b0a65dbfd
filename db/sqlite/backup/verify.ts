import { Database } from 'bun:sqlite'
import { chmodSync, constants, copyFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { databases } from '../../../services/databases.ts'
import { MANIFEST, VERIFIED } from '../../../services/kit/process/verified-backup.ts'
import { examineChain } from '../audit-chain.ts'
import { type Draft, newDraft, removeStaleDrafts } from '../drafts.ts'
import { flush, sha256Of } from '../durable.ts'
import { type Check, contentChecks, failed, messageOf, type OpensKey, passed } from './checks.ts'
import { BACKUP_DRAFT } from './create.ts'
import { BackupError, type DatabaseCopy, type Manifest, readManifest, verification } from './manifest.ts'
import { reconcile } from './reconcile.ts'

/**
 * Restores a backup into a temporary directory, with every check, and records a success beside the manifest.
 * @param now milliseconds since the epoch
 * @returns `verifiedAt`: null when a check failed; `recorded`: whether the result could be written
 * @throws BackupError when there is no backup at `path`
 */
export async function verifyBackup(path: string, opens: OpensKey, now: number) {
  const draft = trialDraft(dirname(path))
  try {
    const checks = await restoreInto(draft.path, path, opens, now)
    // Checked here only: a restore is allowed even if the chain is broken, as there may be no other backup.
    if (checks.every(({ ok }) => ok)) checks.push(auditCheck(draft.path))
    if (!checks.every(({ ok }) => ok)) return { checks, verifiedAt: null, recorded: false }
    const result = verification(path, now)
    return { checks, verifiedAt: result.verified_at, recorded: record(path, result) }
  } finally {
    draft.discard()
  }
}

/**
 * Restores a backup into an empty directory, as databases that an instance can start with. Files are checked after they
 * were copied, so that the checks hold for the restored files.
 * @returns the checks; when one failed, the directory is unusable
 * @throws BackupError when there is no backup at `path`
 */
export async function restoreInto(
  directory: string,
  path: string,
  opens: OpensKey | null,
  now: number,
): Promise<Check[]> {
  const checks: Check[] = []
  const manifest = manifestOf(path, checks)
  if (!manifest) return checks
  checks.push(extraFiles(path, manifest))
  for (const database of databases(directory)) {
    const backedUp = manifest.services[database.name]
    if (backedUp === undefined) continue
    const copied = await copyChecked(path, directory, database.name, backedUp)
    checks.push(copied)
    if (copied.ok) checks.push(...(await contentChecks(database, opens)))
  }
  if (checks.every(({ ok }) => ok))
    checks.push(await tryReconcile(directory, { ...manifest, name: basename(path) }, now))
  return checks
}

function manifestOf(path: string, checks: Check[]): Manifest | undefined {
  try {
    const manifest = readManifest(path)
    checks.push(passed('manifest', `Made by Ch202 ${manifest.ch202_version} at ${manifest.created_at}`))
    return manifest
  } catch (error) {
    if (!(error instanceof BackupError) || error.code === 'backup_not_found') throw error
    checks.push(failed('manifest', error.message))
    return undefined
  }
}

function extraFiles(path: string, { services }: Manifest): Check {
  const expected = new Set([MANIFEST, VERIFIED, ...Object.values(services).map(({ file }) => file)])
  const extra = readdirSync(path).filter((name) => !expected.has(name))
  if (extra.length === 0) return passed('files', 'Holds the files of the manifest and no others')
  return failed('files', `Holds files that are not part of the backup: ${extra.join(', ')}`)
}

async function copyChecked(path: string, directory: string, name: string, { file, bytes, sha256 }: DatabaseCopy) {
  const id = `${name}.file`
  const source = join(path, file)
  const target = join(directory, file)
  const stats = statSync(source, { throwIfNoEntry: false })
  if (!stats) return failed(id, `${file} is missing`)
  // A pipe would block the copy, and a device has no end.
  if (!stats.isFile()) return failed(id, `${file} is not a file`)
  copyFileSync(source, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
  chmodSync(target, 0o600)
  const size = statSync(target).size
  if (size !== bytes)
    return failed(id, `${file} has ${size} bytes, but the manifest says ${bytes}: it was cut or changed`)
  if ((await sha256Of(target)) !== sha256)
    return failed(id, `${file} was changed after the backup: its SHA-256 differs from the manifest`)
  return passed(id, `${file} has the size and the SHA-256 of the manifest`)
}

async function tryReconcile(directory: string, manifest: Manifest, now: number): Promise<Check> {
  try {
    const users = await reconcile(directory, manifest, now)
    for (const { path } of databases(directory)) flush(path)
    return passed('restore', `A restore brings back ${users} ${users === 1 ? 'user' : 'users'}`)
  } catch (error) {
    return failed('restore', messageOf(error, join(directory, 'x')))
  }
}

function auditCheck(directory: string): Check {
  const raw = new Database(join(directory, 'auth.sqlite'), { readonly: true })
  try {
    const { fault, rows } = examineChain(raw)
    return fault === undefined
      ? passed('audit', `The audit's chain of ${rows} ${rows === 1 ? 'row' : 'rows'} is intact`)
      : failed('audit', fault)
  } finally {
    raw.close()
  }
}

/** Makes a directory for a trial: beside the backups, which has space for one, or in the system's if that is read-only. */
function trialDraft(root: string): Draft {
  try {
    removeStaleDrafts(root, BACKUP_DRAFT)
    return newDraft(root, BACKUP_DRAFT)
  } catch {
    return newDraft(tmpdir(), '.ch202-draft-')
  }
}

function record(path: string, result: object): boolean {
  try {
    writeFileSync(join(path, VERIFIED), `${JSON.stringify(result, null, 2)}\n`, { mode: 0o600, flush: true })
    return true
  } catch {
    return false
  }
}
