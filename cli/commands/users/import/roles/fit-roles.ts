import type { ImportRecord, ReadRecord, SkippedField, SkippedRole, TheirRole, UserRecord } from '../record/record.ts'
import { type RoleDecision, RoleNames } from './role-names.ts'
import { Spool } from './spool.ts'

/** Maximum number of roles per user. */
const ROLES_MAX = 32
/** Name for the other product's administrator flag, in the report of a role that would also become ADMIN. */
const ADMIN_FLAG = 'is_superuser'

interface RoleOptions {
  /** Whether administrators in the other product become administrators here. */
  keepAdmins: boolean
  roleMap: readonly (readonly [theirs: string, ours: string])[]
  format: string
}

/**
 * Converts the roles of each user and skips those that are not valid here (`RoleNames`). The result for a role depends on
 * the whole file, so the rest of the file is read before the first such role is yielded.
 * @param reread reads the file once more; null for standard input, whose records are buffered instead
 */
export async function* fitRoles(
  records: AsyncIterable<ReadRecord>,
  reread: (() => AsyncIterable<ReadRecord>) | null,
  roles: FileRoles,
): AsyncGenerator<ImportRecord> {
  const source = records[Symbol.asyncIterator]()
  let spool: Spool<ReadRecord> | undefined
  let lookedAhead = false
  try {
    for (let next = await source.next(); !next.done; next = await source.next()) {
      const record = next.value
      roles.addRecord(record)
      if (!lookedAhead && roles.dependsOnRest(record)) {
        lookedAhead = true
        if (reread) for await (const one of reread()) roles.addRecord(one)
        else spool = await bufferRest(source, roles)
      }
      if (!('group' in record)) yield roles.fit(record)
      if (spool) for (const one of spool.values()) if (!('group' in one)) yield roles.fit(one)
    }
  } finally {
    spool?.close()
    await source.return?.()
  }
}

/** Buffers the remaining records of a source that cannot be read again. */
async function bufferRest(source: AsyncIterator<ReadRecord>, roles: FileRoles): Promise<Spool<ReadRecord>> {
  const spool = new Spool<ReadRecord>()
  for (let next = await source.next(); !next.done; next = await source.next()) {
    roles.addRecord(next.value)
    spool.add(next.value)
  }
  return spool
}

/** Collects the roles of a file and converts them. */
export class FileRoles {
  private readonly names: RoleNames
  /** Names of groups by key. */
  private readonly groups = new Map<string, string>()
  /** Keys of users' groups whose name was not read yet. */
  private readonly unnamedGroups = new Set<string>()

  constructor(private readonly options: RoleOptions) {
    this.names = new RoleNames(options.roleMap, options.format === 'jsonl' || options.format === 'csv')
  }

  /** Mapped roles that do not occur in the file. */
  get unusedMappings(): string[] {
    return this.names.unusedMappings
  }

  /** Records the roles of a user, or the name of a group. */
  addRecord(record: ReadRecord): void {
    if ('group' in record) this.addGroup(record.group)
    if (!('user' in record) || 'fault' in record) return
    for (const role of rolesOf(record)) {
      const name = this.nameOf(role)
      if (name !== undefined) this.names.addName(name)
      else if (typeof role !== 'string') this.unnamedGroups.add(role.group)
    }
    if (record.theirs?.admin) this.names.addMapped(ADMIN_FLAG, 'ADMIN')
  }

  /** Whether the roles of a record depend on the rest of the file. */
  dependsOnRest(record: ReadRecord): boolean {
    if (!('user' in record) || 'fault' in record) return false
    return rolesOf(record).some((role) => typeof role !== 'string' || this.names.dependsOnRest(role))
  }

  /** Converts the roles of a record, after every record they depend on was added. */
  fit(record: ImportRecord): ImportRecord {
    if ('fault' in record) return record
    const { theirs, ...rest } = record
    const roles = rolesOf(record)
    if (!theirs && roles.length === 0) return record
    const { granted, adminSkipped, skippedRoles } = this.rolesFor(roles, theirs)
    const skipped: SkippedField[] = [...(record.skipped ?? []), ...(adminSkipped ? (['admin'] as const) : [])]
    const user = { ...record.user, roles: [...granted] }
    return {
      ...rest,
      user,
      ...(skipped.length > 0 ? { skipped } : {}),
      ...(skippedRoles.length > 0 ? { skippedRoles } : {}),
    }
  }

  private rolesFor(roles: readonly TheirRole[], theirs: UserRecord['theirs']) {
    const { keepAdmins } = this.options
    const isAdmin = theirs?.admin ?? false
    const granted = new Set([...(theirs ? ['USER'] : []), ...(isAdmin && keepAdmins ? ['ADMIN'] : [])])
    const skippedRoles: SkippedRole[] = []
    let adminSkipped = isAdmin && !keepAdmins
    const names = new Map(roles.map((role) => [this.nameOf(role) ?? (role as { group: string }).group, role]))
    for (const [name, role] of names) {
      const decision = this.decide(name, role)
      if ('fault' in decision) skippedRoles.push({ role: name, reason: decision.fault, ...otherOf(decision) })
      else if (decision.ours === 'ADMIN' && (theirs || name !== 'ADMIN') && !keepAdmins) adminSkipped = true
      else if (granted.has(decision.ours) || granted.size < ROLES_MAX) granted.add(decision.ours)
      else skippedRoles.push({ role: name, reason: 'too_many' })
    }
    return { granted, adminSkipped, skippedRoles }
  }

  private decide(name: string, role: TheirRole): RoleDecision {
    if (this.nameOf(role) === undefined) return { fault: 'unnamed' }
    return this.names.decide(name)
  }

  private addGroup({ id, name }: { id: string; name: string }): void {
    this.groups.set(id, name)
    if (this.unnamedGroups.delete(id)) this.names.addName(name)
  }

  /** The name of a role or group; for a group without a name, its key if `--role-map` has that key. */
  private nameOf(role: TheirRole): string | undefined {
    if (typeof role === 'string') return role
    return this.groups.get(role.group) ?? (this.names.isMapped(role.group) ? role.group : undefined)
  }
}

function otherOf({ other }: { other?: string }): { other?: string } {
  return other === undefined ? {} : { other }
}

/** The roles of a record if all of them are strings; otherwise none, and the API refuses the record. */
function rolesOf({ theirs, user }: UserRecord): readonly TheirRole[] {
  if (theirs) return theirs.roles
  const { roles } = user
  return Array.isArray(roles) && roles.every((role) => typeof role === 'string') ? roles : []
}
