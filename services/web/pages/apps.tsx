/** @jsxRuntime automatic @jsxImportSource preact */

import { AccountPage } from '../components/document.tsx'
import { renderPage } from '../components/render.tsx'
import { useRequest } from '../components/request-context.ts'
import type { Page } from './page.ts'

/** `/account/apps`: the apps that may use the account. The list is empty until apps can ask for access. */
export const appsPage: Page = {
  path: '/account/apps',
  signedIn: 'account',
  get: (request) => renderPage(request, <Apps />, { title: request.texts.apps.title }),
}

function Apps() {
  const { texts } = useRequest()
  return (
    <AccountPage title={texts.apps.title} lead={texts.apps.lead}>
      <div class="card">
        <p>{texts.apps.none}</p>
      </div>
    </AccountPage>
  )
}
