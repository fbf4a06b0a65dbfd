import { type Static, t } from 'elysia'
import { notAllowed } from '../../kit/field-errors.ts'
import { described } from '../../kit/schema/described.ts'
import { checked, flag, listOf, matching, strict, text, time, uuid } from '../../kit/schema/schema.ts'

const MODULE_ID = /^[a-z0-9][a-z0-9-]{0,62}$/
const ID_COMPLAINT = 'must be 1 to 63 lower-case letters, digits or dashes, and not begin with a dash'
/** Would be taken for `/modules/users/{user_id}` and `/modules/sync/…`. */
const RESERVED_IDS = ['users', 'sync']

export const moduleId = matching(MODULE_ID, ID_COMPLAINT, { description: 'The id of a module', examples: ['billing'] })
const newId = checked<string>(
  {
    type: 'string',
    pattern: MODULE_ID.source,
    not: { enum: RESERVED_IDS },
    description: 'The id of the module',
    examples: ['billing'],
  },
  (value) =>
    moduleId.check(value) ??
    (RESERVED_IDS.includes(value as string) ? notAllowed('must not be a reserved word') : undefined),
)

const name = text({ least: 1, most: 200, description: 'The name of the module', examples: ['Billing'] })
const description = text({
  most: 2000,
  controls: true,
  description: 'What the module does',
  examples: ['Invoices and payments'],
})
const version = text({ least: 1, most: 64, description: 'The version of the module', examples: ['1.0.0'] })
const role = matching(
  /^[A-Z][A-Z0-9_]{0,31}$/,
  'must be capital letters, digits and underscores, beginning with a letter',
  { description: 'A role', examples: ['USER'] },
)
const requiredRoles = described(listOf(role, 32), 'A user needs all of these roles to enable the module')
const requires = described(listOf(moduleId, 32), 'The modules that must be enabled before this one')

const EXAMPLE = {
  id: 'invoices',
  name: 'Invoices',
  description: 'Writes and sends invoices',
  version: '1.0.0',
  required_roles: ['USER'],
}

export const moduleRead = strict(
  {
    id: t.String({ description: 'The id of the module' }),
    name: t.String({ description: 'The name of the module' }),
    description: t.String({ description: 'What the module does' }),
    version: t.String({ description: 'The version of the module' }),
    required_roles: t.Array(t.String(), { description: 'A user needs all of these roles to enable the module' }),
    requires: t.Array(t.String(), { description: 'The modules that must be enabled before this one' }),
    enabled: t.Nullable(t.Boolean(), { description: 'Whether the user has enabled it; null: no user is named' }),
    enabled_at: t.Nullable(time(), { description: 'When the user enabled it; null: they did not' }),
    available: t.Nullable(t.Boolean(), { description: 'Whether the user may enable it; null: no user is named' }),
  },
  {
    examples: [
      { ...EXAMPLE, requires: ['billing'], enabled: true, enabled_at: '2026-11-20T10:00:00.000Z', available: true },
    ],
  },
)
export type ModuleRead = Static<typeof moduleRead>

export const moduleList = strict({ items: t.Array(moduleRead, { description: 'The modules' }) })

export const moduleCreate = strict(
  {
    id: newId,
    name,
    description,
    version: t.Optional(version),
    required_roles: t.Optional(requiredRoles),
    requires: t.Optional(requires),
    default_enabled: t.Optional(described(flag(), 'Whether the module is on for users who did not choose')),
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
    default_enabled: t.Optional(described(flag(), 'Whether the module is on for users who did not choose')),
  },
  { examples: [{ version: '1.1.0', default_enabled: true }] },
)
export type ModulePatch = Static<typeof modulePatch>

export const moduleParams = t.Object({
  module_id: t.String({ description: 'The id of the module', examples: ['billing'] }),
})

/** Operators may name the user whose state of the modules they want to see. */
export const userQuery = strict({ user_id: t.Optional(described(uuid(), 'For operators: the user')) })
