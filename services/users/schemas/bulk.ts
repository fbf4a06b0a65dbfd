import { type Static, t } from 'elysia'
import { flag, integer, moment, oneFieldAtMost, oneOf, queryFlag, strict, uuid } from '../../kit/schema/schema.ts'
import { userCreate, userRead } from '../../kit/schema/user.ts'

// The lines of exports and imports.

export const exportQuery = strict({ with_hashes: t.Optional(queryFlag()) })

/** A line of an export. */
export const exportedUser = strict({ ...userRead.properties, password_hash: t.Optional(t.String()) })

export const importQuery = strict({ on_conflict: t.Optional(oneOf('skip', 'update', 'fail')) })

/** A line of an import: a line of an export, or what an operator sends to create a user. */
export const importedUser = strict(
  {
    ...userCreate.properties,
    /** Exports without hashes hold it; an import ignores it. */
    has_password: t.Optional(flag()),
    id: t.Optional(uuid()),
    created_at: t.Optional(moment()),
    updated_at: t.Optional(moment()),
  },
  {
    description: 'One user per line. A user imported without a password or a hash sets the first one by a reset',
    ...oneFieldAtMost('password', 'password_hash'),
    examples: [{ email: 'ana@example.org', password: 'correct horse battery', username: 'ana', name: 'Ana' }],
  },
)
export type ImportedUser = Static<typeof importedUser>

/** The result of a line of an import. */
export const importedLine = strict(
  {
    line: integer(),
    status: oneOf('created', 'updated', 'unchanged', 'skipped', 'failed'),
    id: t.Optional(t.String({ format: 'uuid' })),
    code: t.Optional(t.String()),
    message: t.Optional(t.Union([t.String(), t.Array(t.String())])),
  },
  { examples: [{ line: 1, status: 'failed', code: 'email_taken', message: 'Email is taken' }] },
)
export type ImportedLine = Static<typeof importedLine>
