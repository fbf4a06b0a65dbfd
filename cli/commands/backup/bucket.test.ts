import { afterAll, beforeEach, describe, expect, test } from 'bun:test'
import { failure, S3_KEY, S3Server } from '../../../tests/support/servers/s3-server.ts'
import { BackupBucket } from './bucket.ts'

const NAME = '2026-11-30T03-15-00-000Z'
const store = new S3Server()
afterAll(() => store.stop())
beforeEach(() => {
  store.objects.clear()
  store.uploads.clear()
  store.intercept = undefined
})

const bucket = (url = store.url(), stalledAfter?: number) => new BackupBucket({ BACKUP_S3_URL: url }, stalledAfter)
/** A stream of this many MiB, each different; it fails at the end with `fault`. */
const stream = (size: number, fault?: Error) => {
  let at = 0
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at < size) controller.enqueue(new Uint8Array(1 << 20).fill(at++))
      else if (fault) controller.error(fault)
      else controller.close()
    },
  })
}
const text = (content: string) => new Response(content).body as ReadableStream<Uint8Array>

describe('an upload', () => {
  test('of many parts is one object, byte for byte', async () => {
    expect(await bucket(store.url('/a/b')).put(NAME, stream(50))).toBe(50 << 20)
    const object = store.objects.get(`a/b/${NAME}.tar.age`) as Uint8Array
    expect(object.length).toBe(50 << 20)
    expect(Array.from({ length: 50 }, (_, at) => object[(at << 20) + 7])).toEqual(
      Array.from({ length: 50 }, (_, at) => at),
    )
    expect(store.uploads.size).toBe(0)
  })

  test.each([0, 3, 40])('whose source fails after %d MiB leaves no object', async (size) => {
    await expect(bucket().put(NAME, stream(size, new Error('the disk failed')))).rejects.toThrow('the disk failed')
    // Whatever the client still sends.
    await Bun.sleep(300)
    expect([...store.objects.keys()]).toEqual([])
  })

  test('is not listed under another name than a backup has', async () => {
    for (const key of ['x.tar.age', `${NAME}.tar`, `other/${NAME}.tar.age`, `${NAME}.tar.age.old`])
      store.objects.set(key, new Uint8Array(1))
    await bucket().put(NAME, text('x'))
    expect((await bucket().list()).map(({ name }) => name)).toEqual([NAME])
  })
})

test('a list of several pages is whole, the newest first', async () => {
  const names = [1, 2, 3, 4, 5].map((day) => `2026-11-0${day}T03-15-00-000Z`)
  for (const name of names) await bucket(store.url('/p')).put(name, text(name))
  expect((await bucket(store.url('/p')).list()).map(({ name }) => name)).toEqual(names.toReversed())
  expect(await bucket().list()).toEqual([])
})

describe('a fault', () => {
  const rows: [about: string, url: () => string, intercept: S3Server['intercept'], exit: number, says: RegExp][] = [
    [
      'a wrong secret',
      () => store.url('', 'backups', { ...S3_KEY, secret: 'canary' }),
      undefined,
      4,
      /SignatureDoesNotMatch/,
    ],
    ['no such bucket', () => store.url('', 'other'), undefined, 3, /NoSuchBucket/],
    ['a key without rights', () => store.url(), () => failure(403, 'AccessDenied'), 4, /AccessDenied/],
    ['a store that fails', () => store.url(), () => failure(503, 'SlowDown'), 7, /SlowDown/],
    ['nobody there', () => 'http://key:canary@127.0.0.1:9/backups', undefined, 7, /it cannot be reached/],
    [
      'an answer that is no XML',
      () => store.url(),
      () => new Response('<html>', { status: 502 }),
      7,
      /could not be used/,
    ],
  ]
  test.each(rows)('%s', async (_, url, intercept, exit, says) => {
    store.intercept = intercept
    const error = await bucket(url())
      .list()
      .catch((reason) => reason)
    expect([error.exit, error.message]).toEqual([exit, expect.stringMatching(says)])
    expect(error.message).not.toContain('canary')
    expect(error.message).not.toContain(S3_KEY.secret)
  })

  test('a store that does not answer', async () => {
    store.intercept = () => new Promise<Response>(() => undefined)
    const error = await bucket(store.url(), 200)
      .list()
      .catch((reason) => reason)
    expect([error.exit, error.message]).toEqual([7, expect.stringContaining('it has not answered for a minute')])
  })
})
