/** @jsxRuntime automatic @jsxImportSource preact */

import type { Factor, FactorList } from '../../auth/schemas/factors.ts'
import { takesPasskeys } from '../request/passkeys.ts'
import { Section } from './document.tsx'
import { NoPasskeys } from './passkey.tsx'
import { useRequest } from './request-context.ts'
import { Time } from './time.tsx'

/** The parts of `/account/security` about second factors: each factor, how to add one, and the recovery codes. */
export function Factors({ isVerified, list }: { isVerified: boolean; list: FactorList }) {
  const { texts } = useRequest()
  const { items, recovery_codes_left } = list
  return (
    <>
      <Section title={texts.factors.title} lead={texts.factors.lead}>
        {items.length === 0 && <p>{texts.factors.none}</p>}
        {items.length > 0 && (
          <ul class="list spaced">
            {items.map((factor) => (
              <Item key={factor.id} factor={factor} />
            ))}
          </ul>
        )}
        {isVerified ? <Add /> : <VerifyFirst />}
      </Section>
      {items.length > 0 && (
        <Section title={texts.recovery.title} lead={texts.recovery.lead}>
          <p>{texts.recovery.left(recovery_codes_left)}</p>
          <a class="button quiet" href="/account/security?step=codes">
            {texts.recovery.replace}
          </a>
        </Section>
      )}
    </>
  )
}

function Add() {
  const { context, texts } = useRequest()
  return (
    <>
      <NoPasskeys />
      <div class="actions">
        <a class="button quiet" href="/account/security?step=app">
          {texts.factors.addApp}
        </a>
        {takesPasskeys(context.config.publicUrl) && (
          <a class="button quiet" href="/account/security?step=passkey">
            {texts.passkey.add}
          </a>
        )}
      </div>
    </>
  )
}

function VerifyFirst() {
  const { texts } = useRequest()
  return (
    <>
      <p>{texts.factors.unverified}</p>
      <a class="button quiet" href="/verify-email">
        {texts.account.verify}
      </a>
    </>
  )
}

function Item({ factor }: { factor: Factor }) {
  const { texts } = useRequest()
  const { backed_up, created_at, id, kind, last_used_at, name } = factor
  return (
    <li>
      <div class="row">
        <div>
          <p>
            <strong>{name}</strong> <span class="tag">{texts.factors.kinds[kind]}</span>{' '}
            {backed_up && <span class="tag good">{texts.factors.synced}</span>}
          </p>
          <p class="muted small">
            {texts.factors.added}: <Time at={created_at} />
          </p>
          <p class="muted small">
            {last_used_at === null ? (
              texts.factors.never
            ) : (
              <>
                {texts.factors.used}: <Time at={last_used_at} />
              </>
            )}
          </p>
        </div>
        <a class="button quiet" href={`/account/security?factor=${id}`} aria-label={texts.factors.changeNamed(name)}>
          {texts.factors.change}
        </a>
      </div>
    </li>
  )
}
