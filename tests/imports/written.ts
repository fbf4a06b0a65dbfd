import { csvCell } from '../../cli/users/csv-rows.ts'

/** A user, as a test speaks of one. */
export interface Person {
  email: string
  username?: string
  name?: string
  roles?: string[]
  hash?: string
  id?: string
}

/** What writes users as a product does. */
export const WRITTEN: Record<string, (people: readonly Person[]) => string> = {
  jsonl: (people) => people.map((person) => `${JSON.stringify(ofOurs(person))}\n`).join(''),
  csv: (people) => table(['email', 'username', 'name', 'roles', 'password_hash'], people.map(cellsOfOurs)),
  auth0: (people) =>
    people
      .map(({ email, hash, name, roles, username }) =>
        JSON.stringify({ email, username, name, app_metadata: { roles }, passwordHash: hash }),
      )
      .join('\n'),
  keycloak: (people) =>
    JSON.stringify({
      realm: 'shop',
      users: people.map(({ email, hash, name, roles, username }) => ({
        email,
        username,
        firstName: name,
        enabled: true,
        realmRoles: [...(roles ?? []), 'default-roles-shop'],
        credentials: hash ? [{ type: 'password', credentialData: '{"algorithm":"bcrypt"}', value: hash }] : [],
      })),
    }),
  supabase: (people) =>
    table(
      ['id', 'email', 'encrypted_password', 'raw_app_meta_data', 'raw_user_meta_data'],
      people.map(({ email, hash, name, roles, username }) => [
        crypto.randomUUID(),
        email,
        hash,
        JSON.stringify({ roles }),
        JSON.stringify({ full_name: name, username }),
      ]),
    ),
  django: (people) =>
    JSON.stringify([
      ...[...new Set(people.flatMap(({ roles = [] }) => roles))].map((name) => ({
        model: 'auth.group',
        pk: `g ${name}`,
        fields: { name, permissions: [] },
      })),
      ...people.map(({ email, hash = '!', name = '', roles = [], username = '' }, n) => ({
        model: 'auth.user',
        pk: n,
        fields: {
          email,
          username,
          password: hash,
          first_name: name,
          last_name: '',
          is_active: true,
          is_superuser: false,
          groups: roles.map((role) => `g ${role}`),
        },
      })),
    ]),
  firebase: (people) =>
    JSON.stringify({
      users: people.map(({ email, name, roles }) => ({
        localId: crypto.randomUUID(),
        email,
        displayName: name,
        customAttributes: JSON.stringify({ roles }),
      })),
    }),
}

function ofOurs({ email, hash, name, roles, username }: Person) {
  return { email, username, name, roles, password_hash: hash }
}

function cellsOfOurs({ email, hash, name, roles, username }: Person) {
  return [email, username, name, roles?.join(';'), hash]
}

function table(names: string[], rows: (string | undefined)[][]): string {
  return [names, ...rows].map((row) => `${row.map((text) => (text ? csvCell(text) : '')).join(',')}\n`).join('')
}
