import type { NoticeCause } from '../../store/index.ts'
import type { Dictionary, Life, Part, View } from './dictionary.ts'
import { type Forms, formatsOf, type Unit } from './formats.ts'
import { type Rich, rich } from './rich.ts'

// The name of the product may be any word: it stands in quotation marks after "сервис", so that only that word is declined.

const formats = formatsOf('ru')

/** The genitive, which "в течение" needs: «в течение 21 минуты», «в течение 10 минут». */
const UNITS: Record<Unit, Required<Pick<Forms, 'one' | 'few' | 'many'>> & Forms> = {
  minutes: { one: 'минуты', few: 'минут', many: 'минут', other: 'минуты' },
  hours: { one: 'часа', few: 'часов', many: 'часов', other: 'часа' },
  days: { one: 'дня', few: 'дней', many: 'дней', other: 'дня' },
}

/** @example 'в течение 30 минут (до 10:30 UTC)' */
const lasting = ({ lasts, until }: Life) =>
  lasts === null ? `до\u00a0${until}` : `в течение ${lasts} (до\u00a0${until})`

const facts = ({ device, when, where }: View): Part => ({
  facts: [
    ['Когда', when],
    ['IP-адрес', where],
    ['Устройство', device],
  ],
})

const supportOf = ({ product, support }: View): Rich =>
  support ? rich`напишите на ${support}` : rich`обратитесь в поддержку сервиса «${product}»`

/** Says how to undo a change of the address, when there is a link for it. */
const undoing = ({ linkLife }: View): Rich =>
  rich`Ссылка одноразовая и действует ${lasting(linkLife)}. Она вернёт этот адрес, завершит все сеансы и отменит пароль. Чтобы задать новый, вы получите ещё одно письмо.`

/** Says what to do if someone else has changed how the user logs in. */
const takenOver = (view: View): Rich =>
  rich`Если это были не вы, кто-то мог войти в ваш аккаунт. Сразу смените пароль (${view.site}), проверьте там вторые факторы и ключи доступа и завершите все остальные сеансы. Если не получается, ${supportOf(view)}.`

const SUBJECTS: Record<NoticeCause, (product: string) => string> = {
  password_changed: (product) => `Пароль изменён — ${product}`,
  email_changed: (product) => `Новый адрес почты — ${product}`,
  device_confirmed: (product) => `Вход с нового устройства — ${product}`,
  totp_added: (product) => `Добавлен второй фактор — ${product}`,
  totp_removed: (product) => `Второй фактор удалён — ${product}`,
  passkey_added: (product) => `Новый ключ доступа — ${product}`,
  passkey_removed: (product) => `Ключ доступа удалён — ${product}`,
  recovery_codes_replaced: (product) => `Новые коды восстановления — ${product}`,
  recovery_code_used: (product) => `Использован код восстановления — ${product}`,
  factors_reset: (product) => `Вторые факторы удалены — ${product}`,
}

const HEADINGS: Record<NoticeCause, string> = {
  password_changed: 'Пароль изменён',
  email_changed: 'Новый адрес почты',
  device_confirmed: 'Вход с нового устройства',
  totp_added: 'Добавлен второй фактор',
  totp_removed: 'Второй фактор удалён',
  passkey_added: 'Новый ключ доступа',
  passkey_removed: 'Ключ доступа удалён',
  recovery_codes_replaced: 'Новые коды восстановления',
  recovery_code_used: 'Использован код восстановления',
  factors_reset: 'Вторые факторы удалены',
}

const WHAT: Record<NoticeCause, (product: string) => string> = {
  password_changed: (product) => `Пароль вашего аккаунта в сервисе «${product}» изменён.`,
  email_changed: (product) => `Этот адрес стал адресом почты аккаунта в сервисе «${product}».`,
  device_confirmed: (product) =>
    `В ваш аккаунт в сервисе «${product}» вошли с нового устройства: с вашим паролем и кодом из письма.`,
  totp_added: (product) =>
    `К вашему аккаунту в сервисе «${product}» добавлен второй фактор: приложение, которое показывает коды.`,
  totp_removed: (product) => `Приложение, которое показывает коды, удалено из вашего аккаунта в сервисе «${product}».`,
  passkey_added: (product) => `К вашему аккаунту в сервисе «${product}» добавлен ключ доступа.`,
  passkey_removed: (product) => `Ключ доступа удалён из вашего аккаунта в сервисе «${product}».`,
  recovery_codes_replaced: (product) =>
    `Для вашего аккаунта в сервисе «${product}» созданы новые коды восстановления. Прежние больше не действуют.`,
  recovery_code_used: (product) =>
    `Для вашего аккаунта в сервисе «${product}» использован код восстановления. Больше он не действует.`,
  factors_reset: (product) =>
    `Оператор удалил вторые факторы и ключи доступа вашего аккаунта в сервисе «${product}». Все сеансы завершены.`,
}

const ADVICE: Record<NoticeCause, (view: View) => Rich> = {
  password_changed: (view) =>
    rich`Если это были не вы, сразу сбросьте пароль: ${view.site}. При этом завершатся все сеансы. Если не получается, ${supportOf(view)}.`,
  email_changed: (view) =>
    rich`Если это были не вы, кто-то указал ваш адрес, возможно, по ошибке. Чтобы его убрали, ${supportOf(view)}.`,
  device_confirmed: (view) =>
    rich`Если это были не вы, кто-то знает ваш пароль и может читать вашу почту. Сразу смените пароль почты, а затем пароль аккаунта: ${view.site}. При этом завершатся все остальные сеансы.`,
  totp_added: takenOver,
  totp_removed: takenOver,
  passkey_added: takenOver,
  passkey_removed: takenOver,
  recovery_codes_replaced: takenOver,
  recovery_code_used: takenOver,
  factors_reset: (view) =>
    rich`Если вы об этом не просили, ${supportOf(view)}. Если просили, войдите (${view.site}) и снова добавьте второй фактор.`,
}

export const ru: Dictionary = {
  letters: {
    password_reset: ({ link, linkLife, product }) => ({
      subject: `Сброс пароля — ${product}`,
      heading: 'Сброс пароля',
      parts: [
        {
          line: rich`Поступил запрос на сброс пароля вашего аккаунта в сервисе «${product}». Чтобы задать новый пароль, откройте ссылку:`,
        },
        { link, label: 'Задать новый пароль' },
        { line: rich`Ссылка одноразовая и действует ${lasting(linkLife)}.` },
        { note: rich`Если это были не вы, ничего не делайте: пароль останется прежним.` },
      ],
    }),
    email_verification: ({ code, codeLife, link, linkLife, product }) => ({
      subject: `Подтвердите адрес почты — ${product}`,
      heading: 'Подтвердите адрес почты',
      parts: [
        { line: rich`Чтобы подтвердить, что этот адрес принадлежит вам, введите код:` },
        { code },
        { line: rich`Или откройте ссылку:` },
        { link, label: 'Подтвердить адрес' },
        { line: rich`Код действует ${lasting(codeLife)}, ссылка\u00a0— ${lasting(linkLife)}.` },
        {
          note: rich`Если вы не указывали этот адрес в сервисе «${product}», ничего не делайте: без кода или ссылки он останется неподтверждённым.`,
        },
      ],
    }),
    email_code: ({ code, codeLife, link, product }) => ({
      subject: `${code} — код для входа (${product})`,
      heading: 'Код для входа',
      parts: [
        { line: rich`Чтобы войти в сервис «${product}», введите код:` },
        { code },
        { line: rich`Или откройте ссылку:` },
        { link, label: 'Войти' },
        { line: rich`Код и ссылка одноразовые и действуют ${lasting(codeLife)}.` },
        {
          note: rich`Никому не сообщайте код. Если его запросили не вы, ничего не делайте: без кода или ссылки войти нельзя.`,
        },
      ],
    }),
    email_change: ({ code, codeLife, link, linkLife, product }) => ({
      subject: `Подтвердите новый адрес почты — ${product}`,
      heading: 'Подтвердите новый адрес почты',
      parts: [
        {
          line: rich`Этот адрес указан как новый адрес почты аккаунта в сервисе «${product}». Если это сделали вы, введите код:`,
        },
        { code },
        { line: rich`Или откройте ссылку в браузере, в котором вы вошли в аккаунт:` },
        { link, label: 'Подтвердить адрес' },
        { line: rich`Код действует ${lasting(codeLife)}, ссылка\u00a0— ${lasting(linkLife)}.` },
        { note: rich`Если это были не вы, ничего не делайте: без кода или ссылки ничего не изменится.` },
      ],
    }),
    email_changed: (view) => ({
      subject: `Адрес почты изменён — ${view.product}`,
      heading: 'Адрес почты изменён',
      parts: [
        { line: rich`Это больше не адрес почты вашего аккаунта в сервисе «${view.product}»: его заменили другим.` },
        facts(view),
        {
          line: rich`Если это сделали вы, ничего делать не нужно. Писем об аккаунте на этот адрес больше не будет.`,
        },
        ...(view.link
          ? [
              { note: rich`Если это были не вы, отмените изменение по ссылке:` },
              { link: view.link, label: 'Отменить изменение' },
              { line: undoing(view) },
            ]
          : [{ note: ru.advice('email_changed', view) }]),
      ],
    }),
    invitation: (view) => ({
      subject: `Приглашение — ${view.product}`,
      heading: `Приглашение в сервис «${view.product}»`,
      parts: [
        { line: rich`${ru.greeting(view)}` },
        {
          line: rich`Для вас создан аккаунт в сервисе «${view.product}». Чтобы начать им пользоваться, откройте ссылку и задайте пароль:`,
        },
        { link: view.link, label: 'Задать пароль' },
        { line: rich`Ссылка одноразовая и действует ${lasting(view.linkLife)}.` },
        { note: rich`Если вы не знаете, почему получили это письмо, ничего не делайте.` },
      ],
    }),
    device: (view) => ({
      subject: `Подтвердите вход — ${view.product}`,
      heading: 'Вход с нового устройства',
      parts: [
        {
          line: rich`На новом устройстве ввели пароль вашего аккаунта в сервисе «${view.product}». Если это были вы, введите там код:`,
        },
        { code: view.code },
        { line: rich`Код одноразовый и действует ${lasting(view.codeLife)}.` },
        facts(view),
        {
          note: rich`Если это были не вы, ваш пароль знает кто-то ещё. Никому не сообщайте код и сразу смените пароль: ${view.site}.`,
        },
      ],
    }),
    notice: (view) => ({
      subject: SUBJECTS[view.cause](view.product),
      heading: HEADINGS[view.cause],
      parts: [
        { line: rich`${ru.what(view)}` },
        facts(view),
        { line: rich`Если это сделали вы, ничего делать не нужно.` },
        { note: ru.advice('notice', view) },
      ],
    }),
  },
  greeting: ({ name }) => (name === null ? 'Здравствуйте!' : `Здравствуйте, ${name}!`),
  what: ({ cause, product }) => WHAT[cause](product),
  advice(kind, view) {
    if (kind === 'notice') return ADVICE[view.cause](view)
    if (!view.link)
      return rich`Если это были не вы, сразу ${supportOf(view)}: тот, кто это сделал, теперь может задать новый пароль.`
    return rich`Если это были не вы, отмените изменение: ${{ href: view.link, text: view.link }}. ${undoing(view)}`
  },
  ...formats,
  duration: (ms) => formats.duration(ms, UNITS),
  unknownAddress: 'неизвестен',
  unknownDevice: 'неизвестно',
  orCopy: 'Или скопируйте этот адрес в браузер:',
  questions: (support) => rich`Есть вопросы? Напишите на ${support}.`,
}
