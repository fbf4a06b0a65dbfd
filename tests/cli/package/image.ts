import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { launch, type Running, type RunOptions } from '../../support/tool.ts'
import { need } from './programs.ts'

/** The instructions of a Dockerfile that matter when its image runs. */
export interface Image {
  env: Record<string, string>
  user: string
  workdir: string
  command: string[]
  health: string[]
  copies: { chmod: string; chown: string; from: string; to: string }[]
}

/** Reads the instructions that our Dockerfile uses. @throws Error for one that it does not know */
function imageOf(dockerfile: string): Image {
  const image: Image = { env: {}, user: '', workdir: '/', command: [], health: [], copies: [] }
  let entrypoint: string[] = []
  let command: string[] = []
  const lines = dockerfile
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter(Boolean)
  for (const line of lines) {
    const [, name = '', rest = ''] = /^([A-Z]+) (.*)$/.exec(line) ?? []
    if (name === 'ENV') for (const [, key = '', value = ''] of rest.matchAll(/(\w+)=(\S+)/g)) image.env[key] = value
    else if (name === 'USER') image.user = rest
    else if (name === 'WORKDIR') image.workdir = rest
    else if (name === 'ENTRYPOINT') entrypoint = JSON.parse(rest)
    else if (name === 'CMD') command = JSON.parse(rest)
    else if (name === 'HEALTHCHECK') image.health = JSON.parse(rest.slice(rest.indexOf('[')))
    else if (name === 'COPY') {
      const [, chown = '', chmod = '', from = '', to = ''] =
        /^--chown=(\S+) --chmod=(\S+) (\S+) (\S+)$/.exec(rest) ?? []
      image.copies.push({ chmod, chown, from, to })
    } else if (!['FROM', 'VOLUME', 'EXPOSE', 'STOPSIGNAL'].includes(name)) throw new Error(`Unknown: ${line}`)
  }
  image.command = [...entrypoint, ...command]
  return image
}

/** Files that the base image has, taken from this Debian: glibc, certificates, time zones, and no program at all. */
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'

/**
 * Lays out the root file system of the image: what the base has, then what the Dockerfile copies.
 * @param build the directory of the Dockerfile
 * @param root an empty directory
 */
export async function layOut(image: Image, build: string, root: string): Promise<void> {
  const ldd = await launch([need('ldd', 'libc-bin'), join(build, 'ch202')]).ended
  const libraries = [...ldd.stdout.matchAll(/(\/lib\S+)/g)].map(([path]) => path)
  for (const path of [...libraries, CERTIFICATES]) {
    if (!existsSync(path)) continue
    mkdirSync(join(root, dirname(path)), { recursive: true })
    copyFileSync(path, join(root, path))
  }
  for (const directory of ['tmp', 'proc', 'dev', 'etc', 'home/nonroot'])
    mkdirSync(join(root, directory), { recursive: true })
  writeFileSync(
    join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n',
  )
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n')
  for (const { chmod, from, to } of image.copies) {
    const target = join(root, to)
    mkdirSync(dirname(target), { recursive: true })
    cpSync(join(build, from), target, { recursive: true })
    chmodSync(target, Number.parseInt(chmod, 8))
  }
}

/**
 * Runs a command in the image as a container engine would: its own root, read-only but for the volume and `/tmp`, as its
 * user, without capabilities and without new privileges. It shares the network.
 */
export function inImage(
  image: Image,
  root: string,
  volume: string,
  command: readonly string[],
  { env = {}, ...options }: RunOptions = {},
): Running {
  const [uid = '', gid = ''] = image.user.split(':')
  const isRoot = process.getuid?.() === 0
  // --userspec gives up root, with its capabilities, after the change of the root.
  const script = `
    mount --bind "$1" "$1" && mount --bind "$2" "$1/data" && mount -t tmpfs -o mode=1777 tmpfs "$1/tmp" || exit 125
    mount -t proc proc "$1/proc" && mount -o remount,bind,ro "$1" || exit 125
    root=$1; shift 2
    exec setpriv --no-new-privs chroot ${isRoot ? `--userspec=${uid}:${gid}` : ''} "$root" "$@"`
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', ...(isRoot ? [] : ['--map-root-user'])]
  return launch([need('unshare', 'util-linux'), ...namespaces, 'sh', '-c', script, 'sh', root, volume, ...command], {
    ...options,
    env: { ...image.env, ...env },
    group: true,
  })
}

export function readDockerfile(build: string): Image {
  return imageOf(readFileSync(join(build, 'Dockerfile'), 'utf8'))
}
