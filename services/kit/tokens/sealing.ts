import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto'
import type { Random } from '../random.ts'

/** Lengths in bytes. */
const NONCE = 12
const TAG = 16

/** Derives a 256-bit key for one purpose from CH202_SECRET (HKDF, RFC 5869). */
function derive(secret: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `ch202 ${purpose}`, 32))
}

/**
 * Encrypts values before they are stored, or handed out (AES-256-GCM). The first secret encrypts, all of them decrypt: so the secret
 * can be replaced.
 */
export class Sealing {
  private readonly keys: Buffer[]

  /**
   * @param secrets the values of CH202_SECRET
   * @param purpose the label of the derived keys
   */
  constructor(
    secrets: readonly string[],
    private readonly random: Pick<Random, 'bytes'>,
    purpose = 'sealing',
  ) {
    this.keys = secrets.map((secret) => derive(secret, purpose))
  }

  /** Encrypts a value. @param name names its use: a sealed value that was moved to another name does not open */
  seal(plain: Uint8Array, name: string): Uint8Array {
    const [key] = this.keys
    if (!key) throw new Error('CH202_SECRET is missing')
    const nonce = this.random.bytes(NONCE)
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(name))
    return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  }

  /** Decrypts a value; undefined when another secret sealed it or it was altered. */
  open(sealed: Uint8Array, name: string): Buffer | undefined {
    for (const key of this.keys) {
      const plain = openWith(key, sealed, name)
      if (plain) return plain
    }
    return undefined
  }

  /** Whether the first secret sealed the value. If not, it must be resealed before the older secret is removed. */
  isByFirst(sealed: Uint8Array, name: string): boolean {
    const [key] = this.keys
    return key !== undefined && openWith(key, sealed, name) !== undefined
  }
}

/** Decrypts a value with one key; undefined when the key, the name or the value is wrong. */
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

/**
 * Computes message authentication codes for one purpose (HMAC-SHA-256). The first secret makes new codes; codes of all
 * secrets are accepted.
 */
export class Codes {
  private readonly keys: Buffer[]

  /** @param secrets the values of CH202_SECRET */
  constructor(secrets: readonly string[], purpose: string) {
    this.keys = secrets.map((secret) => derive(secret, purpose))
  }

  /** Returns the code by the first secret. */
  of(message: Uint8Array): Buffer {
    const [key] = this.keys
    if (!key) throw new Error('CH202_SECRET is missing')
    return createHmac('sha256', key).update(message).digest()
  }

  /** Returns the code by each secret. */
  all(message: Uint8Array): Buffer[] {
    return this.keys.map((key) => createHmac('sha256', key).update(message).digest())
  }
}
