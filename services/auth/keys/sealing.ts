import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto'
import type { Random } from '../../kit/random.ts'

const NONCE = 12
const TAG = 16

/** A key of 256 bits for one purpose, made from CH202_SECRET (HKDF, RFC 5869). */
function derive(secret: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `ch202 ${purpose}`, 32))
}

/** Encrypts what is kept (AES-256-GCM). The first secret encrypts, all decrypt, so that a secret can be replaced. */
export class Sealing {
  private readonly keys: Buffer[]

  constructor(
    secrets: readonly string[],
    private readonly random: Random,
  ) {
    this.keys = secrets.map((secret) => derive(secret, 'sealing'))
  }

  /** @param name what is sealed: a sealed value put in another's place does not open */
  seal(plain: Uint8Array, name: string): Uint8Array {
    const [key] = this.keys
    if (!key) throw new Error('CH202_SECRET is missing')
    const nonce = this.random.bytes(NONCE)
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(name))
    return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  }

  /** Undefined: it was sealed with another secret, or altered. */
  open(sealed: Uint8Array, name: string): Buffer | undefined {
    for (const key of this.keys) {
      const plain = openWith(key, sealed, name)
      if (plain) return plain
    }
    return undefined
  }

  /** Whether the first secret sealed it: where not, what is kept must be sealed anew before an older one goes. */
  isByFirst(sealed: Uint8Array, name: string): boolean {
    const [key] = this.keys
    return key !== undefined && openWith(key, sealed, name) !== undefined
  }
}

function openWith(key: Buffer, sealed: Uint8Array, name: string): Buffer | undefined {
  const bytes = Buffer.from(sealed)
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE)).setAAD(Buffer.from(name))
    decipher.setAuthTag(bytes.subarray(-TAG))
    return Buffer.concat([decipher.update(bytes.subarray(NONCE, -TAG)), decipher.final()])
  } catch {
    return undefined
  }
}

/** Authentication codes for one purpose (HMAC-SHA-256): the first secret makes them, all recognise them. */
export class Codes {
  private readonly keys: Buffer[]

  constructor(secrets: readonly string[], purpose: string) {
    this.keys = secrets.map((secret) => derive(secret, purpose))
  }

  of(message: Uint8Array): Buffer {
    const [key] = this.keys
    if (!key) throw new Error('CH202_SECRET is missing')
    return createHmac('sha256', key).update(message).digest()
  }

  all(message: Uint8Array): Buffer[] {
    return this.keys.map((key) => createHmac('sha256', key).update(message).digest())
  }
}
