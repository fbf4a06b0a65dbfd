/** Processes that wait for the end of this one. They are referenced here, because a collected pipe is a closed pipe. */
const waiting = new Set<Bun.Subprocess>()

/**
 * Removes a directory when the process of the tests ends, in whichever way: a process of its own waits until its input is
 * closed. The end of a file of tests ends that process too, but not the one that it has started.
 * @param before lines of a shell that run before the directory is removed. `$1` is the directory
 */
export function removeAtTheEnd(directory: string, before: string): { cancel(): void } {
  const work = `cat >/dev/null; [ -d "$1" ] || exit; ${before}; rm -rf "$1" || { sleep 1; rm -rf "$1"; }`
  const child = Bun.spawn(['sh', '-c', 'exec 3<&0; setsid sh -c "$2" sh "$1" <&3 3<&- & wait', 'sh', directory, work], {
    cwd: '/',
    stdin: 'pipe',
    stdout: 'ignore',
    stderr: 'ignore',
  })
  child.unref()
  waiting.add(child)
  return {
    cancel() {
      waiting.delete(child)
      child.stdin.end()
    },
  }
}
