import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { FEED_LEASE } from '../../services/kit/feed/subscriber.ts'
import { drawChart } from './chart.ts'
import { COSTS } from './costs.ts'
import { Cores, type Process, SimulatedSignal, Simulation } from './engine.ts'
import { quantile } from './main.ts'
import { GROUP, LONGEST_WAIT, NODE_RENEW_EVERY, simulate } from './model.ts'

const cluster = { serverCores: 8, costs: COSTS }

describe('the simulation of several nodes', () => {
  test('has the intervals and limits of the code', () => {
    const constant = (path: string, name: string) => {
      const code = readFileSync(join(import.meta.dir, '../..', path), 'utf8')
      return Number(new RegExp(`^const ${name} = (\\d+)$`, 'm').exec(code)?.[1])
    }
    expect(constant('services/kit/nodes/nodes.ts', 'RENEW_EVERY')).toBe(NODE_RENEW_EVERY)
    expect(constant('db/postgres/engine.ts', 'MOST')).toBe(GROUP)
    expect(constant('db/postgres/engine.ts', 'LONGEST_WAIT')).toBe(LONGEST_WAIT)
  })

  test('gives the same figures for the same seed, and others for another', () => {
    const run = (seed: number) => simulate({ nodes: 3, logouts: 50, seed, ...cluster }, 2)
    expect(run(7)).toEqual(run(7))
    expect(run(8).latencies).not.toEqual(run(7).latencies)
  })

  test('has the median that was measured with three nodes: between half of 31 ms and twice as much', () => {
    const measured = simulate({ nodes: 3, logouts: 50, ...cluster }, 20)
    expect(measured.logouts).toBeGreaterThan(500)
    expect(quantile(measured, 0.5)).toBeGreaterThan(31 / 2)
    expect(quantile(measured, 0.5)).toBeLessThan(31 * 2)
  })

  test('answers a logout before a lease has ended, because every subscriber acknowledges', () => {
    const { latencies } = simulate({ nodes: 20, logouts: 50, ...cluster }, 5)
    expect(latencies.length).toBeGreaterThan(100)
    expect(latencies.at(-1)).toBeLessThan(FEED_LEASE)
  })

  test('counts the transactions that conflict when several nodes end sessions at once, and none on one node', () => {
    expect(simulate({ nodes: 1, loggingOut: 20, ...cluster }, 1).conflicts).toBe(0)
    expect(simulate({ nodes: 5, loggingOut: 20, ...cluster }, 1).conflicts).toBeGreaterThan(10)
  })

  test('refreshes grow with the nodes until the server is full', () => {
    const rate = (nodes: number, serverCores: number) =>
      simulate({ nodes, serverCores, refreshing: 64, costs: COSTS }, 1).refreshes
    expect(rate(4, 8) / rate(1, 8)).toBeGreaterThan(3.5)
    expect(rate(20, 1) / rate(10, 1)).toBeLessThan(1.2)
  })
})

describe('simulated time', () => {
  test('events run in their order, and those of the same time in the order in which they were added', () => {
    const simulation = new Simulation(1)
    const order: string[] = []
    for (const [time, name] of [
      [3, 'd'],
      [1, 'a'],
      [2, 'b'],
      [2, 'c'],
    ] as const)
      simulation.at(time, () => order.push(`${name} ${simulation.now}`))
    simulation.run(10)
    expect(order).toEqual(['a 1', 'b 2', 'c 2', 'd 3'])
  })

  test('two cores do three pieces of work in two turns', () => {
    const simulation = new Simulation(1)
    const cores = new Cores(simulation, 2)
    const ends: number[] = []
    const work = function* (): Process {
      yield* cores.use(10)
      ends.push(simulation.now)
    }
    for (let n = 0; n < 3; n++) simulation.start(work())
    simulation.run(100)
    expect([ends, cores.busy]).toEqual([[10, 10, 20], 30])
  })

  test('a wait for a signal ends with it, or after its time', () => {
    const simulation = new Simulation(1)
    const signal = new SimulatedSignal(simulation)
    const ends: number[] = []
    const wait = function* (ms: number): Process {
      yield signal.next(ms)
      ends.push(simulation.now)
    }
    simulation.start(wait(5))
    simulation.start(wait(50))
    simulation.at(20, () => signal.notify())
    simulation.run(100)
    expect(ends).toEqual([5, 20])
  })
})

test('a chart has a line for each series, its name, circles where it was measured, and colours for a dark page', () => {
  const svg = drawChart({
    title: 'A & B',
    subtitle: '',
    x: 'nodes',
    y: 'ms',
    xMarks: [1, 10, 100],
    yMarks: [1, 10],
    series: [
      {
        name: 'p50',
        colour: 1,
        points: [
          [1, 1],
          [10, 10],
        ],
        measured: [[1, 10]],
      },
    ],
  })
  expect(svg).toContain('<title>A &amp; B</title>')
  expect(svg).toContain('d="M108 344L364 62"')
  expect(svg).toContain('<circle class="measured c1" cx="108" cy="62"')
  expect(svg).toContain('>p50</text>')
  expect(svg).toContain('prefers-color-scheme: dark')
})
