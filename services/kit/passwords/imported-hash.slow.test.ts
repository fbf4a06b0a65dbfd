import { describe, expect, test } from 'bun:test'
import { FOREIGN_REFUSED, FOREIGN_VECTORS } from '../../../tests/fixtures/foreign-vectors.ts'
import { sliced } from '../../../tests/support/whole.ts'
import { PasswordHasher } from './hasher.ts'
import { parseImportedHash } from './imported-hash.ts'

const SALT = 'AAECAwQFBgcICQoLDA0ODw'
const SIGNER_KEY = 'jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=='
const FIREBASE_HASH = 'lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=='

/** Published test vectors, and some made by Python's hashlib. */
const VECTORS: [name: string, password: string, hash: string][] = [
  ['RFC 6070, the fourth', 'password', '$pbkdf2-sha1$i=4096,l=20$c2FsdA==$SwB5AbdlSJq+rUnZJvch0GWkKcE='],
  [
    'pbkdf2 with SHA-1, of four blocks',
    'correct horse battery',
    `$pbkdf2-sha1$i=1000,l=64$${SALT}==$yr+bZKkEnTtGf3f18VjXM5CIxT9gt2kfzsoPOBHUS/RLDCZ42k0onOKxREnD3cAEEtG4G7TZX43IWO1b/MW15g==`,
  ],
  [
    'pbkdf2 with SHA-256, as Keycloak set it for years',
    'correct horse battery',
    `$pbkdf2-sha256$i=27500,l=64$${SALT}$VVatals5hXp5h2oxfsxiF6kzhtIf76FMvLQt3LHjOPTh+NaxYdlTOPwDZ23eIyR9i752/A/GtET2PfLHzgkqPg`,
  ],
  [
    'pbkdf2 with SHA-512, as Keycloak sets it now',
    'correct horse battery',
    `$pbkdf2-sha512$i=210000,l=64$${SALT}==$i8MEbJEntlaFgLOnIsIXgO0aPF4DYs7H6fl1KcMdXffNZCnnR8pN4bE1CdLP+hq1XxAKYsiteZvUHLB6Fjk0Kw==`,
  ],
  [
    'pbkdf2 without the length',
    'correct horse battery',
    `$pbkdf2-sha256$i=1000$${SALT}$AhaeZ02AwPxykuhhDI8XvhQN8GKvmqM+qF6qvs/98I0=`,
  ],
  [
    'scrypt, RFC 7914, the second',
    'password',
    '$scrypt$ln=10,r=8,p=16$TmFDbA==$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA==',
  ],
  ['scrypt', 'correct horse battery', `$scrypt$ln=14,r=8,p=1$${SALT}$6W7GuoxjojaYIg83x/wEKSXUMMf+reyc6wSvA8q7ny8`],
  [
    "Firebase's published one",
    'user1password',
    `$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=${SIGNER_KEY}$42xEC+ixf3L2lw==$${FIREBASE_HASH}`,
  ],
  ...FOREIGN_VECTORS.map((vector): (typeof VECTORS)[number] => [...vector]),
]

describe('a hash of another system', () => {
  const key = (text: string) => text.padEnd(43, 'A')
  test.each(VECTORS)('matches only its password: %s', (_, password, hash) => {
    const read = parseImportedHash(hash)
    expect(read?.matches(password)).toBe(true)
    expect(read?.matches(`${password}!`)).toBe(false)
    expect(read?.matches('')).toBe(false)
  })

  test.each([...FOREIGN_REFUSED])('R22: of an unsupported kind is refused: %s', (_, hash) => {
    expect(parseImportedHash(hash)).toBeUndefined()
  })

  const DJANGO = 'pbkdf2_sha256$1000$salt$Dnw/2rHq2+TvT1RbRrZ2L1QT3/4tyWfhBu0oomEoP+4='
  const BCRYPT = '$2b$04$RGsIxkLgYhkLQTIgJoHLdu.QmMx2ABlvQNsCGaIB6iBRUsYwbnYJ.'
  test.each([
    ['Django', DJANGO, true],
    ['… of more iterations than a check may take', DJANGO.replace('1000', '6000001'), false],
    ['… of none', DJANGO.replace('1000', '0'), false],
    ['… without a salt', DJANGO.replace('salt', ''), false],
    ['… of a long salt', DJANGO.replace('salt', 'x'.repeat(129)), false],
    ['… of a salt of many bytes', DJANGO.replace('salt', 'я'.repeat(65)), false],
    ['… with a line break', `${DJANGO}\n`, false],
    ['… with a blank before it', ` ${DJANGO}`, false],
    ['… scrypt of more memory', `scrypt$1048576$salt$8$1$${key('a')}=`, false],
    ['… scrypt of an N that is no power of two', `scrypt$1000$salt$8$1$${key('a')}=`, false],
    ['… scrypt that fills it again and again', `scrypt$131072$salt$8$3$${key('a')}=`, false],
    ['… argon2 of a gigabyte', `argon2$argon2id$v=19$m=1048576,t=1,p=1$${SALT}$${key('a')}`, false],
    ['… argon2 of before 2016', `argon2$argon2i$v=1$m=512,t=2,p=2$${SALT}$${key('a')}`, false],
    ['… bcrypt of hours', `bcrypt_sha256$${BCRYPT.replace('04', '31')}`, false],
    ['… bcrypt cut short', `bcrypt$${BCRYPT.slice(0, -1)}`, false],
    ['Spring, of hours', `{bcrypt}${BCRYPT.replace('04', '16')}`, false],
    ['… of another encoder than it says', `{argon2}${BCRYPT}`, false],
    ['… of an unknown encoder', `{other}${BCRYPT}`, false],
    ['… scrypt of more memory', `{scrypt}$140801$AAECAwQFBgcICQoLDA0ODw==$${key('a')}=`, false],
    ['… pbkdf2 of another length', `{pbkdf2}${'ab'.repeat(41)}`, false],
    ['WordPress, of hours', `$wp${BCRYPT.replace('$2b$04', '$2y$31')}`, false],
    ['… of a prefix that it does not write', `$wp${BCRYPT}`, false],
    ['phpass', '$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0', true],
    ['… of the most rounds', '$P$GIQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0', true],
    ['… of more', '$P$HIQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0', false],
    ['… of minutes', '$P$SIQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0', false],
    ['… of fewer rounds than the minimum', '$P$4IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0', false],
    ['… with stray bits', '$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.Lz', false],
    ['… cut short', '$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L', false],
  ])('R22: is supported or not: %s', (_, hash, isSupported) => {
    expect(parseImportedHash(hash) !== undefined).toBe(isSupported)
  })

  test.each(sliced(VECTORS, 3))('with one character changed matches nothing: %s', (_, password, hash) => {
    const isHex = !hash.includes('$')
    const at = isHex ? hash.length - 3 : hash.lastIndexOf('$') + 3
    const [one, other] = isHex ? ['a', 'b'] : ['A', 'B']
    const altered = `${hash.slice(0, at)}${hash[at] === one ? other : one}${hash.slice(at + 1)}`
    expect(parseImportedHash(altered)?.matches(password)).toBe(false)
  })

  test.each(sliced(VECTORS, 3))('matches in the hasher, and is to be rehashed: %s', async (_, password, hash) => {
    for (const passwordHash of ['bcrypt', 'argon2id'] as const) {
      const hasher = new PasswordHasher({ passwordHash, bcryptCost: 4, hashQueue: 8 })
      expect(await hasher.verify(password, hash)).toEqual({ rehash: true })
    }
  })

  const pbkdf2 = (i: string | number, hash = key('a'), salt = SALT) => `$pbkdf2-sha256$i=${i}$${salt}$${hash}`
  const scrypt = (ln: number, r: number, p: number) => `$scrypt$ln=${ln},r=${r},p=${p}$${SALT}$${key('a')}`
  const firebase = (n: number, r: number, rest = `ss=Bw==,sk=${SIGNER_KEY}`, hash = FIREBASE_HASH) =>
    `$fbscrypt$v=1,n=${n},r=${r},p=1,${rest}$42xEC+ixf3L2lw==$${hash}`

  test.each<[string, string, boolean]>([
    ['pbkdf2', pbkdf2(1000), true],
    ['… of the most iterations', pbkdf2(6_000_000), true],
    ['… of more', pbkdf2(6_000_001), false],
    ['… of as many, each twice', pbkdf2(3_000_001, 'A'.repeat(86)), false],
    ['… of as many that cost more', pbkdf2(2_000_001).replace('sha256', 'sha512'), false],
    ['… as Keycloak sets sha1', pbkdf2(1_300_000, 'A'.repeat(86)).replace('sha256', 'sha1'), true],
    ['… of none', pbkdf2(0), false],
    ['… of a number that is not an integer', pbkdf2('1e3'), false],
    ['… of another digest', pbkdf2(1000).replace('sha256', 'md5'), false],
    ['… whose length is another', pbkdf2(1000).replace('i=1000', 'i=1000,l=64'), false],
    ['… of too short a hash', pbkdf2(1000, 'A'.repeat(20)), false],
    ['… of too long a hash', pbkdf2(1000, 'A'.repeat(172)), false],
    ['… without salt', pbkdf2(1000, undefined, ''), false],
    ['… in the URL form of base64', pbkdf2(1000, key('a-b_')), false],
    ['… with stray bits in its base64', pbkdf2(1000, `${'A'.repeat(42)}B`), false],
    ['… with half the padding', pbkdf2(1000, `${'A'.repeat(22)}=`), false],
    ['… with more text after it', `${pbkdf2(1000)}$x`, false],
    ['… with a line break', `${pbkdf2(1000)}\n`, false],
    ['scrypt', scrypt(14, 8, 1), true],
    ['… as OWASP advises', scrypt(17, 8, 1), true],
    ['… of more memory', scrypt(18, 8, 1), false],
    ['… of as much by its blocks', scrypt(14, 128, 1), false],
    ['… that fills it again and again', scrypt(17, 8, 3), false],
    ['… of N = 1', scrypt(0, 8, 1), false],
    ['… of an N that its r forbids', scrypt(16, 1, 1), false],
    ['… without r', scrypt(14, 0, 1), false],
    ['… without p', scrypt(14, 8, 0), false],
    ['fbscrypt', firebase(14, 8), true],
    ['… without a salt separator', firebase(14, 8, `sk=${SIGNER_KEY}`), true],
    ['… without a signer key', firebase(14, 8, 'ss=Bw=='), false],
    ['… of another version', firebase(14, 8).replace('v=1', 'v=2'), false],
    ['… of more memory', firebase(18, 8), false],
    ['… whose hash is shorter than the signer key', firebase(14, 8, undefined, key('a')), false],
    ['… of a signer key without bytes', firebase(14, 8, 'ss=Bw==,sk=Bw==', 'Bw=='), false],
    ['the older form of passlib', `$pbkdf2-sha256$29000$${SALT}$${key('a')}`, false],
    ['of no kind', 'correct horse battery', false],
  ])('is supported or not: %s', (_, hash, isSupported) => {
    expect(parseImportedHash(hash) !== undefined).toBe(isSupported)
  })

  test('R22: is checked off the event loop', async () => {
    const hasher = new PasswordHasher({ passwordHash: 'bcrypt', bcryptCost: 4, hashQueue: 8 })
    const phpass = '$P$GIQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0'
    for (const hash of [pbkdf2(400_000), scrypt(16, 8, 1), firebase(15, 8), phpass]) {
      let turns = 0
      const timer = setInterval(() => turns++, 1)
      await hasher.verify('correct horse battery', hash)
      clearInterval(timer)
      // On the event loop it would leave the timer no turn, however slow the machine is.
      expect(turns).toBeGreaterThan(2)
    }
  })
})
