/** @jsxRuntime automatic @jsxImportSource preact */

import { type AuditRow, type Judged, type RefusedLogin, refusalReason } from '../../../kit/login-verdict.ts'
import { useRequest } from '../../components/request-context.ts'
import { Time } from '../../components/time.tsx'
import type { ConsoleTexts } from '../../texts/console-en.ts'
import { Command, referenceOf } from './frame.tsx'
import { Row } from './row.tsx'
import type { UserFacts } from './user-facts.ts'

interface Words {
  /** Why the sign-ins fail. */
  sentence: string
  facts: readonly Fact[]
  /** Names what helps. */
  advice?: string
  /** The command of someone with more rights. */
  command?: string
  isGood?: true
}

interface Fact {
  name: keyof ConsoleTexts['facts']
  at: string
  ip?: string | null
}

/** Says why the sign-ins of a user fail, and what helps. */
export function Verdict({ facts }: { facts: UserFacts }) {
  const texts = useRequest().texts.console
  const { failures, user, verdict } = facts
  const words = wordsOf(verdict, texts, referenceOf(user))
  return (
    <>
      <div class={words.isGood ? 'note good' : 'note'}>
        <p>
          <strong>{words.sentence}</strong>
        </p>
        {words.advice && <p>{words.advice}</p>}
        {words.command && <Command id="command-advice" words={words.command} />}
      </div>
      <dl>
        {words.facts.map(({ at, ip, name }) => (
          <Row key={name} name={texts.facts[name]}>
            <Moment at={at} ip={ip} />
          </Row>
        ))}
        {failures > 0 && <Row name={texts.user.failures}>{failures}</Row>}
      </dl>
      <Attempts facts={facts} />
      <Command id="command-explain" words={`audit explain ${referenceOf(user)}`} />
    </>
  )
}

function Moment({ at, ip }: { at: string; ip?: string | null | undefined }) {
  return (
    <>
      <Time at={at} />
      {ip && ` · ${ip}`}
    </>
  )
}

function Attempts({ facts: { attempts } }: { facts: UserFacts }) {
  const { reasons, user } = useRequest().texts.console
  if (attempts.length === 0) return null
  return (
    <>
      <h3>{user.recent}</h3>
      <ul class="list spaced">
        {attempts.map((attempt) => {
          const reason = 'detail' in attempt ? String(attempt.detail.reason) : 'refused'
          return (
            <li key={attempt.at + attempt.request_id}>
              <p>{Object.hasOwn(reasons, reason) ? reasons[reason as keyof typeof reasons] : reason}</p>
              <p class="muted small">
                <Moment at={attempt.at} ip={attempt.ip} />
              </p>
            </li>
          )
        })}
      </ul>
    </>
  )
}

/** Puts a verdict into words. @param ref names the user in a command */
function wordsOf(judged: Judged, { advice, verdicts }: ConsoleTexts, ref: string): Words {
  const lastOf = ({ last: { at, ip } }: { last: AuditRow }): Fact => ({ name: 'last', at, ip })
  const removeFactors = `users factors reset ${ref}`
  switch (judged.reason) {
    case 'account_disabled': {
      const { disabling } = judged
      const facts: Fact[] = disabling ? [{ name: 'since', at: disabling.at }] : []
      return { sentence: verdicts.account_disabled, facts, advice: advice.account_disabled }
    }
    case 'account_paused': {
      const { atFactor, failures, last, until } = judged
      return {
        sentence: verdicts.account_paused(failures),
        facts: [{ name: 'until', at: until }, ...(last ? [lastOf({ last })] : [])],
        ...(atFactor
          ? { advice: advice.account_paused_at_factor, command: removeFactors }
          : { advice: advice.account_paused }),
      }
    }
    case 'refused':
      return refusalWords(judged.refused, { advice, verdicts })
    case 'reset_mail_failing':
      return {
        sentence: verdicts.reset_mail_failing(judged.tries),
        facts: [{ name: 'requested', at: judged.last.at }],
        advice: advice.reset_mail_failing,
      }
    case 'was_disabled':
      return { sentence: verdicts.was_disabled, facts: [lastOf(judged)], advice: advice.try_again }
    case 'wrong_passkey':
      return {
        sentence: verdicts.wrong_passkey(judged.passkey),
        facts: [lastOf(judged)],
        advice: advice.lost_factor,
        command: removeFactors,
      }
    case 'wrong_second_factor':
      return {
        sentence: verdicts.wrong_second_factor(judged.tries),
        facts: [lastOf(judged)],
        advice: advice.lost_factor,
        command: removeFactors,
      }
    case 'wrong_code':
      return { sentence: verdicts.wrong_code(judged.tries), facts: [lastOf(judged)], advice: advice.wrong_code }
    case 'no_password':
      return { sentence: verdicts.no_password(judged.tries), facts: [lastOf(judged)], advice: advice.no_password }
    case 'password_changed_since':
      return {
        sentence: verdicts.password_changed_since(judged.tries),
        facts: [lastOf(judged), { name: 'changed', at: judged.change.at }],
        advice: advice.password_changed_since,
      }
    case 'wrong_password': {
      const { change, tries, unusedReset } = judged
      const hints = [change && verdicts.maybe_old_password, unusedReset && verdicts.unused_reset]
      return {
        sentence: [verdicts.wrong_password(tries), ...hints].filter(Boolean).join(' '),
        facts: [
          lastOf(judged),
          ...(change ? [{ name: 'changed', at: change.at } as const] : []),
          ...(unusedReset ? [{ name: 'requested', at: unusedReset.at } as const] : []),
        ],
        advice: advice.wrong_password,
      }
    }
    case 'no_failure': {
      const { at, ip } = judged.lastLogin
      return {
        sentence: verdicts.no_failure,
        facts: [{ name: 'signedIn', at, ip }],
        advice: advice.no_failure,
        isGood: true,
      }
    }
    case 'no_login_tried':
      return { sentence: verdicts.no_login_tried, facts: [], isGood: true }
  }
}

function refusalWords(refused: RefusedLogin, { advice, verdicts }: Pick<ConsoleTexts, 'advice' | 'verdicts'>): Words {
  const reason = refusalReason(refused)
  const { at, ip, paused_until } = refused
  const facts: Fact[] = [
    { name: 'last', at, ip },
    ...(paused_until === null ? [] : [{ name: 'until', at: paused_until } as const]),
  ]
  if (reason === 'account_paused') return { sentence: verdicts.was_paused, facts, advice: advice.wrong_password }
  const isAddress = reason === 'address_paused'
  return { sentence: verdicts[reason], facts, advice: isAddress ? advice.address_paused : advice.try_again }
}
