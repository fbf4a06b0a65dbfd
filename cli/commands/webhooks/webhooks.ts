import type { Command } from 'commander'
import { group } from '../../tool/command.ts'
import { addCreate } from './create.ts'
import { addDelete } from './delete.ts'
import { addDeliveries } from './deliveries.ts'
import { addDisable, addEnable } from './enable.ts'
import { addList } from './list.ts'
import { addReplay } from './replay.ts'

export function webhooksCommand(): Command {
  const webhooks = group('webhooks', 'Notify other systems of events, and see what was delivered')
  addCreate(webhooks)
  addList(webhooks)
  addDelete(webhooks)
  addEnable(webhooks)
  addDisable(webhooks)
  addDeliveries(webhooks)
  addReplay(webhooks)
  return webhooks
}
