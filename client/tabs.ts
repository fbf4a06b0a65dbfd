import { type Channel, page } from './browser.ts'
import type { Session, Store } from './store.ts'
import type { Change, ClientStorage } from './types.ts'

/** The session of the sender. */
export interface Message {
  /** The session that it had before. */
  before: string | undefined
  /** Null: signed out. */
  session: Session | null
  reason: Change['reason']
}

export interface Tabs {
  tell(message: Message): void
  close(): void
}

type Receive = (message?: Message) => void

/** The clients of this tab or process with one storage. */
const neighbours = new WeakMap<ClientStorage, Set<Receive>>()

/**
 * Connects the clients of one storage, in this tab and others.
 * @param receive called with the message of another client, or without one when something may have changed
 * @param online called when the device is online again, or the page is shown again
 */
export function openTabs({ key, storage }: Store, receive: Receive, online: () => void): Tabs {
  const globals = page()
  const here = neighbours.get(storage) ?? new Set()
  neighbours.set(storage, here.add(receive))

  let channel: Channel | undefined
  if (globals?.BroadcastChannel) {
    channel = new globals.BroadcastChannel(key)
    channel.onmessage = ({ data }) => receive(data as Message)
  }
  const stored = ({ key: changed }: { key?: string | null }) => changed === key && receive()
  // Needed beside a channel too: its messages may arrive before this tab sees what the other one has stored.
  globals?.addEventListener?.('storage', stored)
  globals?.addEventListener?.('online', online)
  globals?.addEventListener?.('pageshow', online)
  return {
    tell(message) {
      if (channel) channel.postMessage(message)
      else for (const other of here) if (other !== receive) other(message)
    },
    close() {
      here.delete(receive)
      channel?.close()
      globals?.removeEventListener?.('storage', stored)
      globals?.removeEventListener?.('online', online)
      globals?.removeEventListener?.('pageshow', online)
    },
  }
}
