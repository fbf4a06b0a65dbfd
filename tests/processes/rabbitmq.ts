import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'amqplib'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/servers/ports.ts'

/** The path of the server. Only root and the user `rabbitmq` may call the wrapper in the PATH. */
const SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server'

/** A separate RabbitMQ, with ports, directories and a name of its own. */
export interface Broker {
  url: string
  start(): Promise<void>
  /** Kills the broker, like a power cut: messages that it has confirmed are on the disk. */
  kill(): Promise<void>
  close(): Promise<void>
}

/** Starts a broker. @throws Error if RabbitMQ is not installed, or with its log if it does not start */
export async function openBroker(): Promise<Broker> {
  if (!existsSync(SERVER)) throw new Error(`There is no RabbitMQ here (${SERVER}): apt-get install rabbitmq-server`)
  const directory = mkdtempSync(join(tmpdir(), 'ch202-rabbitmq-'))
  const at = (name: string) => join(directory, name)
  for (const name of ['mnesia', 'log']) mkdirSync(at(name))
  writeFileSync(at('enabled_plugins'), '[].\n')
  writeFileSync(at('rabbitmq.conf'), 'log.console = false\n')
  const [port, distribution, names] = [freePort(), freePort(), freePort()]
  const url = `amqp://guest:guest@127.0.0.1:${port}`
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: directory,
    LANG: 'C.UTF-8',
    ERL_EPMD_PORT: String(names),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: `ch202-${port}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: at('mnesia'),
    RABBITMQ_LOG_BASE: at('log'),
    RABBITMQ_CONFIG_FILE: at('rabbitmq.conf'),
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_ENABLED_PLUGINS_FILE: at('enabled_plugins'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 1:1 +sbwt none',
  }
  // Erlang's name server runs in the foreground: one that the node starts would outlive it.
  const epmd = Bun.spawn(['epmd', '-port', String(names), '-address', '127.0.0.1'], {
    env,
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'ignore',
  })
  let node: Bun.Subprocess | undefined
  const kill = async () => {
    if (!node) return
    const { exited, pid } = node
    node = undefined
    // The script and the virtual machine that it starts are one process group.
    process.kill(-pid, 'SIGKILL')
    await exited
  }
  const logTail = () =>
    readdirSync(at('log'))
      .map((name) => readFileSync(join(at('log'), name), 'utf8').slice(-2000))
      .join('\n')
  const answers = () =>
    connect(url, { timeout: 1000 })
      .then((connection) => connection.close())
      .then(() => true)
      .catch(() => undefined)
  const broker: Broker = {
    url,
    async start() {
      const started = Bun.spawn([SERVER], { env, stdin: 'ignore', stdout: 'ignore', stderr: 'ignore', detached: true })
      node = started
      await eventually(() => (started.exitCode === null ? answers() : true)).catch(() => undefined)
      if (started.exitCode !== null || !(await answers()))
        throw new Error(`RabbitMQ has not started (${started.exitCode}):\n${logTail()}`)
    },
    kill,
    async close() {
      await kill()
      epmd.kill('SIGKILL')
      await epmd.exited
      rmSync(directory, { recursive: true, force: true })
    },
  }
  return broker.start().then(
    () => broker,
    async (error) => {
      await broker.close()
      throw error
    },
  )
}
