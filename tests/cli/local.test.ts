import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import { newEmail } from '../support/actors.ts'
import { launch, ownSettings, runTool, temporary } from '../support/tool.ts'

setDefaultTimeout(120_000)

const folder = temporary('local')
afterAll(folder.remove)

test('the tool finds a running instance and its key by the data directory alone', async () => {
  const dataDir = folder.fresh()
  const { INTERNAL_API_KEY: _, OPERATOR_API_KEY: __, CH202_SECRET: ___, ...settings } = ownSettings(dataDir)
  const running = launch([process.execPath, 'cli/main.ts', 'serve'], { env: settings })
  await running.printed(/ready at/)
  const { status, stdout } = await runTool(['users', 'create', newEmail(), '--generate', '-o', 'ids'], {
    env: { CH202_DATA_DIR: dataDir },
  })
  expect([status, stdout]).toEqual([0, expect.stringMatching(/^[0-9a-f-]{36}\n$/)])
  running.signal('SIGTERM')
  await running.ended
})
