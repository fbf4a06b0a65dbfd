/** The way from users to auth, which records the notices that auth has acknowledged. */
export interface NoticeRecorder {
  url: string
  /** The ids of the notices that have one, in the order in which they were acknowledged. */
  ids: string[]
  /** The versions of the records of each user, in the order in which they arrived. */
  versions: Map<string, number[]>
  forget(): void
  stop(): Promise<void>
}

interface SentRecord {
  user_id: string
  password_version: number
}

/** @param target the address of auth, read at each request; empty until it has one */
export function recordNotices(target: () => string): NoticeRecorder {
  const ids: string[] = []
  const versions = new Map<string, number[]>()
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 60,
    async fetch(request) {
      const auth = target()
      // Nodes of users that start first ask again.
      if (auth === '') return new Response(null, { status: 503 })
      const { pathname, search } = new URL(request.url)
      const bytes = await request.arrayBuffer()
      const records = recordsIn(pathname, bytes)
      for (const { password_version: version, user_id: user } of records)
        versions.set(user, [...(versions.get(user) ?? []), version])
      const headers = new Headers(request.headers)
      headers.delete('host')
      const { method } = request
      const answer = await fetch(auth + pathname + search, {
        method,
        headers,
        redirect: 'manual',
        ...(bytes.byteLength > 0 ? { body: bytes } : {}),
      })
      const body = await answer.arrayBuffer()
      if (answer.ok) ids.push(...idsIn(pathname, bytes))
      // The record did not arrive: it comes again.
      else for (const { user_id: user } of records) versions.get(user)?.pop()
      const endToEnd = new Headers(answer.headers)
      for (const name of ['content-encoding', 'content-length', 'transfer-encoding', 'connection'])
        endToEnd.delete(name)
      return new Response(body.byteLength > 0 ? body : null, { status: answer.status, headers: endToEnd })
    },
  })
  return {
    url: `http://127.0.0.1:${server.port}`,
    ids,
    versions,
    forget() {
      ids.length = 0
      versions.clear()
    },
    stop: () => server.stop(true),
  }
}

function parsed(bytes: ArrayBuffer) {
  return JSON.parse(new TextDecoder().decode(bytes))
}

function recordsIn(path: string, bytes: ArrayBuffer): SentRecord[] {
  if (path.endsWith('/auth/sync/password')) return [parsed(bytes)]
  return path.endsWith('/auth/sync/passwords') ? parsed(bytes).users : []
}

function idsIn(path: string, bytes: ArrayBuffer): string[] {
  if (path.endsWith('/auth/audit')) return [`audit ${parsed(bytes).id}`]
  if (path.endsWith('/auth/sync/email-changed')) return [`email ${parsed(bytes).id}`]
  if (!path.endsWith('/auth/sync/events')) return []
  return parsed(bytes).events.map(({ id }: { id: string }) => `event ${id}`)
}
