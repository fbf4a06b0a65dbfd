import { readFileSync } from 'node:fs'
import { plugin } from 'bun'
import { PATIENCE } from '../support/eventually.ts'

// Is loaded by a node before the program, for tests that concern no timeout.

// A database on a busy machine may take longer than a request may wait for it. Tests in one process set that too.
plugin({
  name: 'patience',
  setup(build) {
    build.onLoad({ filter: /\/db\/postgres\/pools\.ts$/ }, async ({ path }) => {
      const source = await Bun.file(path).text()
      const contents = source.replace(/^const PATIENCE = 1800$/m, `const PATIENCE = ${PATIENCE}`)
      if (contents === source) throw new Error(`${path} has another patience`)
      return { contents, loader: 'ts' }
    })
  },
})

// The clock is ahead by the milliseconds in a file, which change while the node runs.
const file = process.env.CH202_TEST_CLOCK
const { now } = Date
if (file !== undefined) Date.now = () => now() + Number(readFileSync(file, 'utf8'))
