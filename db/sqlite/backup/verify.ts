import { Database } from 'bun:sqlite'
import { chmodSync, constants, copyFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { databases } from '../../../services/databases.ts'
import { examineChain } from '../audit-chain.ts'
import { type Draft, newDraft, removeStaleDrafts } from '../drafts.ts'
import { flush, sha256Of } from '../durable.ts'
import { type Check, contentChecks, failed, messageOf, type OpensKey, passed } from './checks.ts'
import { BACKUP_DRAFT } from './create.ts'
import {
  type BackedUp,
  BackupError,
  MANIFEST,
  type Manifest,
  readManifest,
  VERIFIED,
  verification,
} from './manifest.ts'
import { reconcile } from './reconcile.ts'

/**
 * Restores a backup into a directory that is thrown away, with every check on the way, and writes down when that went
 * well.
 * @param now milliseconds since the epoch
 * @returns `verifiedAt`: null when a check failed; `recorded`: whether it could be written beside the manifest
 * @throws BackupError when there is no backup at `path`
 */
export async function verifyBackup(path: string, opens: OpensKey, now: number) {
  const draft = trialDraft(dirname(path))
  try {
    const checks = await restoreInto(draft.path, path, opens, now)
    // Not a reason to refuse a restore: it may be all there is.
    if (checks.every(({ ok }) => ok)) checks.push(auditCheck(draft.path))
    if (!checks.every(({ ok }) => ok)) return { checks, verifiedAt: null, recorded: false }
    const said = verification(path, now)
    return { checks, verifiedAt: said.verified_at, recorded: record(path, said) }
  } finally {
    draft.discard()
  }
}

/**
 * Makes of a backup, in an empty directory, the databases that an instance can start with. What was checked is what is
 * there: files are looked at after they were copied.
 * @returns the checks; when one failed, what is in the directory is of no use
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
  checks.push(strangersIn(path, manifest))
  for (const database of databases(directory)) {
    const backedUp = manifest.services[database.name]
    if (backedUp === undefined) continue
    const copied = await copyChecked(path, directory, database.name, backedUp)
    checks.push(copied)
    if (copied.ok) checks.push(...contentChecks(database, opens))
  }
  if (checks.every(({ ok }) => ok)) checks.push(await trial(directory, { ...manifest, name: basename(path) }, now))
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

function strangersIn(path: string, { services }: Manifest): Check {
  const known = new Set([MANIFEST, VERIFIED, ...Object.values(services).map(({ file }) => file)])
  const strangers = readdirSync(path).filter((name) => !known.has(name))
  if (strangers.length === 0) return passed('files', 'Holds the files of the manifest and no others')
  return failed('files', `Holds what is not of the backup: ${strangers.join(', ')}`)
}

async function copyChecked(path: string, directory: string, name: string, { file, bytes, sha256 }: BackedUp) {
  const id = `${name}.file`
  const source = join(path, file)
  const target = join(directory, file)
  const found = statSync(source, { throwIfNoEntry: false })
  if (!found) return failed(id, `${file} is missing`)
  // A pipe would be waited for, a device never ends.
  if (!found.isFile()) return failed(id, `${file} is no file`)
  copyFileSync(source, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
  chmodSync(target, 0o600)
  const size = statSync(target).size
  if (size !== bytes)
    return failed(id, `${file} has ${size} bytes, where the manifest says ${bytes}: it was cut or changed`)
  if ((await sha256Of(target)) !== sha256)
    return failed(id, `${file} is not what was backed up: its SHA-256 is not that of the manifest`)
  return passed(id, `${file} has the size and the SHA-256 of the manifest`)
}

async function trial(directory: string, manifest: Manifest, now: number): Promise<Check> {
  try {
    const users = await reconcile(directory, manifest, now)
    for (const { path } of databases(directory)) flush(path)
    return passed('restore', `A restore gives back ${users} ${users === 1 ? 'user' : 'users'}`)
  } catch (error) {
    return failed('restore', messageOf(error, join(directory, 'x')))
  }
}

function auditCheck(directory: string): Check {
  const raw = new Database(join(directory, 'auth.sqlite'), { readonly: true })
  try {
    const { fault, rows } = examineChain(raw)
    return fault === undefined
      ? passed('audit', `${rows} rows of the audit, each in its place`)
      : failed('audit', fault)
  } finally {
    raw.close()
  }
}

/** Beside the backups, where there is room for one; where nothing can be written, with other temporary files. */
function trialDraft(root: string): Draft {
  try {
    removeStaleDrafts(root, BACKUP_DRAFT)
    return newDraft(root, BACKUP_DRAFT)
  } catch {
    return newDraft(tmpdir(), '.ch202-draft-')
  }
}

function record(path: string, said: object): boolean {
  try {
    writeFileSync(join(path, VERIFIED), `${JSON.stringify(said, null, 2)}\n`, { mode: 0o600, flush: true })
    return true
  } catch {
    return false
  }
}
