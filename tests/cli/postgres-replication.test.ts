import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { ReplicatedServer } from '../cluster/replicated-postgres.ts'
import { eventually } from '../support/eventually.ts'
import { ownSettings, runTool, temporary } from '../support/tool.ts'

// What `ch202 doctor` says of a primary and its standbys. The tests run in their order, each with the state of the one before.

setDefaultTimeout(180_000)

const folder = temporary('postgres-replication')
const primary = new ReplicatedServer()
const standby = new ReplicatedServer()
beforeAll(() => primary.startEmpty())
afterAll(async () => {
  await standby.stop()
  await primary.stop()
  folder.remove()
})

const url = primary.addressOf('postgres')

/** The result of the check, with the status of the command. */
async function replication(address = url): Promise<unknown[]> {
  const env = ownSettings(folder.fresh(), { DATABASE_URL: address })
  const ended = await runTool('doctor --only database.replication -o json'.split(' '), { env })
  const [{ message, status, suggestion }] = JSON.parse(ended.stdout).items
  return [ended.status, status, message, suggestion]
}

test('a primary without standbys passes', async () => {
  expect(await replication()).toEqual([0, 'ok', 'This server is a primary without standbys', null])
})

test('a standby that no change waits for is a warning, with its name and how far it is behind', async () => {
  await standby.startAsStandbyOf(primary, 'copy')
  await primary.until("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'")
  expect(await replication()).toEqual([
    0,
    'warning',
    expect.stringMatching(
      /^A primary with 1 standby: walreceiver is asynchronous, \d+ kB behind\. None is synchronous: a failover may lose /,
    ),
    "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'",
  ])
})

test('a synchronous standby passes', async () => {
  await primary.waitForStandby()
  expect(await replication()).toEqual([
    0,
    'ok',
    expect.stringMatching(/^A primary with 1 standby: walreceiver is synchronous, \d+ kB behind$/),
    null,
  ])
})

test('a role that may not see the standbys gets the statement that lets it', async () => {
  await primary.run('postgres', 'CREATE ROLE plain LOGIN')
  const address = url.replace('ch202@', 'plain@')
  expect(await replication(address)).toEqual([
    0,
    'skipped',
    'A primary with 1 standby. Its user may not see whether one is synchronous, or how far behind each is',
    'GRANT pg_monitor TO plain',
  ])
  await primary.run('postgres', 'GRANT pg_monitor TO plain')
  expect(await replication(address)).toEqual([0, 'ok', expect.stringContaining('is synchronous'), null])
})

test('the address of a standby fails', async () => {
  const [status, result, message] = await replication(standby.addressOf('postgres'))
  expect([status, result, message]).toEqual([10, 'failed', 'This server is a standby: it takes no writes'])
})

test('a standby that is not there, although every change waits for it, fails', async () => {
  await standby.kill()
  await eventually(async () => (await primary.run('postgres', 'SELECT 1 FROM pg_stat_replication')).length === 0)
  expect(await replication()).toEqual([
    10,
    'failed',
    'synchronous_standby_names is *, and no such standby is connected: every change waits for one',
    "start the standby, or: ALTER SYSTEM SET synchronous_standby_names = ''",
  ])
})
