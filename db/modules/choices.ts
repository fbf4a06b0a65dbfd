import type { NewNotice } from '../../services/kit/outbox/outbox.ts'
import { decideDisabling, decideEnabling, type SwitchDecision, stateOf } from '../../services/modules/dependencies.ts'
import type { Module, ModulesStore, Switched, UserModule } from '../../services/modules/store.ts'
import type { Body, Engine, RowCache, Transaction } from '../engine.ts'
import type { outboxStore } from '../outbox.ts'
import type * as schema from '../schema/modules.ts'
import { numberChoices, removeUsers } from './feed.ts'
import { STATEMENTS as statements } from './statements.ts'

type Choice = typeof schema.choices.$inferSelect

/** A change of a user's choice about a module. */
interface Switch {
  userId: string
  notices: readonly NewNotice[]
  decide(states: UserModule[]): SwitchDecision
  /** When the module was enabled once the change is made; null: it is disabled. */
  enabledAtOf(state: UserModule): number | null
}

/** The result of a switch, and the rows that it writes. */
interface DecidedSwitch {
  result: Switched
  stored: readonly Choice[]
  /** The choice, if it concerns those who read the feed. */
  numbered: readonly Choice[]
  notices: readonly NewNotice[]
}

interface Parts {
  outbox: ReturnType<typeof outboxStore>
  /** The choices of each user. */
  choices: RowCache<Choice[]>
}

/**
 * The users' choices. Changes that arrive together share a transaction: each takes a number of the feed, and so one by one
 * they would wait for each other.
 */
export function choiceStore(engine: Engine, { choices, outbox }: Parts) {
  /** Stores the choice of each user, once `decide` allowed it. */
  function* switchEach(tx: Transaction, calls: readonly Switch[]): Body<Switched[]> {
    const users = calls.map(({ userId }) => ({ userId }))
    const [deleted, modules, chosen] = yield* tx.together([
      tx.getEach(statements.isDeleted, users),
      tx.all(statements.all),
      tx.allEach(statements.choicesOf, users),
    ])
    const decisions = calls.map((call, index) =>
      deleted[index]
        ? refusal({ outcome: 'user_not_found' })
        : decideSwitch(call, statesOf(modules, chosen[index] ?? [])),
    )
    yield* tx.together([
      tx.runEach(
        statements.choose,
        decisions.flatMap(({ stored }) => stored),
      ),
      numberChoices(
        tx,
        decisions.flatMap(({ numbered }) => numbered),
      ),
      outbox.addNotices(
        tx,
        decisions.flatMap(({ notices }) => notices),
      ),
    ])
    for (const { userId } of calls) choices.forget(tx, userId)
    return decisions.map(({ result }) => result)
  }
  const switchOne = engine.grouped(switchEach, ({ userId }) => userId)

  const removeOne = engine.grouped(
    function* (tx, userIds: readonly string[]) {
      yield* removeUsers(tx, userIds)
      for (const userId of userIds) choices.forget(tx, userId)
      return userIds.map(() => undefined)
    },
    (userId) => userId,
  )

  return {
    enableModule: (id, { userId, roles }, now, notices) =>
      switchOne({
        userId,
        notices,
        decide: (states) => decideEnabling(states, id, roles),
        enabledAtOf: ({ enabledAt }) => enabledAt ?? now,
      }),

    disableModule: (id, userId, notices) =>
      switchOne({ userId, notices, decide: (states) => decideDisabling(states, id), enabledAtOf: () => null }),

    removeUser: (userId) => removeOne(userId),
  } satisfies Partial<ModulesStore>
}

function refusal(result: Switched): DecidedSwitch {
  return { result, stored: [], numbered: [], notices: [] }
}

function decideSwitch({ decide, enabledAtOf, notices, userId }: Switch, states: UserModule[]): DecidedSwitch {
  const decision = decide(states)
  if (decision.outcome !== 'allowed') return refusal(decision)
  const { chosen, enabledAt: enabledBefore, module } = decision.state
  const enabledAt = enabledAtOf(decision.state)
  const enabled = enabledAt !== null
  const choice = { userId, moduleId: module.id, enabled, enabledAt }
  const isChanged = enabled !== (enabledBefore !== null)
  return {
    result: { outcome: 'switched', state: { module, enabledAt, chosen: true } },
    stored: !chosen || enabledBefore !== enabledAt ? [choice] : [],
    numbered: !chosen || isChanged ? [choice] : [],
    notices: isChanged ? notices : [],
  }
}

/** Gives the library as it stands for a user. @param choices what the user chose */
export function statesOf(modules: readonly Module[], choices: readonly Choice[]): UserModule[] {
  const byModule = new Map(choices.map((choice) => [choice.moduleId, choice]))
  return modules.map((module) => stateOf(module, byModule.get(module.id) ?? null))
}
