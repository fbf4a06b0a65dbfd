import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { encoded } from '../fixtures/encoded.ts'
import { formatWords, importing, summaryOf } from '../fixtures/importing.ts'
import { WRITTEN } from '../fixtures/written.ts'
import { launch, ROOT } from '../support/tool.ts'

const here = importing('import-encodings')
const FORMATS = Object.keys(WRITTEN)
let tags = 0
const fresh = () => `e${tags++}.encodings.example.org`

const utf16 = (text: string, order: 'LE' | 'BE') => {
  const bytes = Buffer.from(text, 'utf16le')
  return order === 'LE' ? bytes : bytes.swap16()
}
const created = async (path: string, format: string, count: number) => {
  const done = await here.users(['import', path, ...formatWords(format), '-o', 'json'])
  expect(done.stderr).not.toContain('✗')
  expect(summaryOf(done.stdout)).toMatchObject({ created: count, failed: 0 })
}

describe('R24: a CSV', () => {
  const rows: [what: string, text: (domain: string) => string][] = [
    ['with semicolons', (at) => `email;name;roles\na@${at};"Öz; Ana, Lima";"EDITOR;STAFF"\nb@${at};李小龍;\n`],
    ['with tabs', (at) => `email\tname\troles\r\na@${at}\tÖz; Ana, Lima\tEDITOR, STAFF\r\nb@${at}\t李小龍\t\r\n`],
    ['with bars', (at) => `email|name|roles\na@${at}|Öz; Ana, Lima|EDITOR;STAFF\nb@${at}|李小龍|`],
    [
      'from Excel',
      (at) => `\ufeffsep=;\r\nemail;name;roles\r\na@${at};"Öz; Ana, Lima";EDITOR,STAFF\r\nb@${at};李小龍;\r\n`,
    ],
    [
      'with a first row in quotes',
      (at) => `"email";"name";"roles"\na@${at};"Öz; Ana, Lima";"EDITOR;STAFF"\nb@${at};李小龍;`,
    ],
    [
      'with line ends of every kind',
      (at) => `email;name;roles\r\na@${at};"Öz; Ana, Lima";EDITOR,STAFF\rb@${at};李小龍;\n`,
    ],
  ]
  test.each(rows)('%s is read, from a file and by a pipe', async (_, text) => {
    for (const way of ['file', 'pipe']) {
      const domain = fresh()
      const stdin = text(domain)
      if (way === 'file') await created(here.file(stdin), 'csv', 2)
      else {
        const done = await here.users(['import', '-', '--format', 'csv', '-o', 'json'], stdin)
        expect(summaryOf(done.stdout)).toMatchObject({ created: 2 })
      }
      expect(await here.read(`a@${domain}`)).toMatchObject({ name: 'Öz; Ana, Lima', roles: ['EDITOR', 'STAFF'] })
      expect(await here.read(`b@${domain}`)).toMatchObject({ name: '李小龍', roles: ['USER'] })
    }
  })

  test('of Supabase with semicolons is read, and one with the same column twice is refused', async () => {
    const domain = fresh()
    const text = `id;email;raw_app_meta_data\n;a@${domain};"{""roles"": [""editor""]}"\n`
    await created(here.file(text), 'supabase', 1)
    expect((await here.read(`a@${domain}`)).roles).toEqual(['USER', 'EDITOR'])
    const twice = here.file(`email,raw_app_meta_data,email\na@${fresh()},,b@${fresh()}\n`)
    const { status, stderr } = await here.users(['import', twice, '--format', 'supabase'])
    expect([status, stderr]).toEqual([2, expect.stringContaining('the column "email" twice')])
  })
})

describe('R24: UTF-16', () => {
  const marks: [what: string, bytes: (text: string) => Uint8Array][] = [
    ['LE with its mark', (text) => utf16(`\ufeff${text}`, 'LE')],
    ['BE with its mark', (text) => utf16(`\ufeff${text}`, 'BE')],
    ['LE without', (text) => utf16(text, 'LE')],
    ['BE without', (text) => utf16(text, 'BE')],
  ]
  for (const format of FORMATS)
    test.each(marks)(`is recognised as ${format}: %s`, async (_, bytes) => {
      const domain = fresh()
      const people = [
        { email: `a@${domain}`, name: 'Öz "Ana" 🐴' },
        { email: `b@${domain}`, name: 'Иван, Пётр' },
      ]
      await created(here.file(bytes(WRITTEN[format]?.(people) ?? '')), format, 2)
      for (const { email, name } of people) expect((await here.read(email)).name).toBe(name)
    })

  test('is recognised in a pipe that delivers a few bytes at a time', async () => {
    const domain = fresh()
    const path = here.file(utf16(`\ufeffemail;name\r\na@${domain};Юлия 🐴\r\n`, 'LE'))
    const command = `(for n in 1 3 4 9 50 60; do dd if="${path}" bs=1 count=$n skip=$at 2>/dev/null; at=$((at + n)); sleep 0.02; done) | "$BUN" cli/main.ts users import - --format csv -o json`
    const done = await launch(['bash', '-c', `at=0; ${command}`], { env: { ...here.env(), BUN: process.execPath } })
      .ended
    expect([done.status, done.stderr]).toEqual([0, ''])
    expect((await here.read(`a@${domain}`)).name).toBe('Юлия 🐴')
  })
})

describe('R24: another encoding is named, and nothing is imported', () => {
  const table: [name: string, decoder: string, iconv: string, people: string[]][] = [
    ['Windows-1251', 'windows-1251', 'WINDOWS-1251', ['Иван Петров', 'Юлия Смирнова-Щукина', 'Пётр']],
    ['Windows-1251', 'windows-1251', 'WINDOWS-1251', ['Олена Ковальчук', 'Ґалаґан Їжак']],
    ['KOI8-R', 'koi8-r', 'KOI8-R', ['Иван Петров', 'Юлия Смирнова', 'Сергей']],
    ['CP866', 'ibm866', 'CP866', ['Иван Петров', 'Юлия Смирнова', 'Сергей']],
    ['Windows-1252', 'windows-1252', 'WINDOWS-1252', ['José Müller', 'Ana Gonçalves', 'Zoë O’Neil']],
    ['Windows-1252', 'windows-1252', 'WINDOWS-1252', ['Zoë']],
    ['Windows-1250', 'windows-1250', 'WINDOWS-1250', ['Łukasz Wójcik', 'Žofie Ťáková', 'Agnieszka Dąbrowska']],
    ['Windows-1254', 'windows-1254', 'WINDOWS-1254', ['Işıl Yıldız', 'Çağlar Şahin']],
    ['Windows-1253', 'windows-1253', 'WINDOWS-1253', ['Ελένη Παπαδοπούλου', 'Γιώργος Νικολάου']],
    ['Windows-1255', 'windows-1255', 'WINDOWS-1255', ['יעל לוי', 'דוד כהן', 'אברהם מזרחי']],
    ['Windows-1256', 'windows-1256', 'WINDOWS-1256', ['محمد علي', 'فاطمة الزهراء', 'ليلى']],
    ['GBK', 'gbk', 'GBK', ['李小龙', '王明', '张伟', '欧阳娜娜']],
    ['Shift_JIS', 'shift_jis', 'SHIFT_JIS', ['田中さくら', 'ヤマダ タロウ', '鈴木']],
    ['EUC-KR', 'euc-kr', 'EUC-KR', ['김민준', '이서연', '박지훈']],
  ]
  test.each(table)('%s', async (name, decoder, iconv, people) => {
    const domain = fresh()
    const rows = [`first@${domain};Ana`, ...people.map((person, n) => `p${n}@${domain};${person}`)]
    const path = here.file(encoded(`email;name\r\n${rows.join('\r\n')}\r\n`, decoder), 'csv')
    for (const words of [['--dry-run'], []]) {
      const { status, stderr, stdout } = await here.users(['import', path, ...words])
      expect([status, stdout]).toEqual([2, ''])
      expect(stderr).toBe(
        `✗ ${path} is not UTF-8: it looks like ${name}. Convert it first (usage)\n` +
          `→ iconv -f ${iconv} -t UTF-8 ${path} | ch202 users import - --format csv\n`,
      )
    }
    expect((await here.read(`first@${domain}`)).code).toBe('user_not_found')
  })

  test('even if it shows late in the file, and the suggested command works', async () => {
    const domain = fresh()
    const plain = Array.from({ length: 9000 }, (_, n) => `p${n}@${domain},Ana Lima ${'x'.repeat(40)}`)
    const bytes = encoded(['email,name', ...plain, `last@${domain},Пётр Ильич`].join('\n'), 'windows-1251')
    const path = here.file(bytes, 'csv')
    const { status, stderr } = await here.users(['import', path])
    expect([status, stderr]).toEqual([2, expect.stringContaining('it looks like Windows-1251')])
    expect((await here.read(`p0@${domain}`)).code).toBe('user_not_found')
    const advice = stderr.split('→ ')[1]?.trim() ?? ''
    const command = `ch202() { "$BUN" ${join(ROOT, 'cli/main.ts')} "$@"; }; ${advice} -o json`
    const done = await launch(['bash', '-c', command], { env: { ...here.env(), BUN: process.execPath } }).ended
    expect(summaryOf(done.stdout)).toMatchObject({ created: 9001 })
    expect((await here.read(`last@${domain}`)).name).toBe('Пётр Ильич')
  })

  test('also in a pipe, and in JSON', async () => {
    const line = encoded(JSON.stringify({ email: `a@${fresh()}`, name: 'Иван Петров' }), 'windows-1251')
    const path = here.file(line, 'jsonl')
    const { status, stderr } = await here.users(['import', path])
    expect([status, stderr]).toEqual([2, expect.stringContaining('it looks like Windows-1251')])
    const piped = await launch(['sh', '-c', `"$BUN" cli/main.ts users import - --format jsonl < '${path}'`], {
      env: { ...here.env(), BUN: process.execPath },
    }).ended
    expect([piped.status, piped.stderr]).toEqual([
      2,
      '✗ Standard input is not UTF-8: it looks like Windows-1251. Convert it first (usage)\n' +
        '→ iconv -f WINDOWS-1251 -t UTF-8 | ch202 users import - --format jsonl\n',
    ])
  })

  test('also UTF-32', async () => {
    const text = [...'\ufeffemail\n'].flatMap((character) => [
      character.charCodeAt(0) & 255,
      character.charCodeAt(0) >> 8,
      0,
      0,
    ])
    const { status, stderr } = await here.users(['import', here.file(Buffer.from(text), 'csv')])
    expect([status, stderr]).toEqual([2, expect.stringContaining('it looks like UTF-32')])
  })

  test('but a file that is damaged in one line fails in that line only', async () => {
    const domain = fresh()
    const bytes = Buffer.concat([
      Buffer.from(`email,name\na@${domain},Пётр\nb@${domain},`),
      Buffer.from([0xd0, 0x20, 0xff]),
      Buffer.from(`\nc@${domain},Ільїн\n`),
    ])
    const done = await here.users(['import', here.file(bytes, 'csv'), '-o', 'json'])
    expect([done.status, summaryOf(done.stdout)]).toMatchObject([8, { created: 2, failed: 1 }])
    expect(done.stderr).toContain('✗ 3: The record is not UTF-8')
  })
})

describe('R24: --bom', () => {
  /** Reads the output as bytes: a decoder would remove the mark. */
  const written = async (line: string) => {
    const path = here.file('')
    const env = { ...here.tool(), BUN: process.execPath }
    expect((await launch(['sh', '-c', `"$BUN" cli/main.ts ${line} > '${path}'`], { env }).ended).status).toBe(0)
    return readFileSync(path).toString('utf8')
  }
  const lists = ['users list', 'sessions list --all', 'modules list', 'keys list', 'users get first@bom.example.org']
  test.each([...lists, 'users export'])('%s begins with exactly one mark', async (line) => {
    await here.users(
      ['import', '-', '--format', 'csv', '--on-conflict', 'skip'],
      'email,name\nfirst@bom.example.org,Öz\n',
    )
    const [plain, marked] = [await written(`${line} -o csv`), await written(`${line} -o csv --bom`)]
    expect(marked).toBe(plain === '' ? '' : `\ufeff${plain}`)
    expect(plain).not.toContain('\ufeff')
  })

  test('writes a file that an import reads', async () => {
    const people = ['a', 'b'].map((who) => `${who}@bom.example.org,"Öz, ${who}; 李",EDITOR;STAFF`).join('\n')
    await here.users(['import', '-', '--format', 'csv'], `email,name,roles\n${people}\n`)
    for (const words of [
      ['export', '--format', 'csv'],
      ['export', '-o', 'csv'],
      ['list', '--all', '-o', 'csv'],
    ]) {
      const text = await written(`users ${words.join(' ')} --bom`)
      expect(text).toStartWith('\ufeffid,email,')
      const done = await here.users(['import', '-', '--format', 'csv', '--on-conflict', 'update', '-o', 'json'], text)
      expect([done.status, summaryOf(done.stdout)]).toMatchObject([0, { updated: 0, created: 0, failed: 0 }])
    }
  })

  test.each([['users list'], ['users list -o json'], ['users export'], ['users export --format jsonl -o csv']])(
    'is refused without CSV: %s',
    async (line) => {
      const run = await launch([process.execPath, 'cli/main.ts', ...line.split(' '), '--bom'], { env: here.tool() })
        .ended
      expect([run.status, run.stdout + run.stderr]).toEqual([2, expect.stringContaining('--bom requires')])
    },
  )
})
