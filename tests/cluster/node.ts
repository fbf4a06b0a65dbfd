import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { PostgresLine } from '../faults/postgres-line.ts'
import { PATIENCE } from '../support/eventually.ts'
import { type Process, spawnServe, untilReady } from '../support/processes.ts'
import type { Name } from '../support/settings.ts'

export interface NodeOptions {
  service: Name
  /** Its number among the nodes of the service, from 1. */
  number: number
  url: string
  /** The data directory. The mails of all nodes are in one folder. */
  directory: string
  mails: string
  env(): Partial<Record<string, string>>
  /** A module that the process loads before the program. */
  preload?: string | undefined
  /** The line to the database, when the cluster has lines. */
  line: PostgresLine | undefined
  print(text: string): void
}

/** One process of a service. */
export class ClusterNode {
  readonly name: string
  private process: Process | undefined
  private isFrozen = false

  constructor(private readonly options: NodeOptions) {
    this.name = `${options.service}-${options.number}`
    mkdirSync(options.directory, { recursive: true, mode: 0o700 })
    symlinkSync(options.mails, join(options.directory, 'mail'))
  }

  get number(): number {
    return this.options.number
  }

  get service(): Name {
    return this.options.service
  }

  /** The address of this node alone, not that of the balancer. */
  get url(): string {
    return this.options.url
  }

  get port(): number {
    return Number(new URL(this.url).port)
  }

  get isRunning(): boolean {
    return this.process !== undefined
  }

  get pid(): number {
    if (!this.process) throw new Error(`${this.name} is not running`)
    return this.process.pid
  }

  /** Starts the process, and waits until it is ready. Starts it again if the database was too slow on a busy machine. */
  async start(): Promise<void> {
    const end = performance.now() + PATIENCE
    for (;;)
      try {
        return await this.startOnce()
      } catch (error) {
        if (performance.now() > end || !/did not answer in time/.test(String(error))) throw error
      }
  }

  private async startOnce(): Promise<void> {
    if (this.process) return
    const child = spawnServe([this.service], this.options.env(), this.options.preload)
    this.process = child
    child.exited.then(() => {
      if (this.process === child) this.process = undefined
    })
    await untilReady(child, this.name, this.options.print)
  }

  kill(): Promise<number> {
    return this.end('SIGKILL')
  }

  /** Stops the process in an orderly way. @returns its exit status */
  terminate(): Promise<number> {
    this.thaw()
    return this.end('SIGTERM')
  }

  /** Stops the process where it is: it keeps its connections, its kernel accepts others, and nothing is answered. */
  freeze(): void {
    this.isFrozen = true
    process.kill(this.pid, 'SIGSTOP')
  }

  thaw(): void {
    if (this.isFrozen && this.process) process.kill(this.pid, 'SIGCONT')
    this.isFrozen = false
  }

  /** Loses the network to the database: nothing passes, and connections stay open. */
  cutOff(): void {
    this.line.isSilent = true
  }

  rejoin(): void {
    this.line.isSilent = false
  }

  private get line(): PostgresLine {
    if (!this.options.line) throw new Error('The cluster has no lines to the database')
    return this.options.line
  }

  private async end(signal: NodeJS.Signals): Promise<number> {
    const child = this.process
    if (!child) return 0
    this.process = undefined
    this.isFrozen = false
    child.kill(signal)
    return await child.exited
  }
}
