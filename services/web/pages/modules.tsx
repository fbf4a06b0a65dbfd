/** @jsxRuntime automatic @jsxImportSource preact */

import type { ModuleRead } from '../../modules/schemas/library.ts'
import { AccountPage } from '../components/document.tsx'
import { Form } from '../components/form.tsx'
import { redirect, renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { BrowserRequest } from '../request/browser-request.ts'
import { type FormErrors, formErrors } from '../request/form-errors.ts'
import { expected } from '../request/outcome.ts'
import type { Page } from './page.ts'

/** `/account/modules`: turns modules on and off. */
export const modulesPage: Page = {
  path: '/account/modules',
  signedIn: 'account',
  get: (request) => show(request, undefined, 200),
  async post(request) {
    const module_id = request.id('module_id')
    if (module_id === undefined)
      return show(request, { fields: {}, summary: request.texts.problems.module_not_found }, 404)
    const action = request.field('action') === 'enable' ? 'enable' : 'disable'
    const outcome = await request.call(({ modules }) => modules({ module_id })[action].post({}))
    if (outcome.ok) return redirect(request, '/account/modules?done=module')
    const { code, status } = outcome.problem
    const first = code === 'module_dependency' ? blockers(await modulesOf(request), module_id, action) : []
    if (first.length === 0) return show(request, formErrors(outcome.problem, request.texts), status)
    const summary = request.texts.modules[`${action}First`](first.join(', '))
    return show(request, { fields: {}, summary }, status)
  },
}

/** The names of the modules that must be turned on before this one, or turned off. */
function blockers(modules: readonly ModuleRead[], id: string, action: 'enable' | 'disable'): string[] {
  const module = modules.find((each) => each.id === id)
  const blocking = modules.filter((other) =>
    action === 'enable'
      ? module?.requires.includes(other.id) && !other.enabled
      : other.enabled && other.requires.includes(id),
  )
  return blocking.map(({ name }) => name)
}

async function modulesOf(request: BrowserRequest): Promise<readonly ModuleRead[]> {
  return expected(await request.call(({ modules }) => modules.get())).items
}

async function show(request: BrowserRequest, errors: FormErrors | undefined, status: number): Promise<Response> {
  const content = <Modules modules={await modulesOf(request)} errors={errors} />
  return renderPage(request, content, { title: request.texts.modules.title, status })
}

function Modules({ errors, modules }: { errors: FormErrors | undefined; modules: readonly ModuleRead[] }) {
  const { texts } = useRequest()
  return (
    <AccountPage title={texts.modules.title} lead={texts.modules.lead}>
      {errors?.summary && (
        <p class="note bad" role="alert">
          {errors.summary}
        </p>
      )}
      <div class="card">
        {modules.length === 0 ? (
          <p>{texts.modules.none}</p>
        ) : (
          <ul class="list">
            {modules.map((module) => (
              <Module key={module.id} module={module} all={modules} />
            ))}
          </ul>
        )}
      </div>
    </AccountPage>
  )
}

function Module({ all, module }: { all: readonly ModuleRead[]; module: ModuleRead }) {
  const { texts } = useRequest()
  const { available, description, enabled, id, name } = module
  const nameOf = (required: string) => all.find((other) => other.id === required)?.name ?? required
  return (
    <li>
      <div class="row">
        <div>
          <p>
            <strong>{name}</strong> {enabled && <span class="tag good">{texts.modules.on}</span>}
          </p>
          {description && <p class="muted small">{description}</p>}
          {module.requires.length > 0 && (
            <p class="muted small">{texts.modules.requires(module.requires.map(nameOf).join(', '))}</p>
          )}
          {!available && !enabled && <p class="muted small">{texts.modules.unavailable}</p>}
        </div>
        {(available || enabled) && (
          <Form action="/account/modules" hidden={{ module_id: id, action: enabled ? 'disable' : 'enable' }}>
            <button
              type="submit"
              class="quiet"
              aria-label={enabled ? texts.modules.disableNamed(name) : texts.modules.enableNamed(name)}
            >
              {enabled ? texts.modules.disable : texts.modules.enable}
            </button>
          </Form>
        )}
      </div>
    </li>
  )
}
