import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { EXIT, Failure } from '../../exit.ts'
import { reasonOf } from '../../terminal/file-errors.ts'

/**
 * Makes a file beside its place and moves it there when it is whole: whoever reads it, or runs it, never has half.
 * @param make writes it to the path that it is given
 * @returns whether it is another than the one that was there
 * @throws Failure where a directory stands at its place, or the disk does not take it
 */
export async function place(path: string, mode: number, make: (path: string) => Promise<void>): Promise<boolean> {
  const target = resolve(path)
  const present = statSync(target, { throwIfNoEntry: false })
  if (present && !present.isFile())
    throw new Failure(EXIT.failed, `${path} is there, and is no file`, { code: 'in_the_way' })
  let workplace: string | undefined
  const clear = () => workplace && rmSync(workplace, { recursive: true, force: true })
  const interrupted = () => {
    clear()
    process.exit(EXIT.interrupted)
  }
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted)
  try {
    mkdirSync(dirname(target), { recursive: true })
    workplace = mkdtempSync(join(dirname(target), `.${basename(target)}-`))
    const made = join(workplace, 'ch202')
    await make(made)
    chmodSync(made, mode)
    const changed = !present?.isFile() || !readFileSync(made).equals(readFileSync(target))
    renameSync(made, target)
    return changed
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    throw new Failure(EXIT.failed, `${path} cannot be written: ${reasonOf(error) ?? message}`)
  } finally {
    clear()
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted)
  }
}

export function placeText(path: string, text: string): Promise<boolean> {
  return place(path, 0o644, async (made) => writeFileSync(made, text, { flag: 'wx', flush: true }))
}
