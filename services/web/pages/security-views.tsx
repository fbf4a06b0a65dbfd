/** @jsxRuntime automatic @jsxImportSource preact */

import type { VNode } from 'preact'
import type { Factor } from '../../auth/schemas/factors.ts'
import { ConfirmAgain, type ProofNeeded, proofNeeded } from '../components/confirm-again.tsx'
import { AccountPage, Section } from '../components/document.tsx'
import { Field, Form } from '../components/form.tsx'
import { NewAppFields } from '../components/new-app.tsx'
import { NoPasskeys, PasskeyButton } from '../components/passkey.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest, NewApp } from '../request/browser-request.ts'
import type { FormErrors } from '../request/form-errors.ts'
import { expected } from '../request/outcome.ts'
import { takesPasskeys } from '../request/passkeys.ts'

export type FactorAction = 'confirm' | 'app' | 'app-code' | 'passkey' | 'codes' | 'rename' | 'remove'

/** The form that was sent, with what is wrong with it. */
interface Sent {
  action: FactorAction
  errors: FormErrors
}

const PAGE = '/account/security'

/** Whether the address names a step or a factor, instead of the whole page. */
export function hasFactorView({ url }: BrowserRequest): boolean {
  return url.searchParams.has('step') || url.searchParams.has('factor')
}

/** The address of the step or factor that is shown: forms are sent there, so that an error is shown in its place. */
export function addressOfView({ url }: BrowserRequest): string {
  return PAGE + url.search
}

/** The factor that the address names; undefined: the person has no such factor. */
export async function factorOf(request: BrowserRequest): Promise<Factor | undefined> {
  const id = request.url.searchParams.get('factor')
  return (await request.factors()).items.find((factor) => factor.id === id)
}

/** Shows a step of `/account/security`, or one factor. */
export async function showFactorView(request: BrowserRequest, sent?: Sent, status = 200): Promise<Response> {
  const step = request.url.searchParams.get('step')
  // The API refuses a factor before the email is verified; the whole page says so, and offers to verify it.
  const isNew = step === 'app' || step === 'passkey'
  if (isNew && !(await request.user()).email_verified) return redirect(request, PAGE)
  const proof = await proofNeeded(request, sent?.errors)
  if (step === 'passkey') return await showPasskey(request, proof, sent, status)
  const { texts } = request
  const page = (title: string, content: VNode, heading = texts.security.title) =>
    renderPage(request, <AccountPage title={heading}>{content}</AccountPage>, { title, status })
  if (step === 'app') {
    const app = request.pendingCode('app')?.app
    const isLost = sent?.action === 'app' && sent.errors.summary === texts.problems.app_expired
    return page(texts.app.title, <AppView app={isLost ? undefined : app} proof={proof} sent={sent} />)
  }
  if (step === 'codes') return page(texts.recovery.title, <CodesView proof={proof} sent={sent} />)
  const factor = await factorOf(request)
  if (!factor) return redirect(request, PAGE)
  return page(factor.name, <FactorView factor={factor} proof={proof} sent={sent} />, factor.name)
}

async function showPasskey(
  request: BrowserRequest,
  proof: ProofNeeded | null,
  sent: Sent | undefined,
  status: number,
): Promise<Response> {
  const { context, texts } = request
  const { title } = texts.passkey
  let options: object | undefined
  if (proof === null && takesPasskeys(context.config.publicUrl))
    options = expected(await request.call(({ auth }) => auth.passkeys.options.post({})))
  const content = (
    <AccountPage title={texts.security.title}>
      <PasskeyView options={options} proof={proof} sent={sent} />
    </AccountPage>
  )
  return renderPage(request, content, { title, status })
}

interface ViewProps {
  proof: ProofNeeded | null
  sent: Sent | undefined
}

function Back() {
  const { texts } = useRequest()
  return <a href={PAGE}>{texts.factors.back}</a>
}

function AppView({ app, proof, sent }: ViewProps & { app: NewApp | undefined }) {
  const request = useRequest()
  const { texts } = request
  const errors = sent?.errors
  const action = addressOfView(request)
  return (
    <Section title={texts.app.title} lead={texts.app.lead}>
      <div class="forms">
        <Form action={action} errors={errors} hidden={{ action: app ? 'app-code' : 'app' }}>
          {app && <NewAppFields app={app} errors={errors} />}
          <ConfirmAgain errors={errors} id="confirm" proof={proof} />
          <div class="actions">
            <button type="submit">{app ? texts.app.confirm : texts.app.start}</button>
            <Back />
          </div>
        </Form>
        {app && proof === null && (
          <div class="more">
            <Form action={action} hidden={{ action: 'app' }}>
              <button type="submit" class="link">
                {texts.app.another}
              </button>
            </Form>
          </div>
        )}
      </div>
    </Section>
  )
}

function PasskeyView({ options, proof, sent }: ViewProps & { options: object | undefined }) {
  const request = useRequest()
  const { form, texts } = request
  const errors = sent?.errors
  const action = addressOfView(request)
  return (
    <Section title={texts.passkey.title} lead={texts.passkey.lead}>
      <div class="forms">
        <NoPasskeys />
        {proof && (
          <Form action={action} errors={errors} hidden={{ action: 'confirm' }}>
            <ConfirmAgain errors={errors} id="confirm" proof={proof} />
            <div class="actions">
              <button type="submit">{texts.signIn.confirm}</button>
              <Back />
            </div>
          </Form>
        )}
        {options && (
          <Form action={action} errors={errors} hidden={{ action: 'passkey' }}>
            <Field
              name="name"
              label={texts.fields.name}
              value={form.get('name') ?? ''}
              autocomplete="off"
              maxLength={64}
              errors={errors}
              isOptional
            />
            <PasskeyButton
              id="passkey"
              does="create"
              options={options}
              label={texts.passkey.add}
              from={action}
              isMain
            />
          </Form>
        )}
        {!proof && (
          <p class="spaced">
            <Back />
          </p>
        )}
      </div>
    </Section>
  )
}

function CodesView({ proof, sent }: ViewProps) {
  const request = useRequest()
  const { texts } = request
  return (
    <Section title={texts.recovery.title} lead={texts.recovery.lead}>
      <p>{texts.recovery.replaceLead}</p>
      <Form action={addressOfView(request)} errors={sent?.errors} hidden={{ action: 'codes' }}>
        <ConfirmAgain errors={sent?.errors} id="confirm" proof={proof} />
        <div class="actions">
          <button type="submit">{texts.recovery.replace}</button>
          <Back />
        </div>
      </Form>
    </Section>
  )
}

function FactorView({ factor, proof, sent }: ViewProps & { factor: Factor }) {
  const request = useRequest()
  const { texts } = request
  const action = addressOfView(request)
  const errorsOf = (of: FactorAction) => (sent?.action === of ? sent.errors : undefined)
  const name = sent?.action === 'rename' ? (request.form.get('name') ?? '') : factor.name
  return (
    <>
      <Section title={texts.factors.rename}>
        <Form action={action} errors={errorsOf('rename')} hidden={{ action: 'rename' }}>
          <Field
            name="name"
            label={texts.fields.name}
            value={name}
            autocomplete="off"
            maxLength={64}
            errors={errorsOf('rename')}
          />
          <ConfirmAgain errors={errorsOf('rename')} id="rename-confirm" proof={proof} />
          <button type="submit">{texts.account.save}</button>
        </Form>
      </Section>
      <Section title={texts.factors.remove} lead={texts.factors.removeLead}>
        <Form action={action} errors={errorsOf('remove')} hidden={{ action: 'remove' }}>
          <ConfirmAgain errors={errorsOf('remove')} id="remove-confirm" proof={proof} />
          <div class="actions">
            <button type="submit" class="danger">
              {texts.factors.remove}
            </button>
            <Back />
          </div>
        </Form>
      </Section>
    </>
  )
}
