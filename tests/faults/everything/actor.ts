import { type Answer, call } from '../../support/http.ts'
import type { System } from '../../support/system.ts'

/** Something that works with the instance while services are killed, and knows what it was promised. */
export interface Actor {
  /** Works until `stop`; survives requests that break off. @throws Error for an answer that no kill explains */
  work(stop: () => boolean): Promise<void>
  /** Compares the instance, all of whose services run, with what was acknowledged. @returns what differs */
  differences(): Promise<string[]>
}

/** Statuses of requests that a killed service explains. */
const WHILE_DOWN = [502, 503]

/** Sends requests, and counts the acknowledged writes of one actor. */
export class Sender {
  acknowledged = 0
  constructor(readonly system: System) {}

  /**
   * @param fine statuses that acknowledge the request
   * @returns undefined if it is not known whether it was done
   */
  async send(
    base: string,
    request: string,
    options: Parameters<typeof call>[2],
    fine: readonly number[] = [200, 201, 202, 204],
  ): Promise<Answer | undefined> {
    let answer: Answer
    try {
      answer = await call(base, request, options)
    } catch {
      // The process was killed: others get the processor.
      await Bun.sleep(5)
      return undefined
    }
    if (fine.includes(answer.status)) {
      this.acknowledged++
      return answer
    }
    if (WHILE_DOWN.includes(answer.status)) return undefined
    throw new Error(`${request}: ${answer.status} ${answer.text}`)
  }
}
