import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { drawChart } from './chart.ts'
import { COSTS } from './costs.ts'
import { type ClusterSettings, type Measurement, simulate } from './model.ts'

// Simulates the revocation feed and refreshes with more nodes than one machine can run, and draws docs/operate/scaling/*.svg:
//   bun bench/simulation/main.ts

const NODES = [1, 2, 3, 5, 10, 20, 50, 100, 200]
/** Cores of the database server. */
const SERVER_CORES = 8
/** Logouts a second of the chart of latencies: those of about 30 million users who log out twice a month. */
const LOGOUTS = 20
/** Clients at each node that log out, or refresh, as fast as they can. */
const CLIENTS = 64
/** Milliseconds with three nodes, measured with processes on one busy machine (`bun run soak --postgres --only cluster`). */
const MEASURED = { nodes: 3, p50: 31, p99: 90 }

const FOLDER = join(import.meta.dir, '../../docs/operate/scaling')

/** The value below which a share of the latencies is. */
export function quantile({ latencies }: Measurement, share: number): number {
  return latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))] ?? Number.NaN
}

if (import.meta.main) {
  const run = (nodes: number, load: Partial<ClusterSettings>, seconds: number) => ({
    nodes,
    seconds,
    ...simulate({ nodes, serverCores: SERVER_CORES, costs: COSTS, ...load }, seconds),
  })
  const idle = NODES.map((nodes) => run(nodes, {}, 10))
  const ending = NODES.map((nodes) => run(nodes, { logouts: LOGOUTS }, 60))
  const busy = NODES.map((nodes) => run(nodes, { loggingOut: CLIENTS }, 5))
  const refreshing = NODES.map((nodes) => run(nodes, { refreshing: 2 * CLIENTS }, 2))

  console.log(
    'nodes  p50 ms  p99 ms  logouts/s at most  refreshes/s at most  idle statements/s a node  idle load of the server',
  )
  for (const [at, nodes] of NODES.entries()) {
    const [still, ends, most, refreshes] = [idle[at], ending[at], busy[at], refreshing[at]]
    if (!still || !ends || !most || !refreshes) continue
    const cells = [
      String(nodes),
      quantile(ends, 0.5).toFixed(1),
      quantile(ends, 0.99).toFixed(1),
      (most.logouts / most.seconds).toFixed(0),
      (refreshes.refreshes / refreshes.seconds).toFixed(0),
      (still.statements / still.seconds / nodes).toFixed(0),
      `${(still.serverLoad * 100).toFixed(1)} %`,
    ]
    console.log(cells.join('\t'))
  }

  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(
    join(FOLDER, 'revocation-latency.svg'),
    drawChart({
      title: 'How long a logout takes until every node refuses the token',
      subtitle: `Simulated: ${LOGOUTS} logouts a second in all, a server with ${SERVER_CORES} cores. Circles: measured, on one busy machine`,
      x: 'machines, each with a node of auth, users and modules',
      y: 'milliseconds',
      xMarks: NODES,
      yMarks: [5, 10, 20, 50, 100, 200],
      series: [
        {
          name: 'p50',
          colour: 1,
          points: ending.map((ends) => [ends.nodes, quantile(ends, 0.5)]),
          measured: [[MEASURED.nodes, MEASURED.p50]],
        },
        {
          name: 'p99',
          colour: 2,
          points: ending.map((ends) => [ends.nodes, quantile(ends, 0.99)]),
          measured: [[MEASURED.nodes, MEASURED.p99]],
        },
      ],
    }),
  )
  writeFileSync(
    join(FOLDER, 'throughput.svg'),
    drawChart({
      title: 'What one database carries',
      subtitle: `Simulated: every node as busy as it can be, a server with ${SERVER_CORES} cores`,
      x: 'machines, each with a node of auth, users and modules',
      y: 'a second, over all nodes',
      xMarks: NODES,
      yMarks: [100, 1000, 10_000, 100_000, 1_000_000],
      series: [
        { name: 'refreshes', colour: 3, points: refreshing.map((at) => [at.nodes, at.refreshes / at.seconds]) },
        { name: 'logouts', colour: 1, points: busy.map((at) => [at.nodes, at.logouts / at.seconds]) },
      ],
    }),
  )
}
