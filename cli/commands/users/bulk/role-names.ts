import type { RoleFault } from './record.ts'

const ROLE = /^[A-Z][A-Z0-9_]{0,31}$/
/** More different ones than any file has that is not broken; memory is bounded by it. */
const NAMES_MAX = 20_000
/** Everyone has it: to become USER gives no one anything. */
const EVERYONES = 'USER'

/** Which roles of the other product an operator named one of ours for. */
export type RoleMap = readonly (readonly [theirs: string, ours: string])[]

export type RoleDecision = { ours: string } | { fault: RoleFault; other?: string }

/** Who wants to become one role of ours. */
interface Claim {
  /** The first two names that would become it without being mapped. */
  names: string[]
  /** A name that an operator mapped to it, or the flag of an administrator. */
  mapped?: string
}

/**
 * What the roles of a file become. A role fits if it is one of ours after upper-casing A to Z, and `-`, `.` and blanks
 * became `_`, and no other role of the file becomes the same. One that does not fit is never changed into another one:
 * an editor there must not become the administrator of something here.
 *
 * In our own files a role that is spelled as ours is ours, whatever else the file names.
 */
export class RoleNames {
  private readonly map: ReadonlyMap<string, string>
  private readonly claims = new Map<string, Claim>()
  private readonly absent: Set<string>

  /** @param own whether the file is one of ours */
  constructor(
    map: RoleMap,
    private readonly own: boolean,
  ) {
    this.map = new Map(map)
    this.absent = new Set(this.map.keys())
  }

  /** Names that are mapped and were not noted. */
  get unused(): string[] {
    return [...this.absent]
  }

  /** Takes note of a role that the file names. */
  note(name: string): void {
    const mapped = this.mapped(name)
    if (mapped !== undefined) {
      this.absent.delete(name.trim())
      this.noteMapped(name, mapped)
      return
    }
    const claim = this.claimOf(spelled(name))
    if (claim && claim.names.length < 2 && !claim.names.includes(name)) claim.names.push(name)
  }

  /** Takes note of something that becomes a role by a rule of its own. */
  noteMapped(name: string, ours: string): void {
    const claim = this.claimOf(ours)
    if (claim) claim.mapped = name
  }

  /** Whether an operator said what a role becomes. */
  isMapped(name: string): boolean {
    return this.mapped(name) !== undefined
  }

  /** Whether what a role becomes depends on the rest of the file. */
  isOpen(name: string): boolean {
    if (this.isMapped(name)) return false
    const ours = spelled(name)
    return ours !== undefined && ours !== EVERYONES && !this.isOwn(name, ours)
  }

  /** What a role becomes, once all of the file was noted. */
  decide(name: string): RoleDecision {
    const ours = this.mapped(name) ?? spelled(name)
    if (ours === undefined) return { fault: 'unfit' }
    if (this.isMapped(name) || ours === EVERYONES || this.isOwn(name, ours)) return { ours }
    const claim = this.claims.get(ours)
    // Beyond what is kept no one knows what else becomes the same.
    if (!claim) return { fault: 'unfit' }
    const exact = this.own && claim.names.includes(ours) ? ours : undefined
    const other = claim.mapped ?? exact ?? claim.names.find((one) => one !== name)
    return other === undefined ? { ours } : { fault: 'same', other }
  }

  /** Blanks around a name are no part of it, here as in `spelled`. */
  private mapped(name: string): string | undefined {
    return this.map.get(name.trim())
  }

  private isOwn(name: string, ours: string): boolean {
    return this.own && name === ours
  }

  private claimOf(ours: string | undefined): Claim | undefined {
    if (ours === undefined || ours === EVERYONES) return undefined
    const claim = this.claims.get(ours)
    if (claim || this.claims.size >= NAMES_MAX) return claim
    const made: Claim = { names: [] }
    this.claims.set(ours, made)
    return made
  }
}

export function isRole(text: string): boolean {
  return ROLE.test(text)
}

/**
 * A role in our spelling; undefined where it has none. Only a to z are upper-cased: with all of Unicode `ı` would become
 * `I`, and `ß` two letters.
 */
function spelled(name: string): string | undefined {
  const role = name
    .trim()
    .replaceAll(/[a-z]/g, (letter) => letter.toUpperCase())
    .replaceAll(/[-. ]/g, '_')
  return isRole(role) ? role : undefined
}
