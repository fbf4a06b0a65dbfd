import { processesWith } from '../support/tool.ts'

/** Ends processes that a failed test has left running on the directories of its file, and deletes these. */
export function endAndRemove(folder: { path: string; remove(): void }): void {
  for (const { pid } of processesWith(folder.path)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // The process has ended by itself.
    }
  }
  folder.remove()
}
