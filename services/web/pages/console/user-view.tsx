/** @jsxRuntime automatic @jsxImportSource preact */

import { Section } from '../../components/document.tsx'
import { Form } from '../../components/form.tsx'
import { LANGUAGES } from '../../components/languages.ts'
import { useRequest } from '../../components/request-context.ts'
import { Time } from '../../components/time.tsx'
import { CONSOLE } from '../../request/console.ts'
import type { FormErrors } from '../../request/form-errors.ts'
import { actionsFor } from './actions.ts'
import { addressOf, Command, ConsolePage } from './frame.tsx'
import { Row } from './row.tsx'
import type { UserFacts } from './user-facts.ts'
import { AuditRows, Mails, Sessions } from './user-lists.tsx'
import { Verdict } from './verdict.tsx'

/** The form that was sent, with what is wrong with it. */
export interface Sent {
  name: string
  errors: FormErrors
}

interface UserViewProps {
  facts: UserFacts
  sent: Sent | undefined
}

/** The page of a user. */
export function UserView({ facts, sent }: UserViewProps) {
  const { user: texts } = useRequest().texts.console
  const names = [facts.user.name, facts.user.username].filter((name) => name !== null && name !== '')
  return (
    <ConsolePage title={facts.user.email} lead={names.join(' · ')} section={CONSOLE}>
      <Section title={texts.about} lead={texts.aboutLead}>
        <About facts={facts} />
      </Section>
      <Section title={texts.why} lead={texts.whyLead}>
        <Verdict facts={facts} />
      </Section>
      <Section title={texts.actions} lead={texts.actionsLead}>
        <Actions facts={facts} sent={sent} />
      </Section>
      <Section title={texts.sessions} lead={texts.sessionsLead}>
        <Sessions facts={facts} errors={sent?.name === 'end-session' ? sent.errors : undefined} />
      </Section>
      <Section title={texts.mails} lead={texts.mailsLead}>
        <Mails mails={facts.mails} />
      </Section>
      <Section title={texts.audit} lead={texts.auditLead}>
        <AuditRows facts={facts} />
      </Section>
    </ConsolePage>
  )
}

function About({ facts }: { facts: UserFacts }) {
  const { texts } = useRequest()
  const { tags, user: words } = texts.console
  const { factors, lastLogin, lockedUntil, user } = facts
  const isDisabled = user.status === 'disabled'
  return (
    <dl>
      <Row name={words.status}>
        <span class={isDisabled ? 'tag bad' : 'tag good'}>{isDisabled ? tags.disabled : tags.active}</span>{' '}
        {lockedUntil !== null && <span class="tag bad">{tags.locked}</span>}
      </Row>
      <Row name={texts.fields.email}>
        {user.email}{' '}
        <span class={user.email_verified ? 'tag good' : 'tag bad'}>
          {user.email_verified ? texts.account.verified : texts.account.unverified}
        </span>
      </Row>
      {user.username !== null && <Row name={texts.fields.username}>{user.username}</Row>}
      {user.locale !== null && <Row name={texts.fields.locale}>{LANGUAGES[user.locale]}</Row>}
      <Row name={words.password}>{user.has_password ? words.hasPassword : words.hasNoPassword}</Row>
      {factors && (
        <Row name={words.factors}>
          {factors.items.length === 0
            ? words.noFactors
            : [
                ...factors.items.map(({ kind, name }) => `${texts.factors.kinds[kind]} (${name})`),
                words.recoveryCodes(factors.recovery_codes_left),
              ].join(', ')}
        </Row>
      )}
      <Row name={words.roles}>{user.roles.length === 0 ? words.noRoles : user.roles.join(', ')}</Row>
      <Row name={words.created}>
        <Time at={user.created_at} />
      </Row>
      <Row name={words.lastSignIn}>
        {lastLogin ? (
          <>
            <Time at={lastLogin.at} />
            {lastLogin.ip !== null && ` · ${lastLogin.ip}`}
          </>
        ) : (
          words.never
        )}
      </Row>
      <Row name={words.id}>
        <code>{user.id}</code>
      </Row>
    </dl>
  )
}

function Actions({ facts, sent }: UserViewProps) {
  const { actions, user: words } = useRequest().texts.console
  const { me, user } = facts
  const isSelf = user.id === me
  const offered = actionsFor(user, isSelf)
  const isElsewhere = sent?.name === 'end-session' || offered.some(([name]) => name === sent?.name)
  return (
    <>
      {/* The form is not there any more: the account has changed since its page was opened. */}
      {sent?.errors.summary && !isElsewhere && (
        <p class="note bad" role="alert">
          {sent.errors.summary}
        </p>
      )}
      {isSelf && <p>{words.self}</p>}
      <ul class="list">
        {offered.map(([name, { command, isHarsh }]) => (
          <li key={name}>
            <Form
              action={addressOf(user)}
              errors={sent?.name === name ? sent.errors : undefined}
              hidden={{ action: name }}
            >
              <p>{actions[name].says}</p>
              <button type="submit" class={isHarsh ? 'danger' : 'quiet'}>
                {actions[name].submit}
              </button>
            </Form>
            <Command id={`command-${name}`} words={command(user)} />
          </li>
        ))}
      </ul>
    </>
  )
}
