import { expect, test } from 'bun:test'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { as, call } from '../support/http.ts'
import { type DatabaseKind, useDatabases } from '../support/postgres/system-database.ts'
import { processes } from '../support/processes.ts'
import { INTERNAL_KEY, type Name, OPERATOR_KEY, SECRET } from '../support/settings.ts'
import { processesWith } from '../support/tool.ts'
import type { Actor } from './everything/actor.ts'
import { AppActor } from './everything/apps.ts'
import { FactorActor } from './everything/factors.ts'
import { BackupActor, ImportActor, KeyActor } from './everything/operator.ts'
import { Writer } from './ledger.ts'
import { seeded } from './rounds.ts'

/** Minutes on each engine. */
const MINUTES = Number(process.env.SOAK_MINUTES ?? 10)
const ENGINES = (process.env.SOAK_ENGINES ?? 'sqlite,postgres').split(',') as DatabaseKind[]
/** Milliseconds of work between two comparisons. */
const ROUND = 8000
/** The last part of the time has no kills, so that memory can be compared. */
const QUIET = 0.35
const NAMES: readonly Name[] = ['auth', 'users', 'modules']
const MODULE = 'everything'

/**
 * Everything at once: logins, changes, second factors, apps, imports, backups, new signing keys, while services are killed;
 * nothing that was acknowledged is lost, nothing that ended works again, memory and files stay flat.
 */
test.each(ENGINES)(
  'everything at once on %s',
  async (engine) => {
    useDatabases(engine)
    const seed = Number(process.env.SOAK_SEED ?? Date.now())
    console.log(`${engine}: SOAK_SEED=${seed}`)
    const random = seeded(seed)
    const env = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent', SIGNING_KEY_LEAD: '1s', BCRYPT_COST: '4' }
    const system = await processes('apart', env)
    try {
      const module = { id: MODULE, name: 'Everything', description: 'What the writers switch' }
      await call(system.url.modules, 'POST /api/v1/modules', { headers: as.operator, body: module })
      const writers = Array.from({ length: 6 }, () => new Writer(system, random, MODULE))
      const writing = writers.map(
        (writer): Actor => ({
          work: (stop) => writer.write(stop),
          differences: () => writer.differences(),
        }),
      )
      const counted = [
        new FactorActor(system),
        new FactorActor(system),
        new AppActor(system),
        new AppActor(system),
        new ImportActor(system),
        new KeyActor(system),
      ]
      const tool = {
        CH202_DATA_DIR: system.dataDir,
        CH202_SECRET: SECRET,
        INTERNAL_API_KEY: INTERNAL_KEY,
        OPERATOR_API_KEY: OPERATOR_KEY,
      }
      const backups = new BackupActor(tool)
      // A database has the backups of its server.
      const actors: Actor[] = [...writing, ...counted, ...(engine === 'sqlite' ? [backups] : [])]

      const differences: string[] = []
      let kills = 0
      const samples: Sample[] = []
      const startedAt = performance.now()
      const end = startedAt + MINUTES * 60_000
      const quietFrom = end - QUIET * MINUTES * 60_000
      while (performance.now() < end) {
        const isQuiet = performance.now() >= quietFrom
        let stopped = false
        const working = Promise.all(actors.map((actor) => actor.work(() => stopped)))
        await Promise.race([working, Bun.sleep(ROUND * (0.3 + random()))])
        const victims = isQuiet ? [] : random() < 0.3 ? NAMES : NAMES.filter(() => random() < 0.4)
        await Promise.all(victims.map((name) => system.kill(name)))
        stopped = true
        await working
        await Promise.all(victims.map((name) => system.start(name)))
        kills += victims.length
        for (const actor of actors) differences.push(...(await actor.differences()))
        if (isQuiet) samples.push(sampleOf(system.dataDir))
      }
      const writes = [...writers, ...counted].reduce((sum, { acknowledged }) => sum + acknowledged, 0)
      console.log(
        `figures: ${kills} kills, ${writes} acknowledged writes, ${backups.made} backups, ${differences.length} lost or revived`,
      )
      const growth = growthOf(samples)
      console.log(`${engine}: ${JSON.stringify(growth)}`)
      expect(differences).toEqual([])
      // With fewer there is nothing to compare.
      expect(growth.samples).toBeGreaterThanOrEqual(3)
      // The first third of the quiet part fills caches.
      expect(growth.memory).toBeLessThan(1.3)
      expect(growth.files).toBeLessThanOrEqual(2)
      expect(growth.descriptors).toBeLessThanOrEqual(20)
      expect(kills).toBeGreaterThan(0)
    } finally {
      await system.stop()
    }
  },
  MINUTES * 60_000 + 600_000,
)

interface Sample {
  /** MiB of all services together. */
  memory: number
  /** Files of the data directory, without those of its backups. */
  files: number
  descriptors: number
}

function sampleOf(dataDir: string): Sample {
  const pids = processesWith(dataDir)
    .filter(({ command }) => command.includes(' serve'))
    .map(({ pid }) => pid)
  const sum = (of: (pid: number) => number) => pids.reduce((total, pid) => total + of(pid), 0)
  return {
    memory: sum((pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024),
    descriptors: sum((pid) => readdirSync(`/proc/${pid}/fd`).length),
    files: readdirSync(dataDir, { recursive: true })
      .map(String)
      .filter(
        (name) => !/^(backups|mail)\b/.test(name) && statSync(join(dataDir, name), { throwIfNoEntry: false })?.isFile(),
      ).length,
  }
}

/** The highest of the last third beside the highest of the second third. */
function growthOf(samples: readonly Sample[]) {
  const third = Math.max(1, Math.floor(samples.length / 3))
  const most = (part: readonly Sample[], of: (sample: Sample) => number) => Math.max(...part.map(of))
  const [before, after] = [samples.slice(third, 2 * third), samples.slice(2 * third)]
  return {
    samples: samples.length,
    from: Math.round(most(before, ({ memory }) => memory)),
    to: Math.round(most(after, ({ memory }) => memory)),
    memory: most(after, ({ memory }) => memory) / most(before, ({ memory }) => memory),
    files: most(after, ({ files }) => files) - most(before, ({ files }) => files),
    descriptors: most(after, ({ descriptors }) => descriptors) - most(before, ({ descriptors }) => descriptors),
  }
}
