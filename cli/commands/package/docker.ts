import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { version } from '../../../package.json'
import { compiled } from '../../executable.ts'
import { packageBinary } from './binary.ts'
import { replaceFile, replaceTextFile } from './replace-file.ts'

/** The account `nonroot` of the base image. */
const ACCOUNT = '65532:65532'
/** Debian 12 with glibc, certificates and time zones: no shell, no package manager. */
const BASE = 'gcr.io/distroless/base-debian12:nonroot'
const PORT = 3000

/** Text files of the build directory, by their paths in it. */
function dockerFiles(): Record<string, string> {
  return {
    Dockerfile: dockerfile(),
    '.dockerignore': '*\n!ch202\n!data\n',
    'data/.keep': '',
    'compose.yaml': compose(),
    'compose.postgres.yaml': composeWithPostgres(),
  }
}

/**
 * Writes a directory from which an image is built: the executable, a Dockerfile, and Compose files.
 * @returns the paths, and whether something has changed
 */
export async function packageDocker(directory: string): Promise<{ paths: string[]; changed: boolean }> {
  const executable = join(directory, 'ch202')
  let changed = compiled
    ? await replaceFile(executable, 0o755, async (draft) => copyFileSync(process.execPath, draft))
    : await packageBinary(executable)
  const files = Object.entries(dockerFiles())
  for (const [name, text] of files) if (await replaceTextFile(join(directory, name), text)) changed = true
  return { paths: [executable, ...files.map(([name]) => join(directory, name))], changed }
}

function dockerfile(): string {
  return `# Ch202 ${version}: every service in one process.
FROM ${BASE}

COPY --chown=0:0 --chmod=0755 ch202 /usr/local/bin/ch202
# A new volume takes the owner and the mode of this directory.
COPY --chown=${ACCOUNT} --chmod=0700 data/ /data/

ENV CH202_ENV=production \\
    CH202_DATA_DIR=/data \\
    CH202_URL=http://127.0.0.1:${PORT} \\
    CH202_LISTEN=0.0.0.0:${PORT}

USER ${ACCOUNT}
WORKDIR /data
VOLUME /data
EXPOSE ${PORT}
# Open requests are answered within 10 s.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/bin/ch202", "health", "--quiet"]

ENTRYPOINT ["/usr/local/bin/ch202"]
CMD ["serve"]
`
}

function compose(): string {
  return `# Ch202 ${version}. Secrets and settings are in ch202.env, mode 0600 (docs/operate/docker.md). Compose replaces $x and removes what
# follows " #", unless a value is in single quotes: SMTP_URL='smtps://user:pa$word@mail.example.org'
#   docker compose up --detach --wait
#   docker compose exec ch202 ch202 doctor
services:
  ch202:
    build: .
    image: ch202:${version}
    restart: unless-stopped
    env_file: ch202.env
    environment:
      # Caddy on this machine reaches the container from an address of Docker's networks.
      TRUSTED_PROXIES: \${TRUSTED_PROXIES:-127.0.0.1,172.16.0.0/12}
    # Only this machine reaches it: a proxy with TLS publishes it (ch202 package caddy).
    ports:
      - "127.0.0.1:${PORT}:${PORT}"
    volumes:
      - data:/data
    read_only: true
    tmpfs:
      - /tmp:mode=1777,size=64m
    cap_drop:
      - ALL
    security_opt:
      - no-new-privileges:true
    stop_grace_period: 20s

volumes:
  data:
`
}

function composeWithPostgres(): string {
  return `# The data of Ch202 in PostgreSQL; POSTGRES_PASSWORD, of letters and digits, is in .env:
#   docker compose -f compose.yaml -f compose.postgres.yaml up --detach --wait
services:
  ch202:
    environment:
      DATABASE_URL: postgres://ch202:\${POSTGRES_PASSWORD:?is missing}@postgres:5432/ch202
    depends_on:
      postgres:
        condition: service_healthy

  postgres:
    image: postgres:17-bookworm
    restart: unless-stopped
    environment:
      POSTGRES_USER: ch202
      POSTGRES_DB: ch202
      POSTGRES_PASSWORD: \${POSTGRES_PASSWORD:?is missing}
      POSTGRES_INITDB_ARGS: --encoding=UTF8 --locale=C.UTF-8
    volumes:
      - postgres:/var/lib/postgresql/data
    healthcheck:
      test: ["CMD", "pg_isready", "--host", "127.0.0.1", "--username", "ch202", "--dbname", "ch202"]
      interval: 5s
      timeout: 5s
      retries: 12
    stop_grace_period: 1m

volumes:
  postgres:
`
}
