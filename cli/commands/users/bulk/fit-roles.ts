import type { ImportRecord, Left, LeftRole, ReadRecord, TheirRole, UserRecord } from './record.ts'
import { type RoleDecision, RoleNames } from './role-names.ts'
import { Spool } from './spool.ts'

/** As many as a user can have. */
const ROLES_MAX = 32
/** What an administrator by a flag of the other product is called where another role would become the same. */
const FLAG = 'is_superuser'

interface RoleOptions {
  /** Whether someone who is an administrator there is to be one here. */
  keepAdmins: boolean
  roleMap: readonly (readonly [theirs: string, ours: string])[]
  format: string
}

/**
 * Gives each user of the other product their roles here, and leaves out those that do not fit (`RoleNames`). Whether one
 * fits depends on all of the file, so all of it is read before the first role that does is given.
 * @param again reads the file once more; null where it can be read but once, and is kept until its end
 */
export async function* fitRoles(
  records: AsyncIterable<ReadRecord>,
  again: (() => AsyncIterable<ReadRecord>) | null,
  roles: FileRoles,
): AsyncGenerator<ImportRecord> {
  const source = records[Symbol.asyncIterator]()
  let spool: Spool<ReadRecord> | undefined
  let lookedAhead = false
  try {
    for (let next = await source.next(); !next.done; next = await source.next()) {
      const record = next.value
      roles.note(record)
      if (!lookedAhead && roles.isOpen(record)) {
        lookedAhead = true
        if (again) for await (const one of again()) roles.note(one)
        else spool = await kept(source, roles)
      }
      if (!('group' in record)) yield roles.fit(record)
      if (spool) for (const one of spool.values()) if (!('group' in one)) yield roles.fit(one)
    }
  } finally {
    spool?.close()
    await source.return?.()
  }
}

/** What is left of a source that can't be read again. */
async function kept(source: AsyncIterator<ReadRecord>, roles: FileRoles): Promise<Spool<ReadRecord>> {
  const spool = new Spool<ReadRecord>()
  for (let next = await source.next(); !next.done; next = await source.next()) {
    roles.note(next.value)
    spool.add(next.value)
  }
  return spool
}

/** What is known of the roles of a file. */
export class FileRoles {
  private readonly names: RoleNames
  /** What groups are called, by their keys. */
  private readonly groups = new Map<string, string>()
  /** Keys of groups that users have, and that were not called anything yet. */
  private readonly unnamed = new Set<string>()

  constructor(private readonly options: RoleOptions) {
    this.names = new RoleNames(options.roleMap, options.format === 'jsonl' || options.format === 'csv')
  }

  /** Roles that an operator mapped and the file does not name. */
  get unused(): string[] {
    return this.names.unused
  }

  note(record: ReadRecord): void {
    if ('group' in record) this.noteGroup(record.group)
    if (!('user' in record) || 'fault' in record) return
    for (const role of rolesOf(record)) {
      const name = this.nameOf(role)
      if (name !== undefined) this.names.note(name)
      else if (typeof role !== 'string') this.unnamed.add(role.group)
    }
    if (record.theirs?.admin) this.names.noteMapped(FLAG, 'ADMIN')
  }

  isOpen(record: ReadRecord): boolean {
    if (!('user' in record) || 'fault' in record) return false
    return rolesOf(record).some((role) => typeof role !== 'string' || this.names.isOpen(role))
  }

  fit(record: ImportRecord): ImportRecord {
    if ('fault' in record) return record
    const { theirs, ...rest } = record
    const roles = rolesOf(record)
    if (!theirs && roles.length === 0) return record
    const { given, leftAdmin, leftRoles } = this.rolesFor(roles, theirs)
    const left: Left[] = [...(record.left ?? []), ...(leftAdmin ? (['admin'] as const) : [])]
    const user = { ...record.user, roles: [...given] }
    return { ...rest, user, ...(left.length > 0 ? { left } : {}), ...(leftRoles.length > 0 ? { leftRoles } : {}) }
  }

  private rolesFor(roles: readonly TheirRole[], theirs: UserRecord['theirs']) {
    const { keepAdmins } = this.options
    const isAdmin = theirs?.admin ?? false
    const given = new Set([...(theirs ? ['USER'] : []), ...(isAdmin && keepAdmins ? ['ADMIN'] : [])])
    const leftRoles: LeftRole[] = []
    let leftAdmin = isAdmin && !keepAdmins
    const names = new Map(roles.map((role) => [this.nameOf(role) ?? (role as { group: string }).group, role]))
    for (const [name, role] of names) {
      const decision = this.decide(name, role)
      if ('fault' in decision) leftRoles.push({ role: name, reason: decision.fault, ...otherOf(decision) })
      else if (decision.ours === 'ADMIN' && (theirs || name !== 'ADMIN') && !keepAdmins) leftAdmin = true
      else if (given.has(decision.ours) || given.size < ROLES_MAX) given.add(decision.ours)
      else leftRoles.push({ role: name, reason: 'too_many' })
    }
    return { given, leftAdmin, leftRoles }
  }

  private decide(name: string, role: TheirRole): RoleDecision {
    if (this.nameOf(role) === undefined) return { fault: 'unnamed' }
    return this.names.decide(name)
  }

  private noteGroup({ id, name }: { id: string; name: string }): void {
    this.groups.set(id, name)
    if (this.unnamed.delete(id)) this.names.note(name)
  }

  /** Of a group without a name its key, where an operator said what that becomes. */
  private nameOf(role: TheirRole): string | undefined {
    if (typeof role === 'string') return role
    return this.groups.get(role.group) ?? (this.names.isMapped(role.group) ? role.group : undefined)
  }
}

function otherOf({ other }: { other?: string }): { other?: string } {
  return other === undefined ? {} : { other }
}

/** The roles of a record that are names. What else stands there is the API's to refuse. */
function rolesOf({ theirs, user }: UserRecord): readonly TheirRole[] {
  if (theirs) return theirs.roles
  const { roles } = user
  return Array.isArray(roles) && roles.every((role) => typeof role === 'string') ? roles : []
}
