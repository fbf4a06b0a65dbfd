import { DAY, HOUR, MINUTE, SECOND } from '../clock.ts'
import { hasWildcardHost } from '../outgoing.ts'
import { baseUrlFault } from './base-url.ts'

export type Environment = Record<string, string | undefined>

/** Called with each setting's name and its default (undefined: none). */
export type SettingListener = (name: string, fallback: string | undefined) => void

const UNITS: Record<string, number> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY }
const LONGEST = 3650 * DAY

/**
 * Reads settings from the environment, one method for each kind of value. A value that is not valid adds to `faults`
 * instead of throwing, so that all faults are reported at once; the caller then uses none of the values. No fault
 * contains the value of a setting.
 */
export class SettingReader {
  /** Each fault begins with the name of its setting. */
  readonly faults: string[] = []

  constructor(
    private readonly env: Environment,
    private readonly onSetting: SettingListener,
  ) {}

  /**
   * Reads a text. An empty one counts as unset.
   * @param fallback the default that `onSetting` gets; the caller applies it
   */
  optional(name: string, fallback?: string): string | undefined {
    this.onSetting(name, fallback || undefined)
    return this.env[name]?.trim() || undefined
  }

  /** Whether the environment has a setting. */
  isSet(name: string): boolean {
    return Boolean(this.env[name]?.trim())
  }

  text(name: string, fallback: string): string {
    return this.optional(name, fallback) ?? fallback
  }

  /** Reads a list whose items are separated by commas. */
  list(name: string): string[] {
    return this.text(name, '')
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean)
  }

  /** Reads a duration, such as `30s`. @returns milliseconds, from `least` to `most` */
  duration(name: string, fallback: string, least: number, most = LONGEST): number {
    const match = /^(\d{1,9})([smhd])$/.exec(this.text(name, fallback))
    const unit = UNITS[match?.[2] ?? '']
    if (!match || unit === undefined) {
      this.faults.push(`${name} must be a duration such as 30s, 10m, 1h or 7d`)
      return 0
    }
    const ms = Number(match[1]) * unit
    if (ms < least) this.faults.push(`${name} must be at least ${least / SECOND}s`)
    if (ms > most) this.faults.push(`${name} must be at most ${most < DAY ? `${most / SECOND}s` : `${most / DAY}d`}`)
    return ms
  }

  /** Reads a duration, or `off`: undefined. @returns milliseconds, at least `least` */
  durationOrOff(name: string, fallback: string, least: number): number | undefined {
    return this.text(name, fallback) === 'off' ? undefined : this.duration(name, fallback, least)
  }

  /** Reads a duration, or `forever`: undefined. @returns milliseconds, at least `least` */
  durationOrForever(name: string, fallback: string, least: number): number | undefined {
    return this.text(name, fallback) === 'forever' ? undefined : this.duration(name, fallback, least)
  }

  /** Reads a whole number from `least` to `most`. */
  integer(name: string, fallback: number, least: number, most: number): number {
    const value = this.text(name, String(fallback))
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
    if (!(number >= least && number <= most))
      this.faults.push(`${name} must be a whole number from ${least} to ${most}`)
    return number
  }

  /** Reads one of several words. */
  oneOf<T extends string>(name: string, fallback: T, choices: readonly T[]): T {
    const value = this.text(name, fallback)
    const choice = choices.find((candidate) => candidate === value)
    if (choice === undefined) this.faults.push(`${name} must be one of ${choices.join(', ')}`)
    return choice ?? fallback
  }

  /** Reads the base address of a service. @returns the address without a trailing slash */
  address(name: string, fallback: string): string {
    const value = this.text(name, fallback)
    this.checkBase(name, value, { example: fallback, path: false })
    return value.replace(/\/+$/, '')
  }

  /** Reads where a server listens, `host:port`. @param fallback the address otherwise @returns an address of http */
  listenAddress(name: string, fallback: string): string {
    const value = this.optional(name)
    if (value === undefined) return fallback
    const isValid = /^(\[[0-9a-f:.]+\]|[\w.-]+):[1-9]\d{0,4}$/i.test(value) && URL.canParse(`http://${value}`)
    if (!isValid) this.faults.push(`${name} must be a host and a port such as 10.0.0.1:3001, without http://`)
    return `http://${value}`
  }

  /** Reads an address that is published to clients, and returns it unchanged. @param fallback as for `optional` */
  publicAddress(
    name: string,
    { example, fallback, protocols }: { example: string; fallback?: string; protocols?: readonly string[] },
  ): string | undefined {
    const value = this.optional(name, fallback)
    if (value === undefined) return undefined
    const isBase = this.checkBase(name, value, { example, path: true, protocols })
    if (isBase && hasWildcardHost(value))
      this.faults.push(`${name} must be an address that other machines can reach: its host is a wildcard address`)
    return value
  }

  /** Reads a text that another function parses, and returns it unchanged. @param parse returns a fault as text */
  verbatim(name: string, value: string, parse: (value: string) => object | string): string {
    const result = parse(value)
    if (typeof result === 'string') this.faults.push(`${name} ${result}`)
    return value
  }

  /** Checks an address that paths are appended to. @returns whether it is valid */
  private checkBase(
    name: string,
    value: string,
    {
      protocols = ['http:', 'https:'],
      ...rules
    }: { example: string; path: boolean; protocols?: readonly string[] | undefined },
  ): boolean {
    const fault = baseUrlFault(value, { protocols, ...rules })
    if (fault !== undefined) this.faults.push(`${name} ${fault}`)
    return fault === undefined
  }
}
