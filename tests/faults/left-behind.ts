import { processesWith } from '../support/tool.ts'

/** Ends what a test that failed has left running on the directories of its file, and takes these away. */
export function endAndRemove(folder: { path: string; remove(): void }): void {
  for (const { pid } of processesWith(folder.path)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
  folder.remove()
}
