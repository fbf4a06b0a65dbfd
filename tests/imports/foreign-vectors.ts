const PLAIN = 'correct horse battery'
const SCRIPTS = 'пароль 密码 كلمة 🐴'
const QUOTED = 'O\'Neil "horse"'

/** Hashes as other systems write them, made by themselves: Django 5.2, passlib, Spring's and WordPress' published ones. */
export const FOREIGN_VECTORS: readonly [name: string, password: string, hash: string][] = [
  [
    'Django, pbkdf2_sha256 as it sets it',
    PLAIN,
    'pbkdf2_sha256$1000000$fs7R37JOC6cHxuF3zN9Y8k$FvUgTuxyjByESnex2TX10rGrbVfAFGgXMqbeqTf0YSU=',
  ],
  [
    'Django, pbkdf2_sha256 of other scripts',
    SCRIPTS,
    'pbkdf2_sha256$1000$wRqqaZXpE3WCVLkRs53Fgw$Msw6Q51W1V8p5xAJcfyc1VLQE22nWSDfNIX4scyetE4=',
  ],
  ['Django, a salt of letters', PLAIN, 'pbkdf2_sha256$1000000$соль$Hdlj4cl06wOYiPHDK4lxQ/PXH/XoCpxKBhcapGrV/bQ='],
  ['Django, pbkdf2_sha1', PLAIN, 'pbkdf2_sha1$1000$U3Lj578Ssz8TZ34jy40J8F$5GAWGUlkz9H6txYIwoGOhZbjm1I='],
  [
    'Django, argon2',
    PLAIN,
    'argon2$argon2id$v=19$m=102400,t=2,p=8$RjRUZ0doVWxWcXdabVV5WGRZMHRLOA$9amVzBImUpDVLl7OeH88juzPongcYOi5ZJ/M0GMdiW0',
  ],
  [
    'Django, argon2 of other scripts',
    SCRIPTS,
    'argon2$argon2id$v=19$m=1024,t=2,p=8$ak9LSU1EOWZJSldqemlWNjJEa2JGNw$e2Gl/1YBBFFTVIB8m7VHwMqfe8w6voO2dauPJTXhhAY',
  ],
  [
    'Django, scrypt',
    PLAIN,
    'scrypt$16384$czsPSl8RYpmdSDPzmsr9xU$8$5$kOKMPv7s+f0juVfrHcsaWY7Mjrt6/DS7xNg513DBXASydWwWbYG+IwRthXakgAufYIEx+ZRy4sEkmIV2VJIQeQ==',
  ],
  [
    'Django, scrypt of other scripts',
    SCRIPTS,
    'scrypt$1024$xIE49lms8kORhm5rEUuSDE$8$5$oMhvBGq+NygtAczDhX/5SKanLasZm6Ntd58QHl9sGeiXRHMOa0o6+iYQX3FgoWYQ2ziE5lgdOvB+/ijUJ2WdTA==',
  ],
  ['Django, bcrypt_sha256', PLAIN, 'bcrypt_sha256$$2b$12$OY2g.W3jYJPz/nfvLFxa/.PXNr4L17lX.MJlvd4URR8hxH3E9oObW'],
  [
    'Django, bcrypt_sha256 of other scripts',
    SCRIPTS,
    'bcrypt_sha256$$2b$04$BiC0.6yIsku51wYEcVNOuurR53EE6SoSKSTezLFXSMu1cdkcQZcVy',
  ],
  [
    'Django, bcrypt_sha256 of 74 bytes',
    `${'x'.repeat(72)}yz`,
    'bcrypt_sha256$$2b$04$s5qlKm5S9N.Fvh9BfyX3O.umXN89iF07SgKyR8rhJRvZ56EXHCdo2',
  ],
  ['Django, bcrypt', PLAIN, 'bcrypt$$2b$04$RGsIxkLgYhkLQTIgJoHLdu.QmMx2ABlvQNsCGaIB6iBRUsYwbnYJ.'],
  ['Django, bcrypt of other scripts', SCRIPTS, 'bcrypt$$2b$04$BvN3HYxXqxc.l1q4Pa6p0On6p64xEjvSi2Vf7oFapSBrLkidKfVjq'],
  ['Spring, bcrypt', 'password', '{bcrypt}$2a$10$dXJ3SW6G7P50lGmMkkmwe.20cQQubK3.HZWzG3YB1tlRy.fqvM/BG'],
  [
    'Spring, argon2',
    PLAIN,
    '{argon2@SpringSecurity_v5_8}$argon2id$v=19$m=16384,t=2,p=1$fP74FsTJJIkDSlgCTMe/5A$4Z8F2OoUeSyW2hs8NhaCyGd9kHTAErBPMDSuXxdPbuQ',
  ],
  [
    'Spring, scrypt',
    'password',
    '{scrypt}$e0801$8bWJaSu2IKSn9Z9kM+TPXfOc/9bdYSrN1oD9qfVThWEwdRTnO7re7Ei+fUZRJ68k9lTyuTeUp4of4g24hHnazw==$OAOec05+bXxvuu/1qZ6NUR+xQYvYv7BeL1QxwRpY5Pc=',
  ],
  [
    'Spring, scrypt of 5.8',
    PLAIN,
    '{scrypt@SpringSecurity_v5_8}$100801$AAECAwQFBgcICQoLDA0ODw==$JRu+rXr4eznkKcphh1wYmEgW8PW4SfFQ75PW9+3Xarw=',
  ],
  [
    'Spring, pbkdf2',
    'password',
    '{pbkdf2}5d923b44a6d129f3ddf3e3c8d29412723dcbde72445e8ef6bf3b508fbf17fa4ed4d6b99ca763d8dc',
  ],
  [
    'Spring, pbkdf2 of 5.8',
    SCRIPTS,
    '{pbkdf2@SpringSecurity_v5_8}000102030405060708090a0b0c0d0e0fe22d7ec86b6785d75c1ccc6d2c7b69d6f148d25ecd9f53e8dc3f597382ffb329',
  ],
  ['WordPress 6.8', 'admin', '$wp$2y$10$Q1xinFjrZeLWJBvxviIL6u834Fu.evIEFHAUVisQ5O.w9Dm0sMdES'],
  ['WordPress 6.8, blanks around', `  ${SCRIPTS}\t`, '$wp$2y$04$1yJnq7WxljaF6CprJnWa0eAQua8FbMkocfA04Lm9yhuexRs63mnde'],
  ['WordPress 6.8, quotes', QUOTED, '$wp$2y$04$ULc.35HS80wlySrVnYCWC.Ftn7I6H6gLNsWEKU4MwaXghvmVPEKEq'],
  ['WordPress before, published', 'test12345', '$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0'],
  ['WordPress before, blanks around', ` ${SCRIPTS}`, '$P$BoVlxS65DODm2ixVpVQmQ7o/9uN1HC1'],
  ['WordPress before, quotes', QUOTED, '$P$BSlhjGPb3CWAAW0LKFZHwe9JdcfnFc.'],
  ['phpBB', PLAIN, '$H$9JGGfecG6EmKRu60n9cg5EvL3EEdHU0'],
]

/** What the same systems write that can't be checked, or may not be: no more than a name of it may be told. */
export const FOREIGN_REFUSED: readonly [name: string, hash: string][] = [
  ['md5', 'md5$WMhYx6EzzZOYDFvLEtPOKj$f67142b29b354c74ed212f6188fe69f1'],
  ['sha1', 'sha1$seasalt$cff36ea83f5706ce9aa7454e63e431fc726b2dc8'],
  ['crypt', 'crypt$$ab1Hv2Lg7ltQo'],
  ['{noop}', '{noop}correct horse battery'],
  ['{MD5}', '{MD5}{abc}5f4dcc3b5aa765d61d8327deb882cf99'],
  ['{sha256}', '{sha256}97cde38028ad898ebc02e690819fa220e88c62e0699403e94fff291cfffaf8410849f27605abcbc0'],
  ['{SSHA}', '{SSHA}W6ESCmVyIiByfQx2TfTpB1dXn8YrVRW0'],
  ['1', '$1$etNnh7FA$OlM7eljE/B7F1J4XYNnk81'],
  ['6', '$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEOfaS35inz1'],
  ['S', '$S$DVxMlKrsnWqnlqDpmnJBi9MfZDYvzFzNYMHgkwOEYfl4KMbDBXdw'],
]
