import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** The bytes of a secret, and their common encodings. */
function formsOf(secret: Uint8Array): Buffer[] {
  const bytes = Buffer.from(secret)
  const reversed = Buffer.from(bytes).reverse()
  const texts = [bytes.toString('hex'), bytes.toString('hex').toUpperCase(), reversed.toString('hex')]
  // Base64 of a text that contains the secret: it may begin at any of the three positions of a group.
  for (const offset of [0, 1, 2])
    for (const encoding of ['base64', 'base64url'] as const) {
      const padded = Buffer.concat([Buffer.alloc(offset), bytes])
        .toString(encoding)
        .replace(/=+$/, '')
      // The characters at both ends depend on the neighbouring bytes too.
      texts.push(padded.slice(offset === 0 ? 0 : offset + 1, -1))
    }
  return [bytes, reversed, ...texts.map((text) => Buffer.from(text))]
}

/** Secrets by name. */
export class Canaries {
  private readonly forms = new Map<string, Buffer[]>()

  /** @param secret text or bytes; secrets shorter than 12 would be found by chance */
  add(what: string, secret: string | Uint8Array): void {
    if (secret.length < 12) throw new Error(`${what} is too short to be told from chance`)
    const forms = this.forms.get(what) ?? []
    this.forms.set(what, [...forms, ...formsOf(typeof secret === 'string' ? Buffer.from(secret) : secret)])
  }

  /** Names of the secrets in these bytes, except those in `but`. */
  in(haystack: string | Uint8Array, but: readonly string[] = []): string[] {
    const bytes =
      typeof haystack === 'string'
        ? Buffer.from(haystack)
        : Buffer.from(haystack.buffer, haystack.byteOffset, haystack.byteLength)
    return [...this.forms]
      .filter(([what, forms]) => !but.includes(what) && forms.some((form) => bytes.includes(form)))
      .map(([what]) => what)
  }

  /** The files under a directory that contain secrets, with the names of these. */
  under(directory: string, but: readonly string[] = []): string[] {
    return filesUnder(directory).flatMap((path) =>
      this.in(readFileSync(path), but).map((what) => `${path.slice(directory.length + 1)}: ${what}`),
    )
  }
}

function entriesUnder(directory: string): { path: string; isDirectory: boolean }[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true }).map((entry) => ({
    path: join(entry.parentPath, entry.name),
    isDirectory: entry.isDirectory(),
  }))
}

export function filesUnder(directory: string): string[] {
  return entriesUnder(directory)
    .filter(({ isDirectory }) => !isDirectory)
    .map(({ path }) => path)
}

/** Files under a directory, and itself, that others than their owner may read or write. */
export function openUnder(directory: string): string[] {
  return [directory, ...entriesUnder(directory).map(({ path }) => path)].flatMap((path) => {
    const { mode } = statSync(path)
    const expected = statSync(path).isDirectory() ? 0o700 : 0o600
    return (mode & 0o777) === expected ? [] : [`${path.slice(directory.length + 1)} ${(mode & 0o777).toString(8)}`]
  })
}
