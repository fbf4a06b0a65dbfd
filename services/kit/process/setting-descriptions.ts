import { addressSetting, listenSetting } from './service-address.ts'

interface SettingDescription {
  /** The heading in `docs/operate/settings.md`. */
  group:
    | 'Addresses and files'
    | 'Tokens and sessions'
    | 'Passwords'
    | 'Mail and events'
    | 'Secrets'
    | 'Clients and limits'
    | 'Logs'
  text: string
}

/**
 * The meaning of each setting that `readConfig` reads, by its name, for `docs/operate/settings.md`. A test compares the
 * two lists.
 * @param services the names of all services: each has a setting for its address
 */
export function settingDescriptions(services: readonly string[]): Record<string, SettingDescription> {
  const addresses = services.map((name): [string, SettingDescription] => [
    addressSetting(name),
    { group: 'Addresses and files', text: `The address at which ${name} listens, and at which others call it` },
  ])
  const listening = services.map((name): [string, SettingDescription] => [
    listenSetting(name),
    {
      group: 'Addresses and files',
      text: `Where ${name} listens if \`${addressSetting(name)}\` is the address of a balancer, such as \`10.0.0.1:3001\``,
    },
  ])
  return { ...DESCRIPTIONS, ...Object.fromEntries([...addresses, ...listening]) }
}

/** The settings that do not depend on which services there are. */
const DESCRIPTIONS: Readonly<Record<string, SettingDescription>> = {
  CH202_ENV: {
    group: 'Addresses and files',
    text: '`development`, `test` or `production`. In production, secrets must be set and strong',
  },
  CH202_DATA_DIR: {
    group: 'Addresses and files',
    text: 'The data directory: databases, `secrets.env`, `mail/`, `web/`, `run/`, `logs/`, `backups/`',
  },
  DATABASE_URL: {
    group: 'Addresses and files',
    text: 'The PostgreSQL database for the data of all services, `postgres://user:password@host:5432/name`. `?prepare=false` is for a pooler such as PgBouncer. Unset: SQLite files in the data directory',
  },
  NODE_NAME: {
    group: 'Addresses and files',
    text: 'The name of this process among those that use the PostgreSQL database, as `ch202 ps` lists it. Unset: its host and process id',
  },
  CH202_URL: {
    group: 'Addresses and files',
    text: 'The address of `ch202 serve`, which runs every service in one process',
  },
  CH202_LISTEN: {
    group: 'Addresses and files',
    text: 'Where `ch202 serve` listens if `CH202_URL` is the address of a balancer, such as `10.0.0.1:3000`',
  },
  PUBLIC_URL: {
    group: 'Addresses and files',
    text: 'The address of the pages, and the base of links in mails: `PUBLIC_URL/reset-password?token=…`. Unset: `WEB_URL` if that is set, otherwise `CH202_URL`; `ISSUER` if that address stands for every address of the machine',
  },
  ISSUER: {
    group: 'Tokens and sessions',
    text: 'The claim `iss` of the tokens. Unset: the address of auth at its first start',
  },
  AUDIENCE: { group: 'Tokens and sessions', text: 'The claim `aud` of the tokens' },
  OAUTH_PRIVATE_HOSTS: {
    group: 'Tokens and sessions',
    text: 'Hosts, separated by commas, that OAuth clients may name in `jwks_uri` and `backchannel_logout_uri` although their addresses are private. Without it only public addresses are called, over https',
  },
  TOKEN_ALG: {
    group: 'Tokens and sessions',
    text: 'The algorithm that signs access tokens: `EdDSA`, `ES256` or `RS256`. After a change its first key is published for `SIGNING_KEY_LEAD` before it signs',
  },
  JWT_EXPIRE: { group: 'Tokens and sessions', text: 'How long an access token is valid' },
  REFRESH_EXPIRE: { group: 'Tokens and sessions', text: 'How long a refresh token is valid after its last use' },
  REFRESH_EXPIRE_V0: {
    group: 'Tokens and sessions',
    text: 'How long a refresh token of the API of version 0.0.1 is valid after its last use',
  },
  REFRESH_REUSE_GRACE: {
    group: 'Tokens and sessions',
    text: 'How long the last refresh token may be sent again, such as by a client that retries',
  },
  SESSION_MAX_AGE: {
    group: 'Tokens and sessions',
    text: 'How long a session lasts at most, however often it is refreshed',
  },
  REVOCATION_MAX_LAG: {
    group: 'Tokens and sessions',
    text: 'How long a service that cannot reach auth still accepts tokens',
  },
  SIGNING_KEY_MAX_AGE: {
    group: 'Tokens and sessions',
    text: 'The age at which auth replaces its signing key. At least `JWT_EXPIRE` and `1h`',
  },
  SIGNING_KEY_LEAD: {
    group: 'Tokens and sessions',
    text: 'How long a new signing key is published before it signs. At most `7d`, and less than `SIGNING_KEY_MAX_AGE`',
  },
  REAUTH_MAX_AGE: {
    group: 'Passwords',
    text: 'How long after a login a user may change their email without proving again who they are, and an administrator may do what [the rules](../security/rules.md) name. `off`: for ever',
  },
  EMAIL_VERIFICATION: {
    group: 'Passwords',
    text: '`optional`: a registration sends a mail to verify the address. `required`: nobody logs in before that. `off`: no mail',
  },
  EMAIL_LOGIN: { group: 'Passwords', text: '`on`: a code or a link by mail logs in' },
  DEVICE_TRUST: {
    group: 'Passwords',
    text: 'Which logins from a new device ask for a code by mail: `off`, `pages` (those on the pages; the default with `SMTP_URL`), `all` (also those by the API)',
  },
  MFA: {
    group: 'Passwords',
    text: 'Who must have a second factor: `optional` (nobody), `admins` (whoever has the role ADMIN), `all`. Whoever must and has none adds one at the next login',
  },
  PASSKEY_RP_ID: {
    group: 'Passwords',
    text: 'The domain of passkeys: that of the pages, or one above it. It stays as it was when the first passkey was added. Unset: the host of `PUBLIC_URL`',
  },
  PASSKEY_ORIGINS: {
    group: 'Passwords',
    text: 'Origins from which passkeys are used besides that of `PUBLIC_URL`, comma-separated and compared to the letter; an Android app is `android:apk-key-hash:…`',
  },
  PASSWORD_MIN_LENGTH: { group: 'Passwords', text: 'The minimum number of characters of a new password, 1 to 256' },
  PASSWORD_HASH: { group: 'Passwords', text: 'The algorithm of new hashes: `bcrypt` or `argon2id`' },
  BCRYPT_COST: { group: 'Passwords', text: 'The cost of new bcrypt hashes, 4 to 20' },
  HASH_QUEUE: {
    group: 'Passwords',
    text: 'How many passwords may wait to be hashed or checked. Further requests get 503 `overloaded`',
  },
  REGISTRATION: { group: 'Passwords', text: '`open`: anyone may register. `closed`: only operators create users' },
  SMTP_URL: {
    group: 'Mail and events',
    text: 'The mail server. Unset: mails are written to files in `mail/` ([mail](mail.md))',
  },
  LOCALE: {
    group: 'Mail and events',
    text: 'The language of pages and mails, `en` or `ru`, if neither the user nor the request prefers one',
  },
  PRODUCT_NAME: { group: 'Mail and events', text: 'The name of your product in pages and mails' },
  BRAND_COLOR: { group: 'Mail and events', text: 'The colour of buttons in pages and mails, such as `#1f6feb`' },
  SUPPORT_EMAIL: {
    group: 'Mail and events',
    text: 'An address for help, which pages and mails name. Unset: they name none',
  },
  MAIL_FROM: { group: 'Mail and events', text: 'The sender of mails' },
  AMQP_URL: {
    group: 'Mail and events',
    text: 'A RabbitMQ broker that gets every event ([webhooks and RabbitMQ](../integrate/webhooks.md))',
  },
  AMQP_EXCHANGE: { group: 'Mail and events', text: 'The exchange that events are published to' },
  INTERNAL_API_KEY: { group: 'Secrets', text: 'The key with which the services call each other' },
  OPERATOR_API_KEY: { group: 'Secrets', text: 'The key of operators: it opens every administrative operation' },
  METRICS_API_KEY: {
    group: 'Secrets',
    text: 'The key of Prometheus: it opens `GET /metrics` of every service and nothing else. Unset: only operators read metrics',
  },
  CH202_SECRET: {
    group: 'Secrets',
    text: 'Seals the signing keys, the secrets of webhooks and of apps that show codes, and the cookies of the pages. Refresh tokens and links are derived from it',
  },
  BACKUP_S3_URL: {
    group: 'Addresses and files',
    text: 'The bucket for `ch202 backup push`: `https://key:secret@s3.example.org/bucket/prefix`, or `s3://bucket/prefix` on AWS, with `?region=…` if it needs one ([backup](backup.md#copies-in-a-bucket)). Without a key in it, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` are used',
  },
  BACKUP_PASSPHRASE: {
    group: 'Secrets',
    text: 'Encrypts the backups in that bucket. At least 20 characters, such as those of `openssl rand -hex 32`. Keep a copy: nothing else opens them',
  },
  CORS_ORIGINS: {
    group: 'Clients and limits',
    text: 'Origins whose pages may call the API, exactly as browsers send them, separated by commas (`https://app.example.org,capacitor://localhost`)',
  },
  RETURN_ORIGINS: {
    group: 'Clients and limits',
    text: 'Origins to which the pages may send someone who has signed in (`/sign-in?return_to=https://app.example.org/start`), separated by commas',
  },
  TRUSTED_PROXIES: {
    group: 'Clients and limits',
    text: 'Addresses or networks of proxies whose `X-Forwarded-For` is trusted, separated by commas',
  },
  SUPPORT_ROLE: {
    group: 'Clients and limits',
    text: 'The role of people who [help users](../security/rules.md#support), such as `SUPPORT`. Neither `ADMIN` nor `USER`. Unset: no role does that',
  },
  IDLE_TIMEOUT: { group: 'Clients and limits', text: 'How long an idle connection stays open, `1s` to `255s`' },
  RATE_LIMIT: {
    group: 'Clients and limits',
    text: '`on` or `off`: whether logins, registrations, resets and refreshes are limited',
  },
  AUDIT_RETENTION: {
    group: 'Logs',
    text: 'How long rows of [the audit](audit.md#how-long-rows-are-kept) are kept: `forever`, or a duration of `1d` or more',
  },
  LOG_LEVEL: {
    group: 'Logs',
    text: 'The least important lines that are logged: `trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`',
  },
  LOG_FORMAT: {
    group: 'Logs',
    text: 'The form of log lines: `json`, or `pretty` for people. Unset on a terminal: `pretty`',
  },
}
