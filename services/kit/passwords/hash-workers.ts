import { dirname, join } from 'node:path'
import type { CheckResult, HashJob } from './hash-job.ts'
import type { HashAnswer } from './hash-worker.ts'

/** Milliseconds without a job after which a worker ends. Starting one takes about 10 ms. */
const IDLE_TIME = 60_000

/**
 * The program of a worker. The executable contains it (`ch202 package binary`) in a directory of its own: a file at this
 * path in the working directory is never read.
 */
const PROGRAM = Bun.isStandaloneExecutable
  ? join(dirname(Bun.main), 'services/kit/passwords/hash-worker.js')
  : join(import.meta.dir, 'hash-worker.ts')

/** A worker ended or did not answer in time. Its job is lost. */
export class WorkerFailure extends Error {
  override name = 'WorkerFailure'
  /** @param code how it failed */
  constructor(readonly code: 'worker_ended' | 'worker_hangs') {
    super(code)
  }
}

type ResultOf<Job extends HashJob> = Job extends { kind: 'hash' } ? string : CheckResult

/**
 * Runs jobs in threads of our own, with a low priority. A thread starts when no other is free, so there are as many as jobs
 * ran at once; the caller limits these. Idle threads do not keep the process alive, and end after a minute.
 *
 * `Bun.password.verify` would run in Bun's thread pool, which is as wide as the cores: while passwords are hashed there,
 * WebCrypto, file reads and lazy imports wait. Each a second, one after the other, beside 8 logins at a time on two cores:
 *
 * |                          | thread pool | threads of our own | child processes |
 * | ------------------------ | ----------- | ------------------ | --------------- |
 * | checks of `jose`         | 7           | 13,600             | 12,700          |
 * | checks of SimpleWebAuthn | 4           | 5,300              | 6,600           |
 * | file reads               | 9           | 56,400             | 36,800          |
 * | lazy imports             | 2           | 6,700              | 7,500           |
 * | memory of each           | none        | 4 MB               | 25 MB           |
 *
 * Threads need the least memory, and a password does not leave the process.
 */
export class HashWorkers {
  /** The workers without a job. The one used last is used next, so that the others may end. */
  private readonly idle: HashWorker[] = []

  private readonly program: string
  private readonly idleTime: number

  /** @param options replacements for tests: the file that a worker runs, and the milliseconds after which an idle one ends */
  constructor({ idleTime = IDLE_TIME, program = PROGRAM }: { idleTime?: number; program?: string } = {}) {
    this.program = program
    this.idleTime = idleTime
  }

  /**
   * Runs a job.
   * @param patience milliseconds after which a worker that has not answered is given up
   * @throws WorkerFailure when the worker crashed or hangs; Error when the job failed
   */
  async run<Job extends HashJob>(job: Job, patience: number): Promise<ResultOf<Job>> {
    const worker = this.idle.pop() ?? new HashWorker(this.program, this.idleTime, (worker) => this.forget(worker))
    const answer = await worker.run(job, patience)
    this.idle.push(worker)
    if ('failed' in answer) throw new Error('The job failed')
    // The worker answers a check with a CheckResult.
    return answer.result as ResultOf<Job>
  }

  private forget(worker: HashWorker): void {
    const index = this.idle.indexOf(worker)
    if (index >= 0) this.idle.splice(index, 1)
  }
}

/** A worker of Bun. The types of browsers, which the pages bring along, hide two of its methods. */
type BunWorker = Worker & Pick<Bun.Worker, 'ref' | 'unref'>

/** A thread, and the job that it runs. */
class HashWorker {
  private readonly worker: BunWorker
  private job: PromiseWithResolvers<HashAnswer> | undefined
  private timer: Timer | undefined
  private failure: WorkerFailure | undefined

  constructor(
    program: string,
    private readonly idleTime: number,
    private readonly onEnd: (worker: HashWorker) => void,
  ) {
    // Hashing needs no setting and no secret. The text of an error stays unread: it quotes the program and its values.
    this.worker = new Worker(program, { env: {}, argv: [], smol: true }) as BunWorker
    this.worker.onmessage = ({ data }) => this.job?.resolve(data)
    this.worker.onmessageerror = () => this.fail('worker_ended')
    this.worker.onerror = (event) => {
      event.preventDefault()
      this.fail('worker_ended')
    }
    this.worker.addEventListener('close', () => this.fail('worker_ended'))
  }

  async run(job: HashJob, patience: number): Promise<HashAnswer> {
    clearTimeout(this.timer)
    if (this.failure) throw this.failure
    this.job = Promise.withResolvers()
    this.timer = setTimeout(() => this.fail('worker_hangs'), patience)
    // The process waits for a job, and not for an idle worker.
    this.worker.ref()
    this.worker.postMessage(job)
    try {
      const answer = await this.job.promise
      this.rest()
      return answer
    } finally {
      this.job = undefined
    }
  }

  private rest(): void {
    clearTimeout(this.timer)
    this.worker.unref()
    this.timer = setTimeout(() => this.fail('worker_ended'), this.idleTime).unref()
  }

  /** Ends the thread; its job, if it has one, fails. */
  private fail(code: WorkerFailure['code']): void {
    if (this.failure) return
    this.failure = new WorkerFailure(code)
    clearTimeout(this.timer)
    this.worker.unref()
    this.worker.terminate()
    this.onEnd(this)
    this.job?.reject(this.failure)
  }
}
