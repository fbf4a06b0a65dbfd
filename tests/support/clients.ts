import { expect } from 'bun:test'
import { type Change, type Client, type ClientOptions, type ClientStorage, createClient } from '../../client/index.ts'
import { newEmail, PASSWORD } from './actors.ts'

/** A storage that answers later, as that of a mobile app does. */
export function storage(): ClientStorage & { items: Map<string, string> } {
  const items = new Map<string, string>()
  return {
    items,
    getItem: async (key) => items.get(key) ?? null,
    setItem: async (key, value) => void items.set(key, value),
    removeItem: async (key) => void items.delete(key),
  }
}

/** A client of a new user who is signed in. */
export async function newClient(options: ClientOptions): Promise<{ client: Client; email: string }> {
  const client = createClient(options)
  const email = newEmail()
  expect(await client.signUp({ email, password: PASSWORD })).toMatchObject({ status: 'complete' })
  return { client, email }
}

/** The changes that a client reports from now on. */
export function changesOf(client: Client): Change[] {
  const changes: Change[] = []
  client.on('change', (change) => changes.push(change))
  return changes
}
