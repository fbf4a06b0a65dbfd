import type { Command } from 'commander'
import { group } from '../../tool/command.ts'
import { addList } from './list.ts'
import { addRevoke } from './revoke.ts'

export function sessionsCommand(): Command {
  const sessions = group('sessions', 'List and end sessions')
  addList(sessions)
  addRevoke(sessions)
  return sessions
}
