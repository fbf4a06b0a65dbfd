import { describe, expect, test } from 'bun:test'
import { PROMPT } from '../../../tests/support/eventually.ts'
import { DatabaseUnavailable } from '../database-unavailable.ts'
import type { Problem } from '../problem.ts'
import { Readiness } from './readiness.ts'

/** Makes a node with a lease and a database, which a test takes away. */
function newNode() {
  const node = { isSure: true, hasLease: true, probes: 0, probe: async () => {} }
  const readiness = new Readiness({
    unavailable: 'users_unavailable',
    probe() {
      node.probes++
      return node.probe()
    },
    nodes: { isSure: () => node.isSure },
    lease: { holder: node, code: 'auth_unavailable' },
  })
  const verdict = () =>
    readiness.assert().then(
      () => 'ready',
      (problem: Problem) => `${problem.status} ${problem.code}`,
    )
  return { node, readiness, verdict }
}

function started() {
  const parts = newNode()
  parts.readiness.begin()
  return parts
}

describe('a node is ready', () => {
  test('from the end of its start to the beginning of its stop', async () => {
    const { readiness, verdict } = newNode()
    const verdicts = [await verdict()]
    readiness.begin()
    verdicts.push(await verdict())
    readiness.end()
    verdicts.push(await verdict())
    expect(verdicts).toEqual(['503 users_unavailable', 'ready', '503 users_unavailable'])
  })

  test('while it has its lease', async () => {
    const { node, verdict } = started()
    node.hasLease = false
    expect(await verdict()).toBe('503 auth_unavailable')
    node.hasLease = true
    expect(await verdict()).toBe('ready')
  })

  test('while its database can be written', async () => {
    const { node, verdict } = started()
    node.probe = () => Promise.reject(new DatabaseUnavailable('the disk is full', 'SQLITE_FULL'))
    expect(await verdict()).toBe('503 database_unavailable')
  })

  test('while its database answers; without an answer it soon says so', async () => {
    const { node, verdict } = started()
    node.probe = () => new Promise(() => {})
    const askedAt = performance.now()
    expect(await verdict()).toBe('503 database_unavailable')
    expect(performance.now() - askedAt).toBeLessThan(PROMPT)
  })

  test('while the database has answered lately; otherwise it is not asked', async () => {
    const { node, verdict } = started()
    node.isSure = false
    expect([await verdict(), node.probes]).toEqual(['503 database_unavailable', 0])
  })
})

test('many checks at once share one write', async () => {
  const { node, verdict } = started()
  node.probe = () => Bun.sleep(1)
  const verdicts = await Promise.all(Array.from({ length: 50 }, verdict))
  expect([new Set(verdicts), node.probes]).toEqual([new Set(['ready']), 1])
})
