// Adds to pages what works only with a script. Every form works without it.
for (const button of document.querySelectorAll('[data-shows]')) {
  const input = document.getElementById(button.dataset.shows)
  const { hide, show } = button.dataset
  button.hidden = false
  const set = (isShown) => {
    input.type = isShown ? 'text' : 'password'
    button.textContent = isShown ? hide : show
  }
  button.addEventListener('click', () => {
    set(input.type === 'password')
    input.focus()
  })
  // Password managers and browsers save only what is in a password field.
  input.form.addEventListener('submit', () => set(false))
}
// The server does not know the time zone of a browser.
const { lang } = document.documentElement
const local = new Intl.DateTimeFormat(lang === 'en' ? 'en-GB' : lang, { dateStyle: 'medium', timeStyle: 'short' })
for (const time of document.querySelectorAll('time')) {
  time.title = time.textContent
  time.textContent = local.format(new Date(time.dateTime))
}
// A page from the browser's memory may show a session that has ended.
addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload()
})
