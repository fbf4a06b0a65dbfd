import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type PageColors, pageColors } from '../../kit/colors.ts'
import style from './page.css' with { type: 'text' }
import script from './page.js' with { type: 'text' }

/** The files beside the pages, by the paths that the pages name. */
export interface Assets {
  style: string
  script: string
  icon: string
  /** The operator's own files: undefined: there is no such file. */
  logo: string | undefined
  ownStyle: string | undefined
  /** Answers a request for one of them. */
  serve(path: string, request: Request): Response | undefined
}

/** Bytes of a file that an operator may put beside the pages. */
const OWN_MAX = 512 * 1024

/**
 * Prepares the files, compressed once. Their names contain a digest, so browsers keep them for a year.
 * @throws Error with a message for the operator when a file of theirs is too large
 */
export function loadAssets({ brandColor, dataDir }: { brandColor: string; dataDir: string }): Assets {
  const files = new Map<string, File>()
  const add = (name: string, type: string, content: string | Uint8Array) => {
    const bytes = new Uint8Array(Buffer.from(content as string))
    const [stem, extension] = [name.slice(0, name.lastIndexOf('.')), name.slice(name.lastIndexOf('.'))]
    const path = `/assets/${stem}-${createHash('sha256').update(bytes).digest('hex').slice(0, 10)}${extension}`
    files.set(path, { bytes, zipped: Bun.gzipSync(bytes, { level: 9 }), type })
    return path
  }
  const addOwn = (name: string, type: string) => {
    const path = join(dataDir, 'web', name)
    if (!existsSync(path)) return undefined
    const bytes = readFileSync(path)
    if (bytes.length > OWN_MAX) throw new Error(`${path} has more than ${OWN_MAX / 1024} KiB`)
    return add(name, type, bytes)
  }
  return {
    style: add('page.css', 'text/css; charset=utf-8', colorsOf(brandColor) + style),
    script: add('page.js', 'text/javascript; charset=utf-8', script),
    icon: add('icon.svg', 'image/svg+xml', iconOf(brandColor)),
    logo: addOwn('logo.svg', 'image/svg+xml'),
    ownStyle: addOwn('style.css', 'text/css; charset=utf-8'),
    serve(path, request) {
      const file = files.get(path)
      return file && respond(file, request)
    },
  }
}

interface File {
  bytes: Uint8Array<ArrayBuffer>
  zipped: Uint8Array<ArrayBuffer>
  type: string
}

function respond({ bytes, type, zipped }: File, request: Request): Response {
  const isZipped = /\bgzip\b/.test(request.headers.get('accept-encoding') ?? '')
  return new Response(isZipped ? zipped : bytes, {
    headers: {
      'content-type': type,
      'cache-control': 'public, max-age=31536000, immutable',
      vary: 'accept-encoding',
      'x-content-type-options': 'nosniff',
      // A picture may contain scripts, which must not run if it is opened by itself.
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
      ...(isZipped ? { 'content-encoding': 'gzip' } : {}),
    },
  })
}

/** The colours that follow from that of the product, as custom properties. */
function colorsOf(brandColor: string): string {
  const { dark, light } = pageColors(brandColor)
  const properties = (colors: PageColors) =>
    Object.entries(colors)
      .map(([name, color]) => `--${name}:${color}`)
      .join(';')
  return `:root{${properties(light)}}@media(prefers-color-scheme:dark){:root{${properties(dark)}}}`
}

function iconOf(brandColor: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="${brandColor}"/><circle cx="16" cy="12.5" r="5" fill="#fff"/><path d="M6.5 26a9.5 8 0 0 1 19 0" fill="#fff"/></svg>`
}
