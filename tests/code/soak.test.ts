import { afterAll, describe, expect, spyOn, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PARTS, type Part, soakPostgres } from '../faults/soak-postgres.ts'
import { launch, ROOT, temporary } from '../support/tool.ts'

const folder = temporary('soak')
afterAll(folder.remove)

describe('bun run soak', () => {
  test.each([
    [['--postgre'], /Unknown option '--postgre'/],
    [['postgres'], /Unexpected argument 'postgres'/],
    [['--postgres', '--only', 'stores,none'], /There is no part 'none'/],
    [['--only', 'stores'], /--only selects parts of --postgres/],
  ] as const)('%p prints the usage and exits with 2', async (words, message) => {
    const { status, stderr, stdout } = await launch([process.execPath, 'tests/faults/soak.ts', ...words], { cwd: ROOT })
      .ended
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(message)
    expect(stderr).toContain(
      'bun run soak [--long] [--postgres [--only stores,contract,documents,security,whole,field,everything,tool,nodes,bucket,imports,commits,faults,cluster]]',
    )
  })
})

describe('bun run soak --postgres', () => {
  /** Runs files of tests as parts. @returns whether they passed, and the lines that were printed */
  const runFiles = async (texts: string[], part: Partial<Part> = {}) => {
    const lines: string[] = []
    const log = spyOn(console, 'log').mockImplementation((line) => void lines.push(line))
    try {
      const parts = texts.map((text): Part => {
        const files = join(folder.path, `${Bun.randomUUIDv7()}.test.ts`)
        writeFileSync(files, `import { expect, test } from 'bun:test'\n${text}`)
        return { name: 'one', traits: ['npm', 'slow'], files, ...part }
      })
      return { passed: await soakPostgres(parts), lines }
    } finally {
      log.mockRestore()
    }
  }
  const PASSES = `test('passes', () => expect(process.env.CH202_TEST_POSTGRES).toBe('npm,slow'))`
  const FAILS = `test('fails', () => expect('this').toBe('that'))`

  test('runs what exists', async () => {
    const paths = [...new Bun.Glob('{services,tests}/**/*.ts').scanSync({ cwd: ROOT })]
    const nothing = PARTS.filter(({ files }) => !paths.some((path) => `./${path}`.includes(files)))
    expect(nothing.map(({ files }) => files)).toEqual([])
  })

  test('prints the counts of each part and of all, and sums figures', async () => {
    const { lines, passed } = await runFiles([`console.log('figures: 2 cuts, 1 answers 503')\n${PASSES}`, PASSES], {
      label: 'contract',
      times: 2,
    })
    expect(passed).toBe(true)
    expect(lines).toEqual([
      expect.stringMatching(/^one contract npm slow × 2: 2 passed, 0 failed, 4 cuts, 2 answers 503, \d+ s$/),
      expect.stringMatching(/^one contract npm slow × 2: 2 passed, 0 failed, \d+ s$/),
      expect.stringMatching(/^2 parts: 4 passed, 0 failed, \d+ s$/),
    ])
  })

  test('fails with the output of a part that failed and the command that repeats it, and runs the others', async () => {
    const { lines, passed } = await runFiles([FAILS, PASSES], { env: () => ({ CUT_SEED: '7' }) })
    expect(passed).toBe(false)
    expect(lines).toEqual([
      expect.stringMatching(
        /Expected: "that"[\s\S]*\nTo repeat it: CH202_TESTS=whole CH202_TEST_POSTGRES=npm,slow CUT_SEED=7 bun test --timeout=120000 \S+$/,
      ),
      expect.stringMatching(/^one npm slow: 0 passed, 1 failed, \d+ s$/),
      expect.stringMatching(/^one npm slow: 1 passed, 0 failed, \d+ s$/),
      expect.stringMatching(/^2 parts: 1 passed, 1 failed, \d+ s$/),
    ])
  })

  test.each([
    ['skips a test', `${PASSES}\ntest.skip('skipped', () => undefined)`],
    ['has no tests', ''],
    ['does not load', `throw new Error('no server')`],
  ])('fails when a file %s', async (_, text) => {
    expect((await runFiles([text])).passed).toBe(false)
  })
})
