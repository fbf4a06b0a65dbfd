import { asc, eq, sql } from 'drizzle-orm'
import type { AuthStore, RefusedBy, RefusedLogin, RefusedPosition } from '../../../services/auth/store/index.ts'
import { type Body, built, type Engine, type Transaction, text } from '../../engine.ts'
import { ABANDONED } from '../../nodes.ts'
import { placeholders } from '../../placeholders.ts'
import { refusedLogins } from '../../schema/refused-logins.ts'

interface Call {
  login: RefusedLogin
  position: RefusedPosition
  forgotten: string | null
}

const { placeholder } = sql
const select = (by: RefusedBy['by']) =>
  built((db) =>
    db
      .select()
      .from(refusedLogins)
      .where(eq(refusedLogins[by], placeholder('value')))
      .orderBy(asc(refusedLogins.at), asc(refusedLogins.number)),
  )

const statements = {
  put: built((db) =>
    db
      .insert(refusedLogins)
      .values(placeholders(refusedLogins))
      .onConflictDoUpdate({
        target: [refusedLogins.owner, refusedLogins.address, refusedLogins.place],
        set: {
          number: sql`excluded.number`,
          at: sql`excluded.at`,
          code: sql`excluded.code`,
          lockedBy: sql`excluded.locked_by`,
          lockedUntil: sql`excluded.locked_until`,
          key: sql`excluded.key`,
          userId: sql`excluded.user_id`,
          ip: sql`excluded.ip`,
          requestId: sql`excluded.request_id`,
        },
      }),
  ),
  forget: text({
    sqlite: '',
    postgres: `
      DELETE FROM refused_logins WHERE owner = $node
        AND address IN (SELECT jsonb_array_elements_text(CAST($addresses AS text)::jsonb))`,
  }),
  forgetAbandoned: text(`DELETE FROM refused_logins WHERE ${ABANDONED}`),
  by: { address: select('address'), key: select('key'), requestId: select('requestId') },
}

/** The refused logins of all nodes on PostgreSQL. Each writes rows of its own, so they never wait for each other. */
export function refusedLoginStore(engine: Engine) {
  function* putEach(tx: Transaction, calls: readonly Call[]): Body<undefined[]> {
    const node = engine.node?.current ?? ''
    const addresses = calls.flatMap(({ forgotten }) => forgotten ?? [])
    if (addresses.length > 0) yield* tx.run(statements.forget, { node, addresses: JSON.stringify(addresses) })
    yield* tx.runEach(
      statements.put,
      calls.map(({ login, position }) => ({ ...login, ...position, owner: node })),
    )
    return calls.map(() => undefined)
  }
  const put = engine.grouped(putEach, ({ login, position }) => `${login.address} ${position.place}`)

  return {
    async storeRefusedLogin(login: RefusedLogin, position: RefusedPosition, forgotten: string | null) {
      await put({ login, position, forgotten })
    },
    refusedLogins: ({ by, value }: RefusedBy): Promise<RefusedLogin[]> => engine.all(statements.by[by], { value }),
    async forgetRefusedLogins() {
      if (engine.node !== null) await engine.write((tx) => tx.run(statements.forgetAbandoned))
    },
  } satisfies Partial<AuthStore>
}
