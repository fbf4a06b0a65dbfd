import { expect, setDefaultTimeout, test } from 'bun:test'
import { version } from '../../package.json'
import { launch, runTool } from '../support/tool.ts'

setDefaultTimeout(120_000)

test('the version is printed, plain or as JSON', async () => {
  const table = [
    [['version'], `${version}\n`],
    [['version', '-o', 'json'], `{"version":"${version}"}\n`],
    [['-o', 'json', 'version'], `{"version":"${version}"}\n`],
    [['version', '--output=json'], `{"version":"${version}"}\n`],
  ] as const
  for (const [words, expected] of table) {
    const { status, stdout, stderr } = await runTool([...words])
    expect([words, status, stdout, stderr]).toEqual([words, 0, expected, ''])
  }
})

test('the version takes little more time of the processor than Bun itself', async () => {
  const best = async (command: string[]) => {
    const times: number[] = []
    for (let n = 0; n < 6; n++) times.push((await launch(command).ended).cpu)
    return Math.min(...times)
  }
  const bun = await best([process.execPath, '-e', '0'])
  const tool = await best([process.execPath, 'cli/main.ts', 'version'])
  expect(tool - bun).toBeLessThan(100)
})
