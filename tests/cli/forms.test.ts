import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { PASSWORD } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { OPERATOR_KEY } from '../support/settings.ts'
import { openInstance } from '../support/shell.ts'

setDefaultTimeout(120_000)

/** More than two pages of the API. */
const MANY = 450
/** Characters that control a terminal: colours, a title, an overwritten line, reversed text. */
const HOSTILE = '\x1b[31mred\x1b]0;title\x07\r\u202egnp\u2066\u009b2J'
const EMAIL = 'ana@example.org'

let instance: Awaited<ReturnType<typeof openInstance>>
beforeAll(async () => {
  instance = await openInstance('forms')
  const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
  const users = [
    { email: EMAIL, username: 'ana', name: '山田花子 "A", B', roles: ['USER', 'ADMIN'] },
    { email: 'kim@example.org', username: 'kim', name: 'Kim', roles: ['USER', 'EDITOR'] },
    ...Array.from({ length: MANY }, (_, n) => ({ email: `many${n}@example.org`, roles: ['MANY'] })),
  ]
  const { status, text } = await call(instance.system.url.users, 'POST /api/v1/users/import', {
    headers: { ...as.operator, 'content-type': 'application/x-ndjson' },
    body: users.map((user) => JSON.stringify({ ...user, password_hash })).join('\n'),
  })
  expect([status, text.match(/"created"/g)?.length]).toEqual([200, MANY + 2])
})
afterAll(() => instance.close())

const run = (line: string, env: Record<string, string> = {}) => instance.shell.run(line, { env })
const onScreen = (line: string, options = {}) => instance.shell.inTerminal(line, options).ended
const lines = (text: string) => text.trimEnd().split('\n')
const uuid = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'

/** Bytes that control a terminal, and marks that change the direction of text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must be absent
const STEERING = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/

describe('a list', () => {
  const list = 'ch202 users list --role ADMIN'

  test('in a pipe is an aligned table without header and colours', async () => {
    const { status, stdout, stderr } = await run('ch202 users list --search example.org --sort email --limit 2')
    expect([status, stderr]).toEqual([0, expect.stringContaining('2 of 452')])
    expect(lines(stdout)).toEqual([
      expect.stringMatching(
        new RegExp(`^${uuid}  ana@example\\.org  山田花子 "A", B  ana  USER,ADMIN   active  \\S+Z$`),
      ),
      expect.stringMatching(
        new RegExp(`^${uuid}  kim@example\\.org  Kim              kim  USER,EDITOR  active  \\S+Z$`),
      ),
    ])
  })

  test('has the same data in every form', async () => {
    const [json, jsonl, csv, ids] = await Promise.all(
      ['json', 'jsonl', 'csv', 'ids'].map(async (form) => {
        const { status, stdout, stderr } = await run(`${list} -o ${form}`)
        expect([form, status, stderr]).toEqual([form, 0, ''])
        return stdout
      }),
    )
    const { items, total, next_cursor } = JSON.parse(json ?? '')
    expect([items.length, total, next_cursor]).toEqual([1, 1, null])
    expect(jsonl).toBe(`${JSON.stringify(items[0])}\n`)
    expect(ids).toBe(`${items[0].id}\n`)
    expect(csv?.split('\n')).toEqual([
      Object.keys(items[0]).join(','),
      expect.stringContaining(',"山田花子 ""A"", B","USER,ADMIN",active,'),
      '',
    ])
  })

  test('has the fields of --fields, in that order', async () => {
    const table = [
      ['table', 'ana@example.org  ana\n'],
      [
        'json',
        '{"items":[{"email":"ana@example.org","username":"ana"}],"total":1,"page":1,"size":50,"pages":1,"next_cursor":null}\n',
      ],
      ['jsonl', '{"email":"ana@example.org","username":"ana"}\n'],
      ['csv', 'email,username\nana@example.org,ana\n'],
    ] as const
    for (const [form, expected] of table) {
      const { status, stdout, stderr } = await run(`${list} -o ${form} --fields email,username`)
      expect([form, status, stdout, stderr]).toEqual([form, 0, expected, ''])
    }
  })

  test('refuses unknown fields', async () => {
    for (const line of [list, 'ch202 users get ana', 'ch202 users list --all', 'ch202 users list --all -o csv']) {
      const { status, stdout, stderr } = await run(`${line} --fields email,password_hash`)
      expect([line, status, stdout]).toEqual([line, 2, ''])
      expect(stderr).toMatch(/^✗ There is no field password_hash: the fields are id, email, /)
    }
  })

  test('that is empty prints nothing, or an empty list in JSON', async () => {
    const table = [
      ['table', ''],
      ['jsonl', ''],
      ['csv', ''],
      ['ids', ''],
    ]
    for (const [form, expected] of table)
      for (const all of ['', ' --all']) {
        const { status, stdout, stderr } = await run(`ch202 users list --role NOBODY -o ${form}${all}`)
        expect([form, all, status, stdout, stderr]).toEqual([form, all, 0, expected ?? '', ''])
      }
  })

  test('that is empty has a total of 0 in JSON', async () => {
    for (const all of ['', ' --all']) {
      const { status, stdout } = await run(`ch202 users list --role NOBODY -o json${all}`)
      expect([all, status]).toEqual([all, 0])
      expect(JSON.parse(stdout)).toMatchObject({ items: [], total: 0, next_cursor: null })
    }
  })

  test('that is incomplete says so, and prints the command for the rest', async () => {
    const first = await run("ch202 users list --search 'many' --sort email --limit 3 -o ids")
    expect(first.stderr).toMatch(/^3 of 450\n→ ch202 users list --search many --sort email --limit 3 --cursor \S+\n$/)
    const next = await run(`${first.stderr.split('→ ')[1]?.trim()} -o ids`)
    expect([next.status, lines(next.stdout).length]).toEqual([0, 3])
    const both = await run('ch202 users list --search many --sort email --limit 6 -o ids')
    expect(both.stdout).toBe(first.stdout + next.stdout)
    // A word that a shell would split is quoted.
    await run(`for n in 1 2; do ch202 users update many$n@example.org --name "it's; \\$(touch pwned)"; done`)
    const odd = await run(`ch202 users list --search "it's; \\$(touch pwned)" --limit 1`)
    expect(odd.stderr).toMatch(
      /^1 of 2\n→ ch202 users list --search 'it'\\''s; \$\(touch pwned\)' --limit 1 --cursor \S+\n$/,
    )
    const other = await run(`${odd.stderr.split('→ ')[1]?.trim()} -o ids; ls`)
    expect(other.stdout).toMatch(new RegExp(`^${uuid}\n$`))
  })

  test('may be longer than a page of the API', async () => {
    const { stdout, stderr } = await run('ch202 users list --role MANY --limit 420 -o ids')
    expect([lines(stdout).length, new Set(lines(stdout)).size]).toEqual([420, 420])
    expect(stderr).toMatch(/^420 of 450\n→ ch202 users list --role MANY --limit 420 --cursor /)
    const rest = await run(`${stderr.split('→ ')[1]?.trim()} -o ids`)
    expect([lines(rest.stdout).length, rest.stderr]).toEqual([30, ''])
    expect(new Set([...lines(stdout), ...lines(rest.stdout)]).size).toBe(MANY)
  })

  test('with --all is complete in every form', async () => {
    const line = 'ch202 users list --role MANY --all'
    const [table = '', json = '', jsonl = '', csv = '', ids = ''] = await Promise.all(
      ['table', 'json', 'jsonl', 'csv', 'ids'].map(async (form) => {
        const { status, stdout, stderr } = await run(`${line} -o ${form}`)
        expect([form, status, stderr]).toEqual([form, 0, ''])
        return stdout
      }),
    )
    const allUsers = JSON.parse(json)
    expect([allUsers.items.length, allUsers.total, allUsers.next_cursor]).toEqual([MANY, MANY, null])
    const all = allUsers.items.map(({ id }: { id: string }) => id)
    expect(new Set(all).size).toBe(MANY)
    expect(lines(ids)).toEqual(all)
    expect(lines(jsonl).map((one) => JSON.parse(one).id)).toEqual(all)
    expect(lines(table).map((one) => one.split(' ')[0])).toEqual(all)
    const [header, ...rows] = lines(csv)
    expect(header).toMatch(/^id,email,/)
    expect(rows.map((row) => row.split(',')[0])).toEqual(all)
  })

  test.each(['0', '-1', '1.5', 'x', '1e3', '', '99999999999'])('--limit %j is a usage error', async (limit) => {
    const { status, stdout } = await run(`ch202 users list --limit '${limit}'`)
    expect([status, stdout]).toEqual([2, ''])
  })

  test('--all and --limit cannot be combined', async () => {
    const { status, stderr } = await run('ch202 users list --all --limit 3')
    expect([status, stderr]).toEqual([2, expect.stringContaining('cannot be combined')])
  })
})

describe('a record', () => {
  test('has the same data in every form', async () => {
    const [table = '', json = '', jsonl = '', csv = '', ids = ''] = await Promise.all(
      ['table', 'json', 'jsonl', 'csv', 'ids'].map(async (form) => {
        const { status, stdout, stderr } = await run(`ch202 users get kim -o ${form}`)
        expect([form, status, stderr]).toEqual([form, 0, ''])
        return stdout
      }),
    )
    const user = JSON.parse(json)
    expect(json).toBe(`${JSON.stringify(user)}\n`)
    expect(jsonl).toBe(json)
    expect(ids).toBe(`${user.id}\n`)
    expect(lines(csv)).toEqual([
      Object.keys(user).join(','),
      expect.stringContaining(`${user.id},kim@example.org,kim,Kim,`),
    ])
    expect(lines(table).slice(0, 5)).toEqual([
      `id              ${user.id}`,
      'email           kim@example.org',
      'username        kim',
      'name            Kim',
      'roles           USER,EDITOR',
    ])
    // No blanks at the ends of lines.
    expect(table).not.toMatch(/ $/m)
  })

  test('has the fields of --fields, in that order', async () => {
    const table = [
      ['table', 'username  kim\nemail     kim@example.org\n'],
      ['json', '{"username":"kim","email":"kim@example.org"}\n'],
      ['csv', 'username,email\nkim,kim@example.org\n'],
    ] as const
    for (const [form, expected] of table)
      expect((await run(`ch202 users get kim --fields username,email -o ${form}`)).stdout).toBe(expected)
  })
})

describe('a terminal', () => {
  test('gets a faint header, and times to the second', async () => {
    const { status, screen } = await onScreen('ch202 users list --search kim', { cols: 140 })
    expect(status).toBe(0)
    expect(lines(screen)).toEqual([
      `\x1b[2mID${' '.repeat(36)}EMAIL            NAME  USERNAME  ROLES        STATUS  CREATED AT\x1b[0m`,
      expect.stringMatching(
        new RegExp(`^${uuid}  kim@example\\.org  Kim   kim       USER,EDITOR  active  [\\d-]+ [\\d:]{8}Z$`),
      ),
    ])
  })

  test('gets no colours if they are turned off', async () => {
    const table: [string, Record<string, string>][] = [
      ['ch202 users list --search kim', { NO_COLOR: '1' }],
      ['ch202 users list --search kim', { TERM: 'dumb' }],
      ['ch202 users list --search kim --no-color', {}],
      ['ch202 --no-color users get kim', {}],
      ['ch202 users list --search kim | cat', {}],
      ['ch202 users list --search kim -o json', {}],
      ['ch202 users list --search kim -o csv', {}],
    ]
    for (const [line, env] of table) {
      const { status, screen } = await onScreen(line, { env, cols: 200 })
      expect([line, env, status, screen.includes('\x1b')]).toEqual([line, env, 0, false])
      expect(screen).toContain('kim@example.org')
    }
    expect((await onScreen('ch202 users list --search kim', { env: { NO_COLOR: '' } })).screen).toContain('\x1b[2m')
  })

  test('aligns wide characters', async () => {
    await run("ch202 users update ana --name '山田花子'")
    const { screen } = await onScreen(
      'ch202 users list --search example.org --sort email --limit 2 --fields name,username',
      {
        env: { NO_COLOR: '1' },
      },
    )
    expect(lines(screen).slice(0, 3)).toEqual(['NAME      USERNAME', '山田花子  ana', 'Kim       kim'])
    // The text is cut before a wide character that does not fit.
    await run("ch202 users update ana --name '山田花子山田花子'")
    const narrow = await onScreen(
      'ch202 users list --search example.org --sort email --limit 2 --fields id,name,email',
      { cols: 9 + 2 + 10 + 2 + 10, env: { NO_COLOR: '1' } },
    )
    const [, ana = '', kim = ''] = lines(narrow.screen)
    expect(ana).toContain('山田花子…')
    expect(Bun.stringWidth(ana.slice(0, ana.indexOf('ana@')))).toBe(kim.indexOf('kim@'))
  })

  test('is not controlled by names of users', async () => {
    const { system } = instance
    const name = HOSTILE
    const { id } = JSON.parse((await run('ch202 users get kim -o json')).stdout)
    const patched = await call(system.url.users, `PATCH /api/v1/users/${id}`, { headers: as.operator, body: { name } })
    // The API may refuse such a name today, but one that it accepted before must be harmless.
    const standIn = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: ({ url }) => {
        const user = { id: HOSTILE, email: HOSTILE, username: HOSTILE, name, roles: [HOSTILE] }
        if (url.includes('by-username/no'))
          return Response.json({ statusCode: 404, code: HOSTILE, message: HOSTILE }, { status: 404 })
        return Response.json(url.includes('by-username') ? user : { items: [user], total: 1, next_cursor: HOSTILE })
      },
    })
    const env = { USERS_URL: `http://127.0.0.1:${standIn.port}`, NO_COLOR: '1' }
    const table: [string, number][] = [
      ['ch202 users get kim', 0],
      ['ch202 users get kim -o ids', 0],
      ['ch202 users list', 0],
      ['ch202 users list -o ids', 0],
      ['ch202 users list -o json', 0],
      ['ch202 users list -o jsonl', 0],
      ['ch202 users list -o csv', 0],
      ['ch202 users get kim -o json', 0],
      ['ch202 users get kim -o csv', 0],
      ['ch202 users get no', 3],
      ["ch202 users get no$(printf '\\033[31m')", 3],
      ["ch202 users get kim --fields $(printf '\\033[31m')", 2],
      ["ch202 nope$(printf '\\033[31m')", 2],
    ]
    for (const [line, status] of table) {
      const ended = await onScreen(line, { env })
      expect([line, ended.status, ended.screen.match(STEERING)]).toEqual([line, status, null])
    }
    await standIn.stop(true)
    expect([200, 400]).toContain(patched.status)
    expect((await onScreen('ch202 users get ana --fields name', { env: { NO_COLOR: '1' } })).screen).not.toMatch(
      STEERING,
    )
  })
})

test('--quiet prints only errors, and the data where -o or --fields names it', async () => {
  for (const line of ['users list', 'users get ana', 'modules list', 'keys list', 'health', 'config show'])
    expect([line, await run(`ch202 ${line} --quiet`)]).toMatchObject([line, { status: 0, stdout: '', stderr: '' }])
  expect((await run('ch202 users get ana --quiet --fields email')).stdout).toContain('ana@example.org')
  expect((await run('ch202 users get ana --quiet -o table')).stdout).toContain('ana@example.org')
  // No later command would show it.
  const created = await run('ch202 users create quiet@example.org --generate --quiet')
  expect(created.stdout).toMatch(/password +\S{12,}/)
  const cut = await run('ch202 users list --limit 1 -o ids --quiet')
  expect([cut.status, lines(cut.stdout).length, cut.stderr]).toEqual([0, 1, ''])
  const failed = await run('ch202 users get nobody --quiet')
  expect([failed.status, failed.stderr]).toEqual([3, expect.stringContaining('There is no user nobody')])
})

test('--debug prints each request, and no secret', async () => {
  const { status, stderr, stdout } = await run(
    `printf '${PASSWORD}-2' | ch202 users set-password kim --password-stdin --debug`,
  )
  expect([status, stdout]).toEqual([0, expect.stringContaining('kim@example.org')])
  expect(lines(stderr)).toEqual([
    expect.stringMatching(/^GET http\S+\/users\/by-username\/kim → 200, request \S+ in \d+ ms$/),
    expect.stringMatching(/^POST http\S+\/users\/\S+\/set-password → 20\d, request \S+ in \d+ ms$/),
  ])
  for (const secret of [OPERATOR_KEY, PASSWORD]) expect(stderr + stdout).not.toContain(secret)
})
