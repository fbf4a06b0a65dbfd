/** @jsxRuntime automatic @jsxImportSource preact */

import { qrCode } from '../../kit/qr-code.ts'
import type { NewApp } from '../request/browser-request.ts'
import type { FormErrors } from '../request/form-errors.ts'
import { Field } from './form.tsx'
import { useRequest } from './request-context.ts'

/**
 * Shows the secret of a new app, as a picture and as text, and asks for its first code. Both are drawn from the address in
 * the sealed cookie of the step, so that a wrong code or a reload shows the same secret.
 */
export function NewAppFields({ app, errors }: { app: NewApp; errors: FormErrors | undefined }) {
  const { texts } = useRequest()
  const secret = new URL(app.uri).searchParams.get('secret') ?? ''
  return (
    <>
      <p>{texts.app.scan}</p>
      <img
        class="qr"
        src={`data:image/svg+xml,${encodeURIComponent(qrCode(app.uri))}`}
        alt={texts.app.picture}
        width={208}
        height={208}
      />
      <p>
        <span class="label">{texts.app.key}</span>
        <code class="key">{(secret.match(/.{1,4}/g) ?? []).join(' ')}</code>
      </p>
      <Field
        name="code"
        label={texts.fields.app_code}
        hint={texts.hints.app_code}
        autocomplete="one-time-code"
        inputMode="numeric"
        maxLength={16}
        errors={errors}
      />
    </>
  )
}
