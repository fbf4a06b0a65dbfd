/** @jsxRuntime automatic @jsxImportSource preact */

import { returnField } from '../request/return-to.ts'
import { Form } from './form.tsx'
import { useRequest } from './request-context.ts'

/** Signs the person out, and in again with another account. @param returnTo where they go then */
export function OtherAccount({ returnTo }: { returnTo: string }) {
  const { texts } = useRequest()
  return (
    <Form action="/sign-out" hidden={{ return_to: returnField(returnTo) }}>
      <button type="submit" class="quiet full">
        {texts.again.other}
      </button>
    </Form>
  )
}
