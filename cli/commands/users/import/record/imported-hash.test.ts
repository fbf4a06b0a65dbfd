import { expect, test } from 'bun:test'
import { argon2, unknownAlgorithm } from './imported-hash.ts'

test('an algorithm that is not supported is named, without the characters that could do harm', () => {
  const start = 'Password hashes with this algorithm are not supported: '
  expect(unknownAlgorithm('bcrypt with a separate salt')).toEqual({ fault: `${start}bcrypt with a separate salt` })
  expect(unknownAlgorithm('x\u001b[31m$')).toEqual({ fault: `${start}x??31m?` })
  expect(unknownAlgorithm(undefined)).toEqual({ fault: `${start}it has no name` })
  const salt = Buffer.from('salt').toString('base64')
  const old = { type: 'id', version: '1.0', memory: 1, passes: 1, lanes: 1, salt, digest: salt }
  expect(argon2(old)).toEqual({ fault: `${start}argon2 version 1.0` })
})
