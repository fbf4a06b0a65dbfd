import { describe, expect, test } from 'bun:test'
import { jsonRecords } from './json-records.ts'
import { type Bytes, RECORD_MAX } from './text-lines.ts'

/** Yields the bytes in chunks of these lengths; the last chunk is the rest. */
async function* chunks(bytes: Uint8Array, ...lengths: number[]): Bytes & AsyncGenerator<Uint8Array> {
  let at = 0
  for (const length of lengths) {
    yield bytes.subarray(at, at + length)
    at += length
  }
  yield bytes.subarray(at)
}

const read = (bytes: Uint8Array, ...lengths: number[]) => Array.fromAsync(jsonRecords(chunks(bytes, ...lengths)))
const values = async (text: string) =>
  (await read(Buffer.from(text))).map((record) => ('fault' in record ? record.fault : record.value))

const NASTY = '{"a":"}]\\"{[,\\\\","é🎉":{"users":[{"b":1}]},"n":[[],{}],"u":"users"}'
/** The fault of a record that is not an object. */
const NONE = /^The record is not a JSON object$/
const nasty = JSON.parse(NASTY)

describe('the records of a JSON document', () => {
  const shapes: [name: string, text: string, expected: unknown[]][] = [
    ['an array', `[${NASTY}, ${NASTY}]`, [nasty, nasty]],
    ['an empty array', ' [ ] ', []],
    [
      'an object with users',
      `{"realm":"x","roles":[{"a":1}],"users" : [${NASTY},\n${NASTY}],"more":[{"b":2}]}`,
      [nasty, nasty],
    ],
    ['an empty list of users', '{"users":[],"x":{}}', []],
    ['several realms', `[{"id":1,"users":[${NASTY}]},{"r":{"users":[{"no":1}]},"users":[${NASTY}]}]`, [nasty, nasty]],
    ['lines', `${NASTY}\n${NASTY}\r\n\n`, [nasty, nasty]],
    ['one object', NASTY, [nasty]],
    ['a byte order mark', `\ufeff[${NASTY}]`, [nasty]],
    [
      'a name that only looks like it',
      '[{"users":{"a":1}},{"xusers":[{"a":2}]},{"users":"x","a":[{"b":3}]}]',
      [{ users: { a: 1 } }, { xusers: [{ a: 2 }] }, { users: 'x', a: [{ b: 3 }] }],
    ],
    ['nothing', '', []],
  ]
  test.each(shapes)('%s, cut at every byte', async (_name, text, expected) => {
    const bytes = Buffer.from(text)
    for (let at = 0; at <= bytes.length; at++) {
      const records = await read(bytes, at)
      expect<unknown[]>(records.map((record) => ('value' in record ? record.value : record.fault))).toEqual(expected)
      expect(records.map(({ place }) => place)).toEqual(expected.map((_, n) => n + 1))
    }
    expect(await read(bytes, ...Array.from(bytes, () => 1))).toEqual(await read(bytes))
  })

  const broken: [string, unknown[]][] = [
    ['[{"a":1},{"b"', [{ a: 1 }, /middle/]],
    ['[{"a":1}', [{ a: 1 }, /middle/]],
    ['{"users":[{"a":"', [/middle/]],
    ['[{"a":1}},{"b":2}]', [{ a: 1 }, /not valid JSON from here/]],
    ['[{"a":1]', [/not valid JSON from here/]],
    ['[{"a":01},{"b":2}]', [/^The record is not valid JSON$/, { b: 2 }]],
    ['email,name\n', [/not valid JSON from here/]],
    ['[1,"x",{"a":1}]', [NONE, NONE, { a: 1 }]],
    ['[-1.5e3,null , true,false\n,{"a":null},"{\\"a\\":1}"]', [NONE, NONE, NONE, NONE, { a: null }, NONE]],
    ['[[{"a":1}],{"b":[1]},[]]', [NONE, { b: [1] }, NONE]],
    ['{"n":1,"s":"x","users":[1,{"a":1},null,"users"],"more":[2,"y"],"z":null}', [NONE, { a: 1 }, NONE, NONE]],
    ['[5,{"n":1,"users":["x"],"m":2},{"n":1,"users":[{"a":1}],"m":null}]', [NONE, NONE, { a: 1 }]],
    ['[nul', [NONE, /middle/]],
    ['null', [/not valid JSON from here/]],
    ['{"a":1}\n"x"\n', [{ a: 1 }, /not valid JSON from here/]],
  ]
  test.each(broken)('%s is reported', async (text, expected) => {
    const records = await values(text)
    for (let at = 0; at <= text.length; at++)
      expect(await read(Buffer.from(text), at)).toEqual(await read(Buffer.from(text)))
    expect(records).toHaveLength(expected.length)
    for (const [n, one] of expected.entries())
      if (one instanceof RegExp) expect(records[n]).toMatch(one)
      else expect(records[n]).toEqual(one as Record<string, unknown>)
  })

  test('that are not UTF-8, or too large, do not affect the others', async () => {
    const large = Buffer.alloc(RECORD_MAX, 'x')
    const parts = [Buffer.from('[{"a":"\xff"},{"b":"', 'latin1'), large, Buffer.from('"},{"c":1}]')]
    const records = await read(Buffer.concat(parts), 5, 100_000, 1_000_000)
    expect(records).toEqual([
      { place: 1, fault: 'The record is not UTF-8' },
      { place: 2, fault: 'The record is larger than 16 MiB' },
      { place: 3, value: { c: 1 } },
    ])
  })
})
