import type { Command } from 'commander'
import { group } from '../../tool/command.ts'
import { addList } from './list.ts'
import { addPreview } from './preview.ts'
import { addRetry } from './retry.ts'
import { addSendTest } from './send-test.ts'

export function mailCommand(): Command {
  const mail = group('mail', 'See which emails were sent, what they look like, and try whether they arrive')
  addList(mail)
  addPreview(mail)
  addSendTest(mail)
  addRetry(mail)
  return mail
}
