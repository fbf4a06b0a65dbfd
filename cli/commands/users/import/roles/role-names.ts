import type { RoleFault } from '../record/record.ts'

const ROLE = /^[A-Z][A-Z0-9_]{0,31}$/
/** Bounds memory; only a broken file has more distinct role names. */
const NAMES_MAX = 20_000
/** The role that every user has, so mapping a role to it grants nothing. */
const DEFAULT_ROLE = 'USER'

/** Mapping of the other product's roles to ours, from `--role-map`. */
export type RoleMap = readonly (readonly [theirs: string, ours: string])[]

export type RoleDecision = { ours: string } | { fault: RoleFault; other?: string }

/** The names in the file that would become one of our roles. */
interface Claim {
  /** The first two names that would become the role without a mapping. */
  names: string[]
  /** A name that is mapped to the role, or the administrator flag. */
  mapped?: string
}

/**
 * Decides the new names of the roles in a file. A name is converted by upper-casing a to z and replacing `-`, `.` and
 * spaces by `_`. The role is skipped if the result is not valid or if another role in the file has the same result: an
 * editor there must never become an administrator here by accident.
 *
 * In our own files, a role that is already valid stays as it is, whatever else the file contains.
 */
export class RoleNames {
  private readonly map: ReadonlyMap<string, string>
  private readonly claims = new Map<string, Claim>()
  private readonly unseenMappings: Set<string>

  /** @param isOwnFile whether the file has this tool's own format */
  constructor(
    map: RoleMap,
    private readonly isOwnFile: boolean,
  ) {
    this.map = new Map(map)
    this.unseenMappings = new Set(this.map.keys())
  }

  /** Mapped names that did not occur. */
  get unusedMappings(): string[] {
    return [...this.unseenMappings]
  }

  /** Records a role name in the file. */
  addName(name: string): void {
    const mapped = this.mapped(name)
    if (mapped !== undefined) {
      this.unseenMappings.delete(name.trim())
      this.addMapped(name, mapped)
      return
    }
    const claim = this.claimOf(normalized(name))
    if (claim && claim.names.length < 2 && !claim.names.includes(name)) claim.names.push(name)
  }

  /** Records a name that becomes a role by an explicit rule. */
  addMapped(name: string, ours: string): void {
    const claim = this.claimOf(ours)
    if (claim) claim.mapped = name
  }

  /** Whether `--role-map` has the role. */
  isMapped(name: string): boolean {
    return this.mapped(name) !== undefined
  }

  /** Whether the result for a role depends on the rest of the file. */
  dependsOnRest(name: string): boolean {
    if (this.isMapped(name)) return false
    const ours = normalized(name)
    return ours !== undefined && ours !== DEFAULT_ROLE && !this.isOwn(name, ours)
  }

  /** Decides what a role becomes, after every record was added. */
  decide(name: string): RoleDecision {
    const ours = this.mapped(name) ?? normalized(name)
    if (ours === undefined) return { fault: 'unfit' }
    if (this.isMapped(name) || ours === DEFAULT_ROLE || this.isOwn(name, ours)) return { ours }
    const claim = this.claims.get(ours)
    // Beyond the limit it is unknown which other roles have the same result.
    if (!claim) return { fault: 'unfit' }
    const exact = this.isOwnFile && claim.names.includes(ours) ? ours : undefined
    const other = claim.mapped ?? exact ?? claim.names.find((one) => one !== name)
    return other === undefined ? { ours } : { fault: 'same', other }
  }

  /** Looks a name up without spaces around it, like `normalized`. */
  private mapped(name: string): string | undefined {
    return this.map.get(name.trim())
  }

  private isOwn(name: string, ours: string): boolean {
    return this.isOwnFile && name === ours
  }

  private claimOf(ours: string | undefined): Claim | undefined {
    if (ours === undefined || ours === DEFAULT_ROLE) return undefined
    const claim = this.claims.get(ours)
    if (claim || this.claims.size >= NAMES_MAX) return claim
    const newClaim: Claim = { names: [] }
    this.claims.set(ours, newClaim)
    return newClaim
  }
}

/** Whether a text is a valid name of a role in Ch202. */
export function isRole(text: string): boolean {
  return ROLE.test(text)
}

/**
 * Converts a name to a valid role; undefined if that is not possible. Only a to z are upper-cased: with all of Unicode,
 * `ı` would become `I`, and `ß` two letters.
 */
function normalized(name: string): string | undefined {
  const role = name
    .trim()
    .replaceAll(/[a-z]/g, (letter) => letter.toUpperCase())
    .replaceAll(/[-. ]/g, '_')
  return isRole(role) ? role : undefined
}
