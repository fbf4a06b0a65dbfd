import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { SERVICE_NAMES } from '../../services/registry.ts'
import { type OnScreen, openShell, type Shell } from '../support/shell.ts'
import { ownSettings } from '../support/tool.ts'
import { sliced } from '../support/whole.ts'

setDefaultTimeout(120_000)

const STEPS = /users create you@example\.org/

describe('S2: the first output on a terminal', () => {
  let shell: Shell
  beforeAll(() => {
    shell = openShell('first-start')
  })
  afterAll(() => shell.close())

  /** The settings of a new machine: without secrets, and with the PATH of the shell. */
  const settings = (dataDir: string, more: Record<string, string> = {}) => {
    const omittedSettings = [
      'INTERNAL_API_KEY',
      'OPERATOR_API_KEY',
      'CH202_SECRET',
      'NO_COLOR',
      'PATH',
      'HOME',
      'XDG_CONFIG_HOME',
    ]
    const env = Object.entries(ownSettings(dataDir)).filter(([name]) => !omittedSettings.includes(name))
    return { ...Object.fromEntries(env), ...more }
  }
  const ready = async (screen: OnScreen, times: number) => {
    await screen.shows(new RegExp(`(?:[\\s\\S]* ready at ){${times}}`))
    await screen.shows(/\/swagger\r\n/)
  }
  const stopped = async (screen: OnScreen) => {
    screen.type('\x03')
    return (await screen.ended).screen
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal takes for a colour
  const plain = (screen: string) => screen.replaceAll(/\x1b\[[0-9;]*m/g, '').replaceAll('\r\n', '\n')

  const SCREENS: [verb: string, cols: number][] = [
    ['start', 100],
    ['serve', 100],
    ['start', 60],
    ['serve', 60],
  ]
  test.each(sliced(SCREENS, 3))('of `ch202 %s`, %d columns wide', async (verb, cols) => {
    const env = settings(shell.fresh())
    const names = verb === 'start' ? SERVICE_NAMES : (['ch202'] as const)
    const first = shell.inTerminal(`exec ch202 ${verb}`, { env, cols })
    await ready(first, names.length)
    await first.shows(/--generate/)
    const screen = first.screen()
    // Text in colour, without anything that looks like a fault.
    expect(screen).toContain('\x1b[32mINFO')
    expect(screen).not.toMatch(/WARN|ERROR|"level"|feed\.lost|^\{/m)

    const steps = plain(screen).slice(plain(screen).lastIndexOf(' ready at '))
    const urls = verb === 'start' ? SERVICE_NAMES.map((name) => env[`${name.toUpperCase()}_URL`]) : [env.CH202_URL]
    for (const url of urls) expect(steps).toContain(url ?? '')
    expect(steps).toContain(`Documentation  ${urls[0]}/swagger\n`)
    expect(steps).toMatch(new RegExp(`^Pages +${verb === 'start' ? env.WEB_URL : env.CH202_URL}$`, 'm'))
    expect(steps).toMatch(new RegExp(`^API +${urls[0]}( |$)`, 'm'))
    const lines = steps.split('\n').slice(1)
    expect(lines.filter((line) => line.length > 60)).toEqual([])

    // The command works as printed.
    const command = /^ {2}bun (ch202 users create [\s\S]*?--generate)$/m.exec(steps)?.[1] ?? 'none is shown'
    const result = await shell.run(`${command} -o json`, { env: { CH202_DATA_DIR: env.CH202_DATA_DIR ?? '' } })
    expect([result.stderr, result.status]).toEqual(['', 0])
    expect(JSON.parse(result.stdout)).toMatchObject({
      email: 'you@example.org',
      roles: ['USER', 'ADMIN'],
      changed: true,
    })
    await stopped(first)

    // An instance with an administrator prints its addresses only.
    const again = shell.inTerminal(`exec ch202 ${verb}`, { env, cols })
    await ready(again, names.length)
    const screenAgain = await stopped(again)
    expect(screenAgain).toContain('/swagger')
    expect(screenAgain).not.toMatch(STEPS)
  })

  test('has no colours with NO_COLOR, and is JSON with LOG_FORMAT=json', async () => {
    const dataDir = shell.fresh()
    const grey = shell.inTerminal('exec ch202 start', { env: settings(dataDir, { NO_COLOR: '1' }) })
    await ready(grey, SERVICE_NAMES.length)
    const screen = await stopped(grey)
    expect(screen).not.toContain('\x1b[')
    expect(screen).toContain(' INFO: ')
    const json = shell.inTerminal('exec ch202 start', { env: settings(dataDir, { LOG_FORMAT: 'json' }) })
    await ready(json, SERVICE_NAMES.length)
    expect(await stopped(json)).toContain('{"level":"info"')
  })

  test('is JSON without a terminal, one line for each service', async () => {
    const env = settings(shell.fresh())
    const running = shell.start('exec ch202 start', { env })
    await running.printed(/ ready at /, SERVICE_NAMES.length)
    running.signal('SIGTERM')
    const { stdout, stderr } = await running.ended
    expect(stderr).toBe('')
    expect(stdout).toContain('| {"level":"info"')
    expect(stdout).not.toMatch(/Documentation|users create/)
  })

  test('has the address of a single service, and services that start later do not report it as missing', async () => {
    const env = settings(shell.fresh())
    const users = shell.inTerminal('exec ch202 serve users', { env })
    await users.shows(/users ready at /)
    expect(users.screen()).not.toMatch(/WARN|ERROR|Documentation/)
    await stopped(users)
  })
})
