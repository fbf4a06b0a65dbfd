import type { Caller } from '../../kit/caller.ts'
import type { Clock } from '../../kit/clock.ts'
import type { Random } from '../../kit/random.ts'
import type { Account, NoticeCause } from '../store/index.ts'
import type { MailQueue } from './queue.ts'

/** Mails that tell users what was done with their account. */
export class Notices {
  constructor(
    private readonly mails: Pick<MailQueue, 'add'>,
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /** Queues a notice: what happened now, and from where. */
  async add(
    { email, userId }: Pick<Account, 'email' | 'userId'>,
    cause: NoticeCause,
    { ip, locale, requestId, userAgent }: Pick<Caller, 'ip' | 'locale' | 'requestId' | 'userAgent'>,
  ): Promise<void> {
    await this.mails.add({
      id: this.random.id(),
      kind: 'notice',
      email,
      userId,
      locale,
      data: { cause, userAgent },
      requestedAt: this.clock.now(),
      ip,
      requestId,
    })
  }
}
