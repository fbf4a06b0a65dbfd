import { randomBytes } from 'node:crypto'
import { Command } from 'commander'
import { answerOf, usersClient } from '../client.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { type Output, passwordFromStdin, show } from '../io.ts'

interface CreateOptions {
  passwordStdin?: boolean
  generate?: boolean
  username?: string
  name?: string
  role?: string[]
  verified?: boolean
  ifNotExists?: boolean
}

/** 24 characters, 144 bits. */
const GENERATED_BYTES = 18

export function usersCommand(): Command {
  const users = new Command('users').description('Create users')
  users
    .command('create')
    .description('Create a user')
    .argument('<email>', 'the email of the user')
    .option('--password-stdin', 'read the password from standard input')
    .option('--generate', 'make a password and print it, once')
    .option('--username <username>')
    .option('--name <name>')
    .option('--role <role>', 'a role; may be given again (default USER)', (role, roles: string[] = []) => [
      ...roles,
      role,
    ])
    .option('--verified', 'the email is known to be the user’s')
    .option('--if-not-exists', 'a user that exists is no error')
    .addHelpText(
      'after',
      `
Examples:
  $ ch202 users create ana@example.org --generate
  $ printf 'correct horse battery' | ch202 users create root@example.org --role USER --role ADMIN --password-stdin`,
    )
    .action(async (email: string, options: CreateOptions, command: Command) => {
      const { output } = command.optsWithGlobals<{ output: Output }>()
      await create(email, options, output)
    })
  return users
}

async function create(email: string, options: CreateOptions, output: Output): Promise<void> {
  const password = await passwordOf(options)
  const users = usersClient(process.env)
  const user = {
    email,
    password,
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.role === undefined ? {} : { roles: options.role }),
    ...(options.verified ? { email_verified: true } : {}),
  }
  const suggest = (code: string) => (code === 'email_taken' ? `ch202 users create ${email} --if-not-exists` : undefined)
  try {
    const created = await answerOf('users', process.env, users.users.post(user), suggest)
    show({ ...created, ...(options.generate ? { password } : {}), changed: true }, output)
  } catch (error) {
    if (!(error instanceof Failure) || error.said.code !== 'email_taken') throw error
    if (!options.ifNotExists) throw new Failure(error.exit, `${error.message}: ${email}`, error.said)
    const byEmail = users.users['by-email']({ email: encodeURIComponent(email) })
    const existing = await answerOf('users', process.env, byEmail.get())
    show({ ...existing, changed: false }, output)
  }
}

async function passwordOf({ generate, passwordStdin }: CreateOptions): Promise<string> {
  if (generate && passwordStdin) throw usage('--generate and --password-stdin exclude each other')
  if (generate) return randomBytes(GENERATED_BYTES).toString('base64url')
  if (passwordStdin) return await passwordFromStdin()
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    throw usage('A password is needed: give --password-stdin or --generate')
  return await prompted()
}

async function prompted(): Promise<string> {
  const { isCancel, password } = await import('@clack/prompts')
  const typed = await password({ message: 'Password' })
  if (isCancel(typed)) throw new Failure(EXIT.interrupted, 'Cancelled', { code: 'cancelled' })
  return typed
}
