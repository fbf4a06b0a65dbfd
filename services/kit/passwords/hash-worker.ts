import { checkPassword, type HashJob, hashPassword } from './hash-job.ts'
import { lowerThreadPriority } from './thread-priority.ts'

// The program of a thread that hashes: takes one job after the other from `HashWorkers`, and answers with the result.

declare const self: Worker

/** The answer to a job. An error is answered without its text, which may quote a password. */
export type HashAnswer = { result: string } | { failed: true }

// The collector's threads serve the whole process, and have the priority of the thread whose collection starts them: they
// must not get the low one.
Bun.gc(true)
lowerThreadPriority()
self.onmessage = ({ data }: MessageEvent<HashJob>) => self.postMessage(answerTo(data))

function answerTo(job: HashJob): HashAnswer {
  try {
    const { kind, password } = job
    return {
      result: kind === 'hash' ? hashPassword(password, job.parameters) : checkPassword(password, job.hash),
    }
  } catch {
    return { failed: true }
  }
}
