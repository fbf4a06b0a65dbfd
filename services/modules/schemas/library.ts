import { type Static, t } from 'elysia'
import { notAllowed } from '../../kit/field-errors.ts'
import { checked, flag, listOf, matching, strict, text, time, uuid } from '../../kit/schema/schema.ts'

const MODULE_ID = /^[a-z0-9][a-z0-9-]{0,62}$/
const ID_COMPLAINT = 'must be 1 to 63 lower-case letters, digits or dashes, and not begin with a dash'
/** Would be taken for `/modules/users/{user_id}` and `/modules/sync/…`. */
const RESERVED_IDS = ['users', 'sync']

export const moduleId = matching(MODULE_ID, ID_COMPLAINT, { examples: ['billing'] })
const newId = checked<string>(
  { type: 'string', pattern: MODULE_ID.source, not: { enum: RESERVED_IDS }, examples: ['billing'] },
  (value) =>
    moduleId.check(value) ??
    (RESERVED_IDS.includes(value as string) ? notAllowed('must not be a reserved word') : undefined),
)

const name = text({ least: 1, most: 200, examples: ['Billing'] })
const description = text({ most: 2000, controls: true, examples: ['Invoices and payments'] })
const version = text({ least: 1, most: 64, examples: ['1.0.0'] })
const role = matching(
  /^[A-Z][A-Z0-9_]{0,31}$/,
  'must be capital letters, digits and underscores, beginning with a letter',
  { examples: ['USER'] },
)
const requiredRoles = listOf(role, 32)
const requires = listOf(moduleId, 32)

const EXAMPLE = {
  id: 'invoices',
  name: 'Invoices',
  description: 'Writes and sends invoices',
  version: '1.0.0',
  required_roles: ['USER'],
}

export const moduleRead = strict(
  {
    id: t.String(),
    name: t.String(),
    description: t.String(),
    version: t.String(),
    required_roles: t.Array(t.String()),
    requires: t.Array(t.String()),
    enabled: t.Nullable(t.Boolean()),
    enabled_at: t.Nullable(time()),
    available: t.Nullable(t.Boolean()),
  },
  {
    examples: [
      { ...EXAMPLE, requires: ['billing'], enabled: true, enabled_at: '2026-11-20T10:00:00.000Z', available: true },
    ],
  },
)
export type ModuleRead = Static<typeof moduleRead>

export const moduleList = strict({ items: t.Array(moduleRead) })

export const moduleCreate = strict(
  {
    id: newId,
    name,
    description,
    version: t.Optional(version),
    required_roles: t.Optional(requiredRoles),
    requires: t.Optional(requires),
    default_enabled: t.Optional(flag()),
  },
  // Requires no other module, so the example can be sent as it stands.
  { examples: [EXAMPLE] },
)
export type ModuleCreate = Static<typeof moduleCreate>

export const modulePatch = strict(
  {
    name: t.Optional(name),
    description: t.Optional(description),
    version: t.Optional(version),
    required_roles: t.Optional(requiredRoles),
    requires: t.Optional(requires),
    default_enabled: t.Optional(flag()),
  },
  { examples: [{ version: '1.1.0', default_enabled: true }] },
)
export type ModulePatch = Static<typeof modulePatch>

export const moduleParams = t.Object({ module_id: t.String() })

/** Operators may name the user whose state of the modules they want to see. */
export const userQuery = strict({ user_id: t.Optional(uuid()) })
