import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { flag, integer, moment, oneFieldAtMost, oneOf, queryFlag, strict, uuid } from '../../kit/schema/schema.ts'
import { HASH, userCreate, userRead } from '../../kit/schema/user.ts'

// The lines of exports and imports.

export const exportQuery = strict({
  with_hashes: t.Optional(described(queryFlag(), '`true`: export the password hashes too')),
})

/** A line of an export. */
export const exportedUser = strict({
  ...userRead.properties,
  password_hash: t.Optional(
    t.String({ description: 'The hash of the password, if the export has hashes', examples: [HASH] }),
  ),
})

export const importQuery = strict({
  on_conflict: t.Optional(
    described(
      oneOf('skip', 'update', 'fail'),
      'What to do with a user who exists: skip the line, update the user, or (without it) fail the line',
    ),
  ),
})

/** A line of an import: a line of an export, or what an operator sends to create a user. */
export const importedUser = strict(
  {
    ...userCreate.properties,
    has_password: t.Optional(described(flag(), 'Ignored: exports contain it')),
    id: t.Optional(described(uuid(), 'The id that the user will have; without it a new one')),
    created_at: t.Optional(described(moment(), 'When the user was created')),
    updated_at: t.Optional(described(moment(), 'When the record last changed')),
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
    line: described(integer(), 'The number of the line, from 1'),
    status: described(oneOf('created', 'updated', 'unchanged', 'skipped', 'failed'), 'What happened to the user'),
    id: t.Optional(t.String({ format: 'uuid', description: 'The id of the user, unless the line failed' })),
    code: t.Optional(t.String({ description: 'Why the line failed, as a code' })),
    message: t.Optional(
      t.Union([t.String(), t.Array(t.String())], { description: 'Why the line failed, in a sentence or several' }),
    ),
  },
  { examples: [{ line: 1, status: 'failed', code: 'email_taken', message: 'Email is taken' }] },
)
export type ImportedLine = Static<typeof importedLine>
