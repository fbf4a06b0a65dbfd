import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createUser, logIn, registerUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { openInstance } from '../support/shell.ts'

setDefaultTimeout(120_000)

let instance: Awaited<ReturnType<typeof openInstance>>
beforeAll(async () => {
  instance = await openInstance('users-erase')
  await createUser(instance.system, { roles: ['USER', 'ADMIN'], username: 'boss' })
})
afterAll(() => instance?.close())

const run = (line: string, options?: Parameters<typeof instance.shell.run>[1]) =>
  instance.shell.run(`ch202 ${line}`, options)
async function json(line: string) {
  const { stdout, ...ended } = await run(`${line} -o json`)
  return { ...ended, answer: JSON.parse(stdout) }
}
const audit = async (id: string) =>
  (await call(instance.system.url.auth, `GET /admin/audit?user_id=${id}`, { headers: as.operator })).body.items

describe('users erase', () => {
  test('erases a user, waits for it, and the audit verifies', async () => {
    const { email, id } = await registerUser(instance.system)
    await logIn(instance.system, email, 'wrong')
    const { answer, status } = await json(`users erase ${email} --confirm ${email}`)
    expect([status, answer]).toEqual([0, { ok: true, id, email, changed: true, completed: true }])
    const rows: { type: string; detail: object }[] = await audit(id)
    expect(rows.map(({ type }) => type)).toContain('erasure.completed')
    expect(rows.find(({ type }) => type === 'login.failed')).toMatchObject({ ip: null, detail: { erased: true } })
    const verified = await json('audit verify')
    expect([verified.answer.ok, verified.answer.erased > 0]).toEqual([true, true])
  })

  test('names what it cannot reach', async () => {
    const { email } = await registerUser(instance.system)
    const { stderr } = await run(`users erase ${email} --yes`)
    expect(stderr).toContain('Logs, backups and what other systems have received are not erased')
  })

  test('erases a deleted user by their id; again, and for nobody, it changes nothing', async () => {
    const { email, id } = await registerUser(instance.system)
    await run(`users delete ${email} --yes`)
    const byEmail = await run(`users erase ${email} --yes`)
    expect([byEmail.status, byEmail.stderr]).toEqual([0, expect.stringContaining('is erased by their id')])
    const first = await json(`users erase ${id} --yes`)
    expect(first.answer).toMatchObject({ ok: true, changed: true, completed: true })
    const nobody = await json(`users erase ${Bun.randomUUIDv7()} --yes`)
    expect([nobody.status, nobody.answer]).toEqual([0, { ok: true, changed: false }])
  })

  test('erases what a deleted user left under their emails, as far as those are named', async () => {
    const { email, id } = await registerUser(instance.system)
    const earlier = `earlier-${email}`
    await run(`users delete ${email} --yes`)
    // A phone goes on with the login that it has stored.
    for (const login of [email, earlier]) await logIn(instance.system, login, 'wrong')
    const leftUnder = async () => {
      const rows: { detail: { email?: string } }[] = (
        await call(instance.system.url.auth, 'GET /admin/audit?type=login.failed&size=200', { headers: as.operator })
      ).body.items
      return rows.flatMap(({ detail }) => ([email, earlier].includes(detail.email ?? '') ? [detail.email] : []))
    }
    const without = await run(`users erase ${id} --yes`)
    expect([without.status, without.stderr]).toEqual([0, expect.stringContaining(`users erase ${id} --email`)])
    expect((await leftUnder()).toSorted()).toEqual([email, earlier].toSorted())
    const { status, stderr, stdout } = await run(
      `users erase ${id} --email ${email.toUpperCase()} --email ${earlier} --yes -o json`,
    )
    expect([status, JSON.parse(stdout)]).toEqual([0, { ok: true, id, changed: true, completed: true }])
    expect([await leftUnder(), stderr]).toEqual([[], expect.not.stringContaining('--email')])
    expect((await json('audit verify')).answer.ok).toBe(true)
  })

  test('takes emails for one user alone, and refuses what is no email', async () => {
    const { email, id } = await registerUser(instance.system)
    expect((await run(`users erase - --email ${email} --yes`, { stdin: id })).status).toBe(2)
    expect((await run(`users erase ${id} --email nobody --yes`)).status).not.toBe(0)
    expect((await call(instance.system.url.users, `GET /users/${id}`, { headers: as.operator })).status).toBe(200)
  })

  test('asks before, and the last administrator stays', async () => {
    const { email, id } = await registerUser(instance.system)
    expect((await run(`users erase ${email}`)).status).toBe(2)
    expect((await run(`users erase ${email} --confirm other@example.org`)).status).toBe(2)
    expect((await run('users erase -', { stdin: email })).status).toBe(2)
    expect((await call(instance.system.url.users, `GET /users/${id}`, { headers: as.operator })).status).toBe(200)
    const last = await run('users erase boss --yes')
    expect([last.status, last.stderr]).toEqual([6, expect.stringContaining('last_admin')])
  })

  test('erases those of a list', async () => {
    const users = [await registerUser(instance.system), await registerUser(instance.system)]
    const { status, stdout } = await run('users erase - --yes -o jsonl', {
      stdin: users.map(({ id }) => id).join('\n'),
    })
    expect(status).toBe(0)
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).id),
    ).toEqual(users.map(({ id }) => id))
  })
})
