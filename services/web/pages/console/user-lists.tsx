/** @jsxRuntime automatic @jsxImportSource preact */

import type { SessionRead } from '../../../auth/schemas/sessions.ts'
import { deviceName } from '../../../kit/device-name.ts'
import type { AuditRow } from '../../../kit/login-verdict.ts'
import { Form } from '../../components/form.tsx'
import { useRequest } from '../../components/request-context.ts'
import { Time } from '../../components/time.tsx'
import type { FormErrors } from '../../request/form-errors.ts'
import { addressOf, Command } from './frame.tsx'
import type { MailRead, UserFacts } from './user-facts.ts'

/** The sessions of a user; each can be ended. */
export function Sessions({ errors, facts }: { errors: FormErrors | undefined; facts: UserFacts }) {
  const { texts } = useRequest()
  const { items, next_cursor } = facts.sessions
  return (
    <>
      {errors?.summary && (
        <p class="note bad" role="alert">
          {errors.summary}
        </p>
      )}
      {items.length === 0 ? (
        <p>{texts.console.user.noSessions}</p>
      ) : (
        <ul class="list">
          {items.map((session) => (
            <Session key={session.id} session={session} facts={facts} />
          ))}
        </ul>
      )}
      {next_cursor !== null && <p class="muted more">{texts.sessions.more}</p>}
    </>
  )
}

function Session({ facts: { user }, session }: { facts: UserFacts; session: SessionRead }) {
  const { sessions: texts } = useRequest().texts
  const device = deviceName(session.user_agent ?? '') ?? texts.unknownDevice
  return (
    <li>
      <div class="row">
        <div>
          <p>
            <strong>{device}</strong> {session.current && <span class="tag good">{texts.current}</span>}
          </p>
          <p class="muted small">
            {texts.opened}: <Time at={session.created_at} />
          </p>
          <p class="muted small">
            {texts.used}: <Time at={session.last_used_at} />
          </p>
          {session.ip !== null && (
            <p class="muted small">
              {texts.address}: {session.ip}
            </p>
          )}
        </div>
        {!session.current && (
          <Form action={addressOf(user)} hidden={{ action: 'end-session', session_id: session.id }}>
            <button type="submit" class="quiet" aria-label={texts.endNamed(device)}>
              {texts.end}
            </button>
          </Form>
        )}
      </div>
      {!session.current && <Command id={`command-${session.id}`} words={`sessions revoke ${session.id}`} />}
    </li>
  )
}

/** The mails of a user. */
export function Mails({ mails }: { mails: UserFacts['mails'] }) {
  const { texts } = useRequest()
  const { items, next_cursor } = mails
  if (items.length === 0) return <p>{texts.console.user.noMails}</p>
  return (
    <>
      <ul class="list">
        {items.map((mail) => (
          <Mail key={mail.id} mail={mail} />
        ))}
      </ul>
      {next_cursor !== null && <p class="muted more">{texts.sessions.more}</p>}
    </>
  )
}

const MAIL_TAGS = { queued: 'tag', sent: 'tag good', failed: 'tag bad' }

function Mail({ mail }: { mail: MailRead }) {
  const { mailKinds, mailStatuses, user } = useRequest().texts.console
  return (
    <li>
      <p>
        {mailKinds[mail.kind]} <span class={MAIL_TAGS[mail.status]}>{mailStatuses[mail.status]}</span>
      </p>
      <p class="muted small">
        <Time at={mail.created_at} /> · {mail.to}
      </p>
      {mail.last_error !== null && (
        <p class="muted small">
          {user.tries(mail.tries)}. {user.reason}: <code>{mail.last_error}</code>
        </p>
      )}
    </li>
  )
}

/** The audit of a user, page by page. */
export function AuditRows({ facts }: { facts: UserFacts }) {
  const { texts, url } = useRequest()
  const { audit, user } = facts
  const isNewest = !url.searchParams.has('cursor')
  return (
    <div id="audit">
      {audit.items.length === 0 ? (
        <p>{texts.security.none}</p>
      ) : (
        <ul class="list">
          {audit.items.map((row) => (
            <AuditItem key={row.id} row={row} facts={facts} />
          ))}
        </ul>
      )}
      {(!isNewest || audit.next_cursor !== null) && (
        <p class="actions more">
          {!isNewest && <a href={`${addressOf(user)}#audit`}>{texts.security.newest}</a>}
          {audit.next_cursor !== null && (
            <a href={`${addressOf(user)}?cursor=${encodeURIComponent(audit.next_cursor)}#audit`}>
              {texts.security.older}
            </a>
          )}
        </p>
      )}
    </div>
  )
}

function AuditItem({ facts, row }: { facts: UserFacts; row: AuditRow }) {
  const { texts } = useRequest()
  return (
    <li>
      <p>{texts.activity[row.type as keyof typeof texts.activity] ?? row.type}</p>
      <p class="muted small">
        <Time at={row.at} />
        {row.actor !== 'anyone' && (
          <>
            {' '}
            · {texts.console.by} <Actor actor={row.actor} facts={facts} />
          </>
        )}
        {row.ip !== null && ` · ${row.ip}`}
      </p>
    </li>
  )
}

/** The actor of a row: by name if the reader may know it, otherwise as the audit names them. */
function Actor({ actor, facts }: { actor: string; facts: UserFacts }) {
  const { actors } = useRequest().texts.console
  const { me, names, user } = facts
  const id = /^user:(.+)$/.exec(actor)?.[1]
  if (id === undefined) return <>{Object.hasOwn(actors, actor) ? actors[actor as keyof typeof actors] : actor}</>
  if (id === me) return <>{actors.you}</>
  if (id === user.id) return <>{actors.self}</>
  const name = names.get(id)
  return name === undefined ? <code>{actor}</code> : <a href={addressOf({ id })}>{name}</a>
}
