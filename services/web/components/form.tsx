/** @jsxRuntime automatic @jsxImportSource preact */

import type { ComponentChildren } from 'preact'
import type { FormErrors } from '../request/form-errors.ts'
import type { Parts } from '../texts/en.ts'
import { useRequest } from './request-context.ts'

interface FormProps {
  action: string
  children: ComponentChildren
  errors?: FormErrors | undefined
  /** Fields that are sent with the form, and not shown. */
  hidden?: Readonly<Record<string, string | undefined>>
}

/** A form, with the token that its page was made with. */
export function Form({ action, children, errors, hidden = {} }: FormProps) {
  const { formToken } = useRequest()
  return (
    <form method="post" action={action} novalidate>
      <input type="hidden" name="form_token" value={formToken} />
      {Object.entries(hidden).map(([name, value]) =>
        value === undefined ? null : <input key={name} type="hidden" name={name} value={value} />,
      )}
      {errors?.summary && (
        <p class="note bad" role="alert">
          {errors.summary}
        </p>
      )}
      {children}
    </form>
  )
}

interface FieldProps {
  name: string
  label: string
  errors?: FormErrors | undefined
  type?: 'text' | 'email' | 'password'
  autocomplete: string
  value?: string | undefined
  hint?: string | undefined
  isOptional?: true
  /** Whether the browser may begin here. */
  autofocus?: boolean
  maxLength?: number
  /** The keyboard of a phone. */
  inputMode?: 'numeric'
  /** Tells fields of the same name on one page apart. */
  id?: string
}

/** A field with its label, its hint and what is wrong with it, all tied to it for screen readers. */
export function Field({
  autocomplete,
  autofocus,
  errors,
  hint,
  inputMode,
  isOptional,
  label,
  maxLength,
  name,
  type = 'text',
  value,
  ...rest
}: FieldProps) {
  const { texts } = useRequest()
  const id = rest.id ?? name
  const error = errors?.fields[name]
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ')
  const input = (
    <input
      id={id}
      name={name}
      type={type as 'text'}
      value={type === 'password' ? undefined : value}
      autocomplete={autocomplete}
      autocapitalize="none"
      inputmode={inputMode}
      spellcheck={false}
      required={!isOptional}
      maxLength={maxLength}
      aria-describedby={described || undefined}
      aria-invalid={error ? 'true' : undefined}
      autofocus={autofocus || (error !== undefined && isFirstError(errors, name))}
    />
  )
  return (
    <div class="field">
      <label for={id}>
        {label}
        {isOptional && <span class="optional"> ({texts.optional})</span>}
      </label>
      {type === 'password' ? (
        <div class="secret">
          {input}
          <button
            type="button"
            class="quiet"
            hidden
            data-shows={id}
            data-show={texts.show}
            data-hide={texts.hide}
            aria-controls={id}
          >
            {texts.show}
          </button>
        </div>
      ) : (
        input
      )}
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error && (
        <p class="error" id={`${id}-error`}>
          {error}
        </p>
      )}
    </div>
  )
}

function isFirstError(errors: FormErrors | undefined, name: string): boolean {
  return Object.keys(errors?.fields ?? {})[0] === name
}

/** The field of a code from a mail. */
export function CodeField({ errors }: { errors?: FormErrors | undefined }) {
  const { texts } = useRequest()
  const error = errors?.fields.code
  return (
    <div class="field">
      <label for="code">{texts.fields.code}</label>
      <input
        id="code"
        name="code"
        class="code"
        type="text"
        inputmode="numeric"
        autocomplete="one-time-code"
        spellcheck={false}
        maxLength={16}
        required
        aria-describedby={error ? 'code-hint code-error' : 'code-hint'}
        aria-invalid={error ? 'true' : undefined}
        autofocus
      />
      <p class="hint" id="code-hint">
        {texts.hints.code}
      </p>
      {error && (
        <p class="error" id="code-error">
          {error}
        </p>
      )}
    </div>
  )
}

/** The field of a password that is being set. */
export function NewPasswordField({
  autofocus,
  errors,
  label,
  name,
}: {
  /** Whether a person begins here. */
  autofocus?: true
  errors: FormErrors | undefined
  label: string
  name: string
}) {
  const { context, texts } = useRequest()
  return (
    <Field
      name={name}
      label={label}
      type="password"
      autocomplete="new-password"
      autofocus={autofocus === true && !errors}
      hint={texts.hints.password(context.config.passwordMinLength)}
      errors={errors}
    />
  )
}

/** The field of an email, with what was typed before. */
export function EmailField({ errors }: { errors: FormErrors | undefined }) {
  const { form, texts } = useRequest()
  return (
    <Field
      name="email"
      label={texts.fields.email}
      type="email"
      value={form.get('email') ?? ''}
      autocomplete="email"
      errors={errors}
      autofocus={!errors}
    />
  )
}

/** The field of the name of a new person, with what was typed before. */
export function NameField({ errors }: { errors: FormErrors | undefined }) {
  const { form, texts } = useRequest()
  return (
    <Field
      name="name"
      label={texts.fields.name}
      value={form.get('name') ?? ''}
      autocomplete="name"
      errors={errors}
      isOptional
    />
  )
}

/** A sentence, of which every second part stands out. */
export function Sentence({ parts }: { parts: Parts }) {
  return <>{parts.map((part, index) => (index % 2 === 1 ? <strong key={part}>{part}</strong> : part))}</>
}

/** Says where mails are, if they are files: in development, without a mail server. */
export function MailFolder() {
  const { context, texts } = useRequest()
  const { dataDir, production, smtpUrl } = context.config
  if (smtpUrl !== undefined || production) return null
  const [before = '', folder = ''] = texts.mailFolder(`${dataDir.replace(/\/$/, '')}/mail/`)
  return (
    <p class="note small">
      {before}
      <code>{folder}</code>
    </p>
  )
}
