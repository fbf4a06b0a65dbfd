import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { type CsvRow, csvCell, csvRows } from '../text/csv-rows.ts'
import { type TextLine, textLines } from '../text/text-lines.ts'
import { csv, csvColumns, csvRow } from './csv.ts'

async function* cut(bytes: Uint8Array, at: number) {
  yield bytes.subarray(0, at)
  yield bytes.subarray(at)
}
const textOf = (row: CsvRow) => ('fault' in row ? row.fault : row.cells.map(({ text }) => text))

describe('the rows of a CSV', () => {
  const tables: [name: string, text: string, expected: [line: number, cells: string[] | RegExp][]][] = [
    [
      'plain',
      'a,b\n1,2\n',
      [
        [1, ['a', 'b']],
        [2, ['1', '2']],
      ],
    ],
    [
      'CRLF, and no end',
      'a,b\r\n1,é🎉',
      [
        [1, ['a', 'b']],
        [2, ['1', 'é🎉']],
      ],
    ],
    [
      'CR alone',
      'a,b\r1,2\r',
      [
        [1, ['a', 'b']],
        [2, ['1', '2']],
      ],
    ],
    ['a byte order mark', '\ufeff"a",b\n', [[1, ['a', 'b']]]],
    [
      'empty cells',
      ',\n,,\n""\n',
      [
        [1, ['', '']],
        [2, ['', '', '']],
        [3, ['']],
      ],
    ],
    [
      'blank rows',
      'a\n\n\r\nb\n',
      [
        [1, ['a']],
        [4, ['b']],
      ],
    ],
    ['quotes', '"a ""b""","c,d","""",""""""\n', [[1, ['a "b"', 'c,d', '"', '""']]]],
    [
      'breaks in cells',
      '"a\nb\r\n\nc",d\n"\n"\ne\n',
      [
        [1, ['a\nb\r\n\nc', 'd']],
        [5, ['\n']],
        [7, ['e']],
      ],
    ],
    ['quotes that close nothing', 'a"b,"c "d, e" f",g\n', [[1, ['a"b', 'c "d, e" f', 'g']]]],
    [
      'a quote that is not closed',
      'a\n"b,\nc',
      [
        [1, ['a']],
        [2, /not closed/],
      ],
    ],
    ['nothing', '', []],
    [
      'R24: semicolons',
      'a;b\n1,5;2\n',
      [
        [1, ['a', 'b']],
        [2, ['1,5', '2']],
      ],
    ],
    [
      'R24: semicolons that are more than the commas',
      'a,b;c;d\r\n"1;""2";3;"4\r\n5"\r6;7;8',
      [
        [1, ['a,b', 'c', 'd']],
        [2, ['1;"2', '3', '4\r\n5']],
        [4, ['6', '7', '8']],
      ],
    ],
    [
      'R24: tabs, and others in quotes',
      '"a,b,c"\t"d;""e"";"\n1\t"2\t3"\n',
      [
        [1, ['a,b,c', 'd;"e";']],
        [2, ['1', '2\t3']],
      ],
    ],
    [
      'R24: bars',
      'a|b\n1|"2|3"',
      [
        [1, ['a', 'b']],
        [2, ['1', '2|3']],
      ],
    ],
    [
      'R24: a line that names the separator',
      'sep=;\r\na,b,c;d\r\n1;2\r\n',
      [
        [2, ['a,b,c', 'd']],
        [3, ['1', '2']],
      ],
    ],
    ['R24: the same in quotes, with a mark before it', '\ufeff"sep=\t"\na;b\tc\n', [[2, ['a;b', 'c']]]],
    [
      'R24: one column',
      '\n\nemail\na;b\n',
      [
        [3, ['email']],
        [4, ['a;b']],
      ],
    ],
  ]
  test.each(tables)('%s, cut at every byte', async (_name, text, expected) => {
    const bytes = Buffer.from(text)
    for (let at = 0; at <= bytes.length; at++) {
      const rows = await Array.fromAsync(csvRows(cut(bytes, at)))
      expect(rows.map(({ line }) => line)).toEqual(expected.map(([line]) => line))
      for (const [n, [, cells]] of expected.entries())
        if (cells instanceof RegExp) expect(textOf(rows[n] as CsvRow)).toMatch(cells)
        else expect(textOf(rows[n] as CsvRow)).toEqual(cells)
    }
  })

  test('read back whatever was written', async () => {
    const cell = fc.array(fc.constantFrom('"', ',', '\n', '\r', ';', ' ', 'a', '=', '🎉', "'"), { maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(cell, { minLength: 1, maxLength: 4 }), { maxLength: 4 }),
        fc.nat(),
        async (rows, at) => {
          const texts = rows.map((row) => row.map((characters) => characters.join('')))
          const bytes = Buffer.from(texts.map((row) => `${row.map(csvCell).join(',')}\n`).join(''))
          const readRows = await Array.fromAsync(csvRows(cut(bytes, at % (bytes.length + 1))))
          expect(readRows.map(textOf)).toEqual(texts)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('that are not UTF-8, or never end, are reported', async () => {
    const bad = await Array.fromAsync(csvRows(cut(Buffer.from('a\nb\xff,b\nc\n', 'latin1'), 2)))
    expect(bad.map(textOf)).toEqual([['a'], 'The record is not UTF-8', ['c']])
    const endless = (async function* () {
      yield Buffer.from('a\n"')
      for (;;) yield Buffer.alloc(1024 * 1024, 'x')
    })()
    expect((await Array.fromAsync(csvRows(endless))).map(textOf).at(-1)).toMatch(/not closed/)
  })

  test('hold every field of a user', async () => {
    const user = { id: 'x', email: 'a@example.org', name: ' "a",\r\n', roles: [], email_verified: false }
    const text = [csvColumns({ withHashes: false }).join(','), csvRow(user, csvColumns({ withHashes: false }))].join(
      '\n',
    )
    const [record] = await Array.fromAsync(csv(cut(Buffer.from(text), 9)))
    expect(record).toEqual({ place: 2, user })
  })
})

describe('the lines of a text', () => {
  const text = '\ufeffa\r\n\n🎉é\nlast'
  test('cut at every byte', async () => {
    const bytes = Buffer.from(text)
    for (let at = 0; at <= bytes.length; at++) {
      const lines = await Array.fromAsync(textLines(cut(bytes, at)))
      expect(lines).toEqual(['a', '', '🎉é', 'last'].map((line, n) => ({ line: n + 1, text: line })))
    }
  })

  test('that are not UTF-8 or too long do not affect the others', async () => {
    const long = (async function* () {
      yield Buffer.from('a\nb\xff\nc\n', 'latin1')
      for (let n = 0; n < 20; n++) yield Buffer.alloc(1024 * 1024, 'x')
      yield Buffer.from('x\nd')
    })()
    const lines: TextLine[] = await Array.fromAsync(textLines(long))
    expect(lines.map((line) => ('fault' in line ? line.fault : line.text))).toEqual([
      'a',
      'The record is not UTF-8',
      'c',
      'The record is larger than 16 MiB',
      'd',
    ])
    expect(lines.map(({ line }) => line)).toEqual([1, 2, 3, 4, 5])
  })
})
