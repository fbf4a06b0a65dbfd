import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { EXIT, Failure } from '../../exit.ts'
import { reasonOf } from '../../terminal/file-errors.ts'

/**
 * Replaces a file atomically: readers see the old or the new file, never a part.
 * @param write writes the new content to a temporary path
 * @returns whether the content has changed
 * @throws Failure if the path is a directory or cannot be written
 */
export async function replaceFile(
  path: string,
  mode: number,
  write: (path: string) => Promise<void>,
): Promise<boolean> {
  const target = resolve(path)
  const existing = statSync(target, { throwIfNoEntry: false })
  if (existing && !existing.isFile())
    throw new Failure(EXIT.failed, `${path} exists and is not a file`, { code: 'in_the_way' })
  let directory: string | undefined
  const clear = () => directory && rmSync(directory, { recursive: true, force: true })
  const onSignal = () => {
    clear()
    process.exit(EXIT.interrupted)
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  try {
    mkdirSync(dirname(target), { recursive: true })
    directory = mkdtempSync(join(dirname(target), `.${basename(target)}-`))
    const temporary = join(directory, 'ch202')
    await write(temporary)
    chmodSync(temporary, mode)
    const changed = !existing?.isFile() || !readFileSync(temporary).equals(readFileSync(target))
    renameSync(temporary, target)
    return changed
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    throw new Failure(EXIT.failed, `${path} cannot be written: ${reasonOf(error) ?? message}`)
  } finally {
    clear()
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
  }
}

export function replaceTextFile(path: string, text: string): Promise<boolean> {
  return replaceFile(path, 0o644, async (draft) => writeFileSync(draft, text, { flag: 'wx', flush: true }))
}
