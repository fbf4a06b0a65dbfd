/** @jsxRuntime automatic @jsxImportSource preact */

import { takesPasskeys } from '../request/passkeys.ts'
import { useRequest } from './request-context.ts'

interface PasskeyButtonProps {
  /** Whether the browser makes a passkey or signs with one. */
  does: 'create' | 'get'
  /** The options that the API gave for it. */
  options: object
  label: string
  id: string
  /** The address of a page that has this button with newer options: these expire. */
  from: string
  /** The field of the form that takes the passkey's answer. */
  name?: string
  isMain?: boolean
  /** Whether the browser may also offer the passkeys in the field of the login name. */
  autofill?: boolean
}

/**
 * A button that sends its form with the answer of a passkey. Only the script of the page shows it. The options stand in the
 * page, so that the form alone carries the answer; what they say is no secret.
 */
export function PasskeyButton({
  autofill,
  does,
  from,
  id,
  isMain,
  label,
  name = 'credential',
  options,
}: PasskeyButtonProps) {
  const { passkey } = useRequest().texts
  const says = {
    NotAllowedError: passkey.cancelled,
    InvalidStateError: passkey.exists,
    NotSupportedError: passkey.unsupported,
    other: passkey.failed,
  }
  return (
    <div class="passkey">
      <input type="hidden" name={name} />
      <button
        type="button"
        id={id}
        hidden
        class={isMain ? 'full' : 'quiet full'}
        data-passkey={does}
        data-options={JSON.stringify(options)}
        data-from={from}
        data-into={name}
        data-says={JSON.stringify(says)}
        data-autofill={autofill ? '' : undefined}
      >
        {label}
      </button>
      <p class="error" role="alert" />
      <noscript>
        <p class="hint">{passkey.needsScript}</p>
      </noscript>
    </div>
  )
}

/** Says why there are no passkeys here, if browsers have none at the address of the pages. */
export function NoPasskeys() {
  const { context, texts } = useRequest()
  if (takesPasskeys(context.config.publicUrl)) return null
  return <p class="hint spaced">{texts.passkey.needsDomain}</p>
}
