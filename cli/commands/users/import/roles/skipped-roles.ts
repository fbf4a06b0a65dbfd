import { count, plain } from '../../../../terminal/terminal.ts'
import type { RoleFault, SkippedRole } from '../record/record.ts'

/** Maximum number of roles counted by name; only a broken file has more. */
const NAMES_MAX = 1000
/** Maximum number of roles in the printed report. */
const LINES_MAX = 100
/** Maximum length of a printed name, in characters. */
const NAME_MAX = 100

/** A skipped role and the number of users who had it. */
export interface SkippedRoleCount extends SkippedRole {
  users: number
}

/** Skipped roles as a journal stores them. */
export interface StoredSkippedRoles {
  /** Number of users with a skipped role. */
  users: number
  roles: SkippedRoleCount[]
  /** How many times a role was skipped that `roles` does not list. */
  others: number
}

/** Counts skipped roles by name. */
export class SkippedRoles {
  private users = 0
  private others = 0
  private readonly counts = new Map<string, SkippedRoleCount>()

  constructor(stored?: StoredSkippedRoles) {
    this.users = stored?.users ?? 0
    this.others = stored?.others ?? 0
    for (const one of stored?.roles ?? []) this.counts.set(keyOf(one), one)
  }

  /** @param roles the skipped roles of one user */
  add(roles: readonly SkippedRole[] = []): void {
    if (roles.length > 0) this.users++
    for (const { role, ...why } of roles) {
      const one = { role: shortened(role), ...why }
      const counted = this.counts.get(keyOf(one))
      if (counted) counted.users++
      else if (this.counts.size < NAMES_MAX) this.counts.set(keyOf(one), { ...one, users: 1 })
      else this.others++
    }
  }

  toJSON(): StoredSkippedRoles {
    return { users: this.users, roles: [...this.counts.values()], others: this.others }
  }

  /** Fields for the JSON summary; empty if no role was skipped. */
  get fields(): { roles_left_out?: SkippedRoleCount[] } {
    return this.users === 0 ? {} : { roles_left_out: [...this.counts.values()] }
  }

  /** Lines of the printed report. */
  get lines(): string[] {
    if (this.users === 0) return []
    const all = [...this.counts.values()]
    const over = this.others > 0 ? 'over ' : ''
    const head = `Roles skipped: ${over}${count(all.length)}, of ${users(this.users)} (use --role-map theirs=OURS to rename them)`
    const lines = all.slice(0, LINES_MAX).map(({ other, reason, role, users: number }) => {
      return `  ${quotedName(role)}, of ${users(number)}: ${REASONS[reason]}${other === undefined ? '' : ` ${quotedName(other)}`}`
    })
    const more = all.length - lines.length
    const rest = more > 0 ? [`  … and ${count(more)} more: -o json lists them`] : []
    const others = this.others > 0 ? [`  … and others, ${count(this.others)} times: too many to list by name`] : []
    return [head, ...lines, ...rest, ...others]
  }
}

const REASONS: Record<RoleFault, string> = {
  unfit: 'a role has A to Z, 0 to 9 and _, at most 32 characters, and starts with a letter',
  same: 'would get the same name as',
  too_many: 'a user has at most 32 roles',
  unnamed: 'a group without a name: export auth.group into the file too',
}

function users(number: number): string {
  return `${count(number)} ${number === 1 ? 'user' : 'users'}`
}

function keyOf({ reason, role }: SkippedRole): string {
  return `${reason} ${role}`
}

function quotedName(role: string): string {
  return plain(JSON.stringify(role))
}

function shortened(role: string): string {
  const characters = [...role.slice(0, 2 * NAME_MAX)]
  return characters.length > NAME_MAX || role.length > 2 * NAME_MAX
    ? `${characters.slice(0, NAME_MAX).join('')}…`
    : role
}
