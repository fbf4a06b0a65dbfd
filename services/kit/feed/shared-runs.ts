/** Runs a task for several callers at once, one run after another. */
export class SharedRuns<Result> {
  private current: Promise<unknown> = Promise.resolve()
  private next: Promise<Result> | undefined

  constructor(private readonly task: () => Promise<Result>) {}

  /** Resolves with the result of a run that begins after this call. @throws what the task throws */
  run(): Promise<Result> {
    this.next ??= this.current.then(() => {
      this.next = undefined
      const result = this.task()
      this.current = result.catch(() => undefined)
      return result
    })
    return this.next
  }
}
