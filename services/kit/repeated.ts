import { Problem } from './problem.ts'

// Part of `ch202/guard`, which runs on Node 20: without `Promise.withResolvers`.

export interface Repetition {
  /** Milliseconds without an answer after which the next attempt begins, while the others go on. */
  after: number
  /** How many attempts there are at most. */
  times: number
}

/**
 * Makes a call that does no harm when it is made twice, and makes it again while nobody answers. Of several nodes behind a
 * balancer, one that stands still accepts a request and never answers it; the next attempt reaches another one. An attempt
 * that fails is followed by the next at once.
 * @returns the first result
 * @throws the refusal of the other side (a Problem below 500), or the last failure when all attempts have failed
 */
export function repeated<T>(call: () => Promise<T>, { after, times }: Repetition): Promise<T> {
  return new Promise((resolve, reject) => {
    let [begun, failed] = [0, 0]
    let isDone = false
    let timer: ReturnType<typeof setTimeout> | undefined
    const finish = (settle: () => void) => {
      isDone = true
      clearTimeout(timer)
      settle()
    }
    const begin = () => {
      clearTimeout(timer)
      begun++
      if (begun < times) timer = setTimeout(begin, after)
      call().then(
        (result) => finish(() => resolve(result)),
        (error) => {
          failed++
          const isRefusal = error instanceof Problem && error.status < 500
          if (isRefusal || failed === times) finish(() => reject(error))
          else if (!isDone && failed === begun) begin()
        },
      )
    }
    begin()
  })
}
