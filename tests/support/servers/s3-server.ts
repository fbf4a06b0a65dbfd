import { createHash, createHmac, randomUUID, timingSafeEqual } from 'node:crypto'

export const S3_KEY = { id: 'the-key-of-the-tests', secret: 'the secret/of the tests+' }

/**
 * A store with the calls of S3 that backups use, which checks every signature (AWS Signature Version 4) by itself and
 * answers with the errors of AWS. `bun run soak --postgres --only bucket` runs the same tests over moto.
 */
export class S3Server {
  readonly objects = new Map<string, Uint8Array>()
  /** Uploads that were begun, and neither completed nor aborted. */
  readonly uploads = new Map<string, Map<number, Uint8Array>>()
  /** Called before each request; what it returns is the answer. */
  intercept: ((request: Request) => Response | Promise<Response> | undefined) | undefined
  private readonly server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => this.answer(request) })

  readonly origin = this.server.url.origin

  /** The value of BACKUP_S3_URL for a prefix in the bucket. */
  url(prefix = '', bucket = 'backups', { id, secret } = S3_KEY): string {
    const url = new URL(`${this.origin}/${bucket}${prefix}`)
    url.username = encodeURIComponent(id)
    url.password = encodeURIComponent(secret)
    return url.href
  }

  stop(): Promise<void> {
    return this.server.stop(true)
  }

  private async answer(request: Request): Promise<Response> {
    const body = new Uint8Array(await request.arrayBuffer())
    const intercepted = await this.intercept?.(request)
    if (intercepted) return intercepted
    if (!isSigned(request)) return failure(403, 'SignatureDoesNotMatch')
    const url = new URL(request.url)
    const [, bucket, ...rest] = decodeURIComponent(url.pathname).split('/')
    const key = rest.join('/')
    if (bucket !== 'backups') return failure(404, 'NoSuchBucket')
    if (key === '') return this.list(url.searchParams)
    const upload = url.searchParams.get('uploadId')
    if (upload !== null || url.searchParams.has('uploads')) return this.multipart(request.method, key, url, body)
    if (request.method === 'PUT') {
      this.objects.set(key, body)
      return new Response(null, { headers: { etag: '"1"' } })
    }
    if (request.method === 'DELETE') {
      this.objects.delete(key)
      return new Response(null, { status: 204 })
    }
    const object = this.objects.get(key)
    return object === undefined ? failure(404, 'NoSuchKey') : new Response(Buffer.from(object))
  }

  private multipart(method: string, key: string, url: URL, body: Uint8Array): Response {
    if (url.searchParams.has('uploads')) {
      const id = randomUUID()
      this.uploads.set(id, new Map())
      return xml(
        `<InitiateMultipartUploadResult><Bucket>backups</Bucket><Key>${key}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
      )
    }
    const id = url.searchParams.get('uploadId') ?? ''
    const parts = this.uploads.get(id)
    if (parts === undefined) return failure(404, 'NoSuchUpload')
    if (method === 'PUT') {
      parts.set(Number(url.searchParams.get('partNumber')), body)
      return new Response(null, { headers: { etag: '"1"' } })
    }
    this.uploads.delete(id)
    if (method === 'DELETE') return new Response(null, { status: 204 })
    const inOrder = [...parts.entries()].sort(([a], [b]) => a - b).map(([, part]) => part)
    this.objects.set(key, Buffer.concat(inOrder))
    return xml('<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>')
  }

  /** Two objects a page, so that every list has several. */
  private list(query: URLSearchParams): Response {
    const prefix = query.get('prefix') ?? ''
    const after = query.get('continuation-token') ?? ''
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort()
    const page = keys.slice(0, 2)
    const next = keys.length > 2 ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : ''
    const contents = page.map(
      (key) =>
        `<Contents><Key>${key}</Key><Size>${this.objects.get(key)?.length}</Size><LastModified>2026-11-30T00:00:00.000Z</LastModified><ETag>"1"</ETag></Contents>`,
    )
    return xml(
      `<ListBucketResult><Name>backups</Name><Prefix>${prefix}</Prefix><KeyCount>${page.length}</KeyCount><MaxKeys>2</MaxKeys><IsTruncated>${keys.length > 2}</IsTruncated>${next}${contents.join('')}</ListBucketResult>`,
    )
  }
}

function xml(content: string, status = 200): Response {
  return new Response(`<?xml version="1.0" encoding="UTF-8"?>${content}`, {
    status,
    headers: { 'content-type': 'application/xml' },
  })
}

export function failure(status: number, code: string): Response {
  return xml(`<Error><Code>${code}</Code><Message>The store refused: ${code}</Message></Error>`, status)
}

/** Checks the signature of a request (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html). */
function isSigned(request: Request): boolean {
  const [, id, day, region, names, signature] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      request.headers.get('authorization') ?? '',
    ) ?? []
  if (id !== S3_KEY.id || !day || !region || !names || !signature) return false
  const url = new URL(request.url)
  const query = [...url.search.slice(1).split('&')]
    .filter(Boolean)
    .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
  const canonical = [
    request.method,
    url.pathname,
    query.sort().join('&'),
    ...names.split(';').map((name) => `${name}:${request.headers.get(name)?.trim()}`),
    '',
    names,
    request.headers.get('x-amz-content-sha256'),
  ].join('\n')
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
  const scope = `${day}/${region}/s3/aws4_request`
  const text = ['AWS4-HMAC-SHA256', request.headers.get('x-amz-date'), scope, sha256(canonical)].join('\n')
  const key = [day, region, 's3', 'aws4_request'].reduce<Buffer | string>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${S3_KEY.secret}`,
  )
  return timingSafeEqual(createHmac('sha256', key).update(text).digest(), Buffer.from(signature, 'hex'))
}
