import { expect, setDefaultTimeout, test } from 'bun:test'
import { launch } from '../support/tool.ts'

setDefaultTimeout(120_000)

const rows: [words: string[], status: number, stdout: RegExp, stderr: RegExp][] = [
  [['ch202', 'version'], 0, /^\d+\.\d+\.\d+\n$/, /^$/],
  [['run', 'ch202', 'version'], 0, /^\d+\.\d+\.\d+\n$/, /^$/],
  [['ch202', 'nonsense'], 2, /^$/, /^✗ Unknown command 'nonsense' \(usage\)\n→ ch202 --help\n$/],
  [['ch202', '--url', 'http://127.0.0.1:9', 'health', '-q'], 10, /^$/, /^✗ auth at http:\/\/127\.0\.0\.1:9: /],
]
test.each(rows)(
  'S3: bun %j prints the output of the tool, without lines of bun',
  async (words, status, stdout, stderr) => {
    const { status: exit, stdout: out, stderr: err } = await launch([process.execPath, ...words]).ended
    expect({ words, status: exit, stdout: out, stderr: err }).toEqual({
      words,
      status,
      stdout: expect.stringMatching(stdout),
      stderr: expect.stringMatching(stderr),
    })
  },
)
