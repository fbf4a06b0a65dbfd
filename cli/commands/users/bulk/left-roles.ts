import { count, plain } from '../../../terminal/terminal.ts'
import type { LeftRole, RoleFault } from './record.ts'

/** Different ones that are kept by name; a file has no more that is not broken. */
const KINDS_MAX = 1000
/** So many are named to people. */
const SHOWN = 100
/** Characters of a name. */
const NAME_MAX = 100

/** A role that users of the file were left without, and how many. */
export interface LeftRoleCount extends LeftRole {
  users: number
}

/** The roles that were left out of a file, as a journal keeps them. */
export interface LeftRolesRead {
  /** Users who were left without a role. */
  users: number
  roles: LeftRoleCount[]
  /** How often one was left out that is not among `roles`. */
  others: number
}

/** Counts the roles that were left out, by name. */
export class LeftRoles {
  private users = 0
  private others = 0
  private readonly counts = new Map<string, LeftRoleCount>()

  constructor(read?: LeftRolesRead) {
    this.users = read?.users ?? 0
    this.others = read?.others ?? 0
    for (const one of read?.roles ?? []) this.counts.set(keyOf(one), one)
  }

  /** @param roles what one user was left without */
  add(roles: readonly LeftRole[] = []): void {
    if (roles.length > 0) this.users++
    for (const { role, ...why } of roles) {
      const one = { role: shortened(role), ...why }
      const counted = this.counts.get(keyOf(one))
      if (counted) counted.users++
      else if (this.counts.size < KINDS_MAX) this.counts.set(keyOf(one), { ...one, users: 1 })
      else this.others++
    }
  }

  toJSON(): LeftRolesRead {
    return { users: this.users, roles: [...this.counts.values()], others: this.others }
  }

  /** For the JSON of a summary; nothing where none was left out. */
  get read(): { roles_left_out?: LeftRoleCount[] } {
    return this.users === 0 ? {} : { roles_left_out: [...this.counts.values()] }
  }

  /** For people, a line each. */
  get lines(): string[] {
    if (this.users === 0) return []
    const all = [...this.counts.values()]
    const over = this.others > 0 ? 'over ' : ''
    const head = `Roles left out: ${over}${count(all.length)}, of ${users(this.users)} (--role-map theirs=OURS says what one becomes)`
    const shown = all.slice(0, SHOWN).map(({ other, reason, role, users: number }) => {
      return `  ${named(role)}, of ${users(number)}: ${REASONS[reason]}${other === undefined ? '' : ` ${named(other)}`}`
    })
    const more = all.length - shown.length
    const rest = more > 0 ? [`  … and ${count(more)} more: -o json names them`] : []
    const others = this.others > 0 ? [`  … and others, ${count(this.others)} times: so many are not kept by name`] : []
    return [head, ...shown, ...rest, ...others]
  }
}

const REASONS: Record<RoleFault, string> = {
  unfit: 'a role is A to Z, 0 to 9 and _, at most 32, and begins with a letter',
  same: 'the same role would come of',
  too_many: 'a user has at most 32',
  unnamed: 'a group whose name is not in the file, which needs auth.group too',
}

function users(number: number): string {
  return `${count(number)} ${number === 1 ? 'user' : 'users'}`
}

function keyOf({ reason, role }: LeftRole): string {
  return `${reason} ${role}`
}

function named(role: string): string {
  return plain(JSON.stringify(role))
}

function shortened(role: string): string {
  const characters = [...role.slice(0, 2 * NAME_MAX)]
  return characters.length > NAME_MAX || role.length > 2 * NAME_MAX
    ? `${characters.slice(0, NAME_MAX).join('')}…`
    : role
}
