/** @jsxRuntime automatic @jsxImportSource preact */

import type { UserRead } from '../../../kit/schema/user.ts'
import { quoted } from '../../../kit/shell-word.ts'
import { Field, Form } from '../../components/form.tsx'
import { redirect, renderPage } from '../../components/render.tsx'
import { useRequest } from '../../components/request-context.ts'
import type { BrowserRequest } from '../../request/browser-request.ts'
import { CONSOLE } from '../../request/console.ts'
import { type FormErrors, formErrors } from '../../request/form-errors.ts'
import { addressOf, argumentOf, Command, ConsolePage, INVITE } from './frame.tsx'
import { callFor, consolePage } from './gate.tsx'

/** Stands in the command until an email was typed. */
const SAMPLE = 'name@example.org'

/** `/console/invite`: invites someone by their email. */
export const invitePage = consolePage({
  path: INVITE,
  does: (request) => [request.texts.console.invite.submit, typedIn(request).email].join(' · '),
  // Whoever has to sign in first finds what they typed.
  cameFrom(request) {
    const query = new URLSearchParams(Object.entries(typedIn(request)).filter(([, value]) => value !== ''))
    return query.size > 0 ? `${INVITE}?${query}` : INVITE
  },
  get: (request) => show(request, undefined, 200),
  async post(request) {
    const { email, name } = typedIn(request)
    const missing = request.missing({ email })
    if (missing) return show(request, missing, 400)
    const body = { email, ...(name === '' ? {} : { name }) }
    const outcome = await callFor<{ user: UserRead }>(request, ({ admin }) => admin.invitations.post(body) as never)
    if (outcome.ok) return redirect(request, `${addressOf(outcome.data.user)}?done=invited`)
    const { code, status } = outcome.problem
    if (code === 'email_taken') return show(request, { fields: { email: request.texts.console.invite.taken } }, status)
    return show(request, formErrors(outcome.problem, request.texts), status)
  },
})

/** Reads what was typed: in the form, or before a sign-in in the address. */
function typedIn({ form, url }: BrowserRequest): { email: string; name: string } {
  const typed = (field: string) => (form.get(field) ?? url.searchParams.get(field) ?? '').trim()
  return { email: typed('email'), name: typed('name') }
}

function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Response {
  const { title } = request.texts.console.invite
  return renderPage(request, <Invite errors={errors} />, { title, status })
}

function Invite({ errors }: { errors: FormErrors | undefined }) {
  const request = useRequest()
  const { fields } = request.texts
  const { invite } = request.texts.console
  const { email, name } = typedIn(request)
  const isTaken = errors?.fields.email === invite.taken
  const options = name === '' ? '' : ` --name ${quoted(name)}`
  return (
    <ConsolePage title={invite.title} lead={invite.lead}>
      <div class="card">
        <div class="forms">
          <Form action={INVITE} errors={errors}>
            <Field
              name="email"
              label={fields.email}
              type="email"
              value={email}
              autocomplete="off"
              autofocus={!errors}
              errors={errors}
            />
            {isTaken && (
              <p>
                <a href={`${CONSOLE}?${new URLSearchParams({ search: email })}`}>{invite.find}</a>
              </p>
            )}
            <Field name="name" label={fields.name} value={name} autocomplete="off" errors={errors} isOptional />
            <button type="submit">{invite.submit}</button>
          </Form>
          <Command id="invite-command" words={`users invite${options} ${argumentOf(email || SAMPLE)}`} />
        </div>
      </div>
    </ConsolePage>
  )
}
