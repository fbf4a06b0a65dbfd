import { afterEach, spyOn } from 'bun:test'
import { decodeProtectedHeader } from 'jose'
import { KeyRing } from '../../services/auth/keys/ring.ts'
import { MINUTE } from '../../services/kit/clock.ts'
import { InstanceInTime } from '../faults/instance-in-time.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as } from '../support/http.ts'

export const operator = { headers: as.operator }

/**
 * An instance whose clock a test moves, with queries about its signing keys. Only one may run in this process at a time,
 * because it replaces the intervals.
 */
export function inTime(settings: Record<string, string>) {
  let instance: InstanceInTime | undefined
  const spies: { mockRestore(): void }[] = []
  afterEach(async () => {
    for (const spy of spies.splice(0)) spy.mockRestore()
    await instance?.stop()
    instance = undefined
  })
  const here = {
    settings,
    async start() {
      instance = new InstanceInTime(settings)
      await instance.start()
      return instance
    },
    get instance() {
      if (!instance) throw new Error('It was not started')
      return instance
    },
    restored: <T extends { mockRestore(): void }>(spy: T): T => {
      spies.push(spy)
      return spy
    },
    /** Halts a change of the keys at a step, before or after its commit, until `goOn`. */
    halt(step: 'add' | 'activate' | 'remove' | 'retire', when: 'before' | 'after') {
      const reached = Promise.withResolvers<void>()
      const gate = Promise.withResolvers<void>()
      const real = KeyRing.prototype[step] as (this: KeyRing, ...args: unknown[]) => Promise<unknown>
      async function halted(this: KeyRing, ...args: unknown[]) {
        const done = when === 'after' ? await real.apply(this, args) : undefined
        reached.resolve()
        await gate.promise
        return when === 'after' ? done : await real.apply(this, args)
      }
      const spy = here.restored(spyOn(KeyRing.prototype, step).mockImplementation(halted as never))
      const goOn = () => {
        gate.resolve()
        spy.mockRestore()
      }
      return { reached: reached.promise, goOn }
    },
    ask: (line: string, options?: Parameters<InstanceInTime['ask']>[1]) =>
      here.instance.ask(line.replace(' ', ' /api/v1'), options),
    async register() {
      const email = newEmail()
      const { body } = await here.ask('POST /auth/register', { body: { email, password: PASSWORD } })
      return { email, id: String(body.id), ...body.tokens } as Session
    },
    login: (email: string) => here.ask('POST /auth/login', { body: { login: email, password: PASSWORD } }),
    refresh: (refresh_token: string) => here.ask('POST /auth/refresh', { body: { refresh_token } }),
    /** The statuses of the three services for a token. */
    async each({ access_token, id }: Pick<Session, 'access_token' | 'id'>) {
      const headers = as.bearer(access_token)
      const paths = ['/auth/me', `/users/${id}`, '/modules/']
      return (await Promise.all(paths.map((path) => here.ask(`GET ${path}`, { headers })))).map(({ status }) => status)
    },
    keys: async (): Promise<Key[]> => (await here.ask('GET /admin/keys', operator)).body.items,
    active: async () => (await here.keys()).find(({ status }) => status === 'active')?.kid,
    published: async (): Promise<string[]> =>
      (await here.instance.ask('GET /.well-known/jwks.json')).body.keys.map(({ kid }: Key) => kid),
    rotations: async (): Promise<Record<string, unknown>[]> =>
      (await here.ask('GET /admin/audit?type=key.rotated', operator)).body.items,
    pending: async () => (await here.keys()).find(({ status }) => status === 'pending')?.kid,
    activations: async (): Promise<Record<string, unknown>[]> =>
      (await here.ask('GET /admin/audit?type=key.activated', operator)).body.items,
    rotate: async (query = '') => (await here.ask(`POST /admin/keys/rotate${query}`, operator)).body as Key,
    /** Waits for a pending key: a rotation by age runs in the background. */
    publishes: () => eventually(() => here.pending()),
    rotatedFrom: (kid: string | undefined) =>
      eventually(async () => {
        const now = await here.active()
        return now === kid ? undefined : now
      }),
    /** Lets a minute pass, with the work that is done each minute. */
    async aWhile() {
      await here.instance.pass(MINUTE)
      await here.instance.settled()
    },
  }
  return here
}

interface Session {
  email: string
  id: string
  access_token: string
  refresh_token: string
}

export interface Key {
  kid: string
  alg: string
  status: string
}

export const kidOf = (token: string) => String(decodeProtectedHeader(token).kid)
