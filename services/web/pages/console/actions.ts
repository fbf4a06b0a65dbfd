import type { UserRead } from '../../../kit/schema/user.ts'
import type { Api } from '../../../peers/pages.ts'
import type { BrowserRequest } from '../../request/browser-request.ts'
import type { Wording } from '../../request/form-errors.ts'
import type { Answer } from '../../request/outcome.ts'
import type { Texts } from '../../texts/en.ts'
import { argumentOf, referenceOf } from './frame.tsx'

/** Something that the console does for a user: a call of the API, and the command of the tool that does the same. */
interface Action {
  /** The command, without the name of the tool. */
  command(user: UserRead): string
  call(api: Api, user: UserRead): Promise<Answer<unknown>>
  /** Whether the page has its button. What may be done is decided by the API. */
  isOffered(user: UserRead): boolean
  /** The word in the address that says what was done. */
  done: keyof Texts['done']
  /** Whether it ends what the user does, so that nobody is offered it for themselves. */
  isHarsh?: true
  wording?: Wording
}

const patch = (status: UserRead['status']) => (api: Api, user: UserRead) =>
  api.users({ user_id: user.id }).patch({ status }) as Promise<Answer<unknown>>

export const ACTIONS = {
  reset: {
    command: (user) => `users send-reset ${referenceOf(user)}`,
    call: ({ admin }, { id }) => admin.users({ user_id: id })['password-reset'].post({}),
    isOffered: ({ status }) => status === 'active',
    done: 'reset-sent',
  },
  invite: {
    // The tool invites by the email alone, not by an id.
    command: ({ email }) => `users invite ${argumentOf(email)}`,
    call: ({ admin }, { id }) => admin.invitations.post({ user_id: id }),
    isOffered: ({ has_password, status }) => status === 'active' && !has_password,
    done: 'invited',
    wording: { email_taken: 'has_password' },
  },
  'end-sessions': {
    command: (user) => `sessions revoke --user ${referenceOf(user)}`,
    call: ({ auth }, { id }) => auth.sessions.delete(undefined, { query: { user_id: id } }),
    isOffered: () => true,
    done: 'sessions-ended',
    isHarsh: true,
  },
  disable: {
    command: (user) => `users disable ${referenceOf(user)}`,
    call: patch('disabled'),
    isOffered: ({ status }) => status === 'active',
    done: 'disabled',
    isHarsh: true,
    wording: { last_admin: 'last_admin_of_all' },
  },
  enable: {
    command: (user) => `users enable ${referenceOf(user)}`,
    call: patch('active'),
    isOffered: ({ status }) => status === 'disabled',
    done: 'enabled',
  },
} as const satisfies Record<string, Action>

export type ActionName = keyof typeof ACTIONS

/** The action that a form names; undefined: no form of the console has such a name. */
export function actionIn(request: BrowserRequest): ActionName | undefined {
  const name = request.field('action')
  return Object.hasOwn(ACTIONS, name) ? (name as ActionName) : undefined
}

/** The actions that the page of a user has. @param isSelf whether it is the person's own account */
export function actionsFor(user: UserRead, isSelf: boolean): [ActionName, Action][] {
  const all = Object.entries(ACTIONS) as [ActionName, Action][]
  return all.filter(([, { isHarsh, isOffered }]) => isOffered(user) && !(isSelf && isHarsh))
}
