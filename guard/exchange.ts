/** A request, with the text of its body. */
export interface Sent {
  headers: Record<string, string>
  body?: string
}

/** An answer. Its `body` is the parsed JSON of a success; undefined for anything else. */
export interface Received {
  status: number
  body: unknown
}
