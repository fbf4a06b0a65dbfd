/** @jsxRuntime automatic @jsxImportSource preact */

import { LOCALES } from '../../kit/locale.ts'
import type { UserRead } from '../../kit/schema/user.ts'
import { ConfirmAgain, confirmAgain, type ProofNeeded, proofNeeded, refusalOf } from '../components/confirm-again.tsx'
import { AccountPage, Section } from '../components/document.tsx'
import { CodeField, Field, Form, MailFolder, Sentence } from '../components/form.tsx'
import { LANGUAGES } from '../components/languages.ts'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { codeEnded, type FormErrors, formErrors } from '../request/form-errors.ts'
import type { Page } from './page.ts'

type Action = 'profile' | 'email' | 'code'

/** The errors of the form that was sent. The other forms of the page have none. */
interface Sent {
  action: Action
  errors: FormErrors
}

/** `/account`: name, username and language; the email and its change; the person's data. */
export const accountPage: Page = {
  path: '/account',
  signedIn: 'account',
  get: (request) => show(request, undefined, 200),
  post(request) {
    const action = request.field('action')
    return Object.hasOwn(ACTIONS, action) ? ACTIONS[action as Action](request) : show(request, undefined, 400)
  },
}

const ACTIONS: Record<Action, (request: BrowserRequest) => Promise<Response>> = {
  async profile(request) {
    const { id } = await request.user()
    const locale = LOCALES.find((each) => each === request.field('locale')) ?? null
    const body = { name: request.field('name') || null, username: request.field('username') || null, locale }
    const outcome = await request.call(({ users }) => users({ user_id: id }).patch(body))
    if (outcome.ok) return redirect(request, '/account?done=profile')
    const errors = formErrors(outcome.problem, request.texts, { fieldOf: { username_taken: 'username' } })
    return show(request, { action: 'profile', errors }, outcome.problem.status)
  },

  async email(request) {
    const new_email = request.field('new_email')
    const missing = request.missing({ new_email })
    if (missing) return show(request, { action: 'email', errors: missing }, 400)
    const refused = await confirmAgain(request)
    if (refused) return show(request, { action: 'email', errors: refused.errors }, refused.status)
    const outcome = await request.call(({ auth }) => auth['email-change-request'].post({ new_email }))
    if (!outcome.ok) {
      const errors = formErrors(outcome.problem, request.texts, await refusalOf(request))
      return show(request, { action: 'email', errors }, outcome.problem.status)
    }
    const { challenge_id: challengeId } = outcome.data
    request.waitForCode({ kind: 'new-email', challengeId, email: new_email, returnTo: '/account' })
    return redirect(request, '/account?step=code')
  },

  async code(request) {
    const waiting = request.pendingCode('new-email')
    // Without the step the page has no field for the code: the form that asks for a new one says so.
    if (!waiting) return show(request, { action: 'email', errors: codeEnded(request.texts) }, 400)
    const code = request.code
    const missing = request.missing({ code })
    if (missing) return show(request, { action: 'code', errors: missing }, 400)
    const proof = { challenge_id: waiting.challengeId, code }
    const outcome = await request.call(({ auth }) => auth['email-change-confirm'].post(proof))
    if (!outcome.ok) {
      const fieldOf = { invalid_code: 'code', invalid_challenge: 'code', email_taken: 'code' }
      return show(
        request,
        { action: 'code', errors: formErrors(outcome.problem, request.texts, { fieldOf }) },
        outcome.problem.status,
      )
    }
    request.endWait()
    return redirect(request, '/account?done=email')
  },
}

async function show(request: BrowserRequest, sent: Sent | undefined, status: number): Promise<Response> {
  const user = await request.user()
  const proof = await proofNeeded(request, sent?.action === 'email' ? sent.errors : undefined)
  const content = <Account user={user} sent={sent} proof={proof} />
  return renderPage(request, content, { title: request.texts.account.title, status })
}

function Account({ proof, sent, user }: { proof: ProofNeeded | null; sent: Sent | undefined; user: UserRead }) {
  const request = useRequest()
  const { texts } = request
  const errorsOf = (action: Action) => (sent?.action === action ? sent.errors : undefined)
  const isWaiting = sent?.action === 'code' || request.url.searchParams.get('step') === 'code'
  const waiting = isWaiting ? request.pendingCode('new-email') : null
  return (
    <AccountPage title={texts.account.title}>
      <Section title={texts.account.profile} lead={texts.account.profileLead}>
        <Profile user={user} errors={errorsOf('profile')} />
      </Section>
      <Section title={texts.account.email} lead={texts.account.emailLead}>
        <div class="forms">
          <CurrentEmail user={user} />
          {waiting ? (
            <NewEmailCode email={waiting.email} errors={errorsOf('code')} />
          ) : (
            <NewEmail errors={errorsOf('email')} proof={proof} />
          )}
        </div>
      </Section>
      <Section title={texts.account.data} lead={texts.account.dataLead}>
        <div class="actions">
          <a class="button quiet" href="/account/export" download>
            {texts.account.export}
          </a>
          <a class="button quiet" href="/account/delete">
            {texts.account.delete}
          </a>
        </div>
      </Section>
    </AccountPage>
  )
}

function Profile({ errors, user }: { errors: FormErrors | undefined; user: UserRead }) {
  const { form, texts } = useRequest()
  const shownValue = (field: 'name' | 'username' | 'locale') => (errors ? (form.get(field) ?? '') : (user[field] ?? ''))
  return (
    <Form action="/account" errors={errors} hidden={{ action: 'profile' }}>
      <Field
        name="name"
        label={texts.fields.name}
        value={shownValue('name')}
        autocomplete="name"
        errors={errors}
        isOptional
      />
      <Field
        name="username"
        label={texts.fields.username}
        value={shownValue('username')}
        autocomplete="username"
        hint={texts.hints.username}
        errors={errors}
        isOptional
      />
      <div class="field">
        <label for="locale">{texts.fields.locale}</label>
        <select id="locale" name="locale" autocomplete="language">
          <option value="">{texts.account.anyLanguage}</option>
          {LOCALES.map((locale) => (
            <option key={locale} value={locale} lang={locale} selected={shownValue('locale') === locale}>
              {LANGUAGES[locale]}
            </option>
          ))}
        </select>
      </div>
      <button type="submit">{texts.account.save}</button>
    </Form>
  )
}

function CurrentEmail({ user }: { user: UserRead }) {
  const { texts } = useRequest()
  return (
    <div class="row spaced">
      <p>
        <strong>{user.email}</strong>{' '}
        <span class={user.email_verified ? 'tag good' : 'tag bad'}>
          {user.email_verified ? texts.account.verified : texts.account.unverified}
        </span>
      </p>
      {!user.email_verified && (
        <Form action="/verify-email" hidden={{ action: 'send' }}>
          <button type="submit" class="quiet">
            {texts.account.verify}
          </button>
        </Form>
      )}
    </div>
  )
}

function NewEmail({ errors, proof }: { errors: FormErrors | undefined; proof: ProofNeeded | null }) {
  const { form, texts } = useRequest()
  return (
    <Form action="/account" errors={errors} hidden={{ action: 'email' }}>
      <Field
        name="new_email"
        label={texts.fields.new_email}
        type="email"
        value={errors ? (form.get('new_email') ?? '') : ''}
        autocomplete="email"
        errors={errors}
      />
      <ConfirmAgain errors={errors} id="email-confirm" proof={proof} />
      <button type="submit" class="quiet">
        {texts.account.change}
      </button>
    </Form>
  )
}

function NewEmailCode({ email, errors }: { email: string; errors: FormErrors | undefined }) {
  const { texts } = useRequest()
  return (
    <>
      <p>
        <Sentence parts={texts.account.newEmailSent(email)} />
      </p>
      <MailFolder />
      <Form action="/account" errors={errors} hidden={{ action: 'code' }}>
        <CodeField errors={errors} />
        <div class="actions">
          <button type="submit">{texts.account.confirm}</button>
          <a href="/account">{texts.cancel}</a>
        </div>
      </Form>
    </>
  )
}
