/**
 * Runs in a process of its own, which does nothing but measure: validates a token repeatedly until its input ends, and
 * prints how long each answer took. The first line of input is the address, the second the token.
 */
const input = Bun.stdin.stream().getReader()
const decoder = new TextDecoder()
let text = ''
while (text.split('\n').length < 3) text += decoder.decode((await input.read()).value, { stream: true })
const [address = '', token = ''] = text.split('\n')

let ended = false
input.read().then(() => {
  ended = true
})
const body = JSON.stringify({ token })
const took: number[] = []
console.log('measuring')
while (!ended) {
  const began = performance.now()
  const answer = await fetch(`${address}/auth/validate-token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  })
  const { valid } = (await answer.json()) as { valid?: boolean }
  if (valid !== true) throw new Error(`The token is not valid: ${answer.status}`)
  took.push(performance.now() - began)
  await Bun.sleep(2)
}
console.log(JSON.stringify(took))

export {}
