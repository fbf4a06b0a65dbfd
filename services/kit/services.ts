/** What one service tells others that want to hear it. */
type Heard = 'user.deleted'

interface ServiceEntry {
  /** Never given twice: it settles the port where none is set (3000 and the number) and the mark of the database file. */
  number: number
  /** What users tells it, at its route `/<name>/sync/user-deleted`. */
  hears?: readonly Heard[]
}

/** Every service, a line each: whatever goes through all of them goes through this list. */
export const SERVICES = {
  auth: { number: 1 },
  users: { number: 2 },
  modules: { number: 3, hears: ['user.deleted'] },
} as const satisfies Record<string, ServiceEntry>

export type ServiceName = keyof typeof SERVICES

export const SERVICE_NAMES = Object.keys(SERVICES) as ServiceName[]

/** Something of each service. */
export function ofEachService<T>(of: (name: ServiceName) => T): Record<ServiceName, T> {
  return Object.fromEntries(SERVICE_NAMES.map((name) => [name, of(name)])) as Record<ServiceName, T>
}

/** The services that are told when a user is gone. Auth is not among them: users tells it of every change. */
export const HEAR_OF_DELETED = SERVICE_NAMES.filter((name) => {
  const { hears = [] }: ServiceEntry = SERVICES[name]
  return hears.includes('user.deleted')
})

/** The setting that says where a service is. */
export function addressSetting<Name extends ServiceName>(name: Name): `${Uppercase<Name>}_URL` {
  return `${name.toUpperCase() as Uppercase<Name>}_URL`
}

/** Where a service is when no setting says otherwise. */
export function defaultAddress(name: ServiceName): string {
  return `http://127.0.0.1:${3000 + SERVICES[name].number}`
}
