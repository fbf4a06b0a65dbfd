import type { Command } from 'commander'
import { group } from '../../tool/command.ts'
import { addDrop } from './drop.ts'
import { addList } from './list.ts'
import { addStatus } from './status.ts'
import { addSync } from './sync.ts'

export function cacheCommand(): Command {
  const cache = group('cache', 'Inspect and sync the password cache: the users that auth knows for logins')
  addStatus(cache)
  addList(cache)
  addDrop(cache)
  addSync(cache)
  return cache
}
