import { describe, expect, test } from 'bun:test'
import { Problem } from '../problem.ts'
import { type PageQuery, pageAnswer, pageRequest } from './page.ts'

const LIST = JSON.stringify(['users', 'created_at'])

const walk = (next: (string | number)[] | null, list = LIST) =>
  pageAnswer({ rows: [1, 2], total: null, next }, { size: 2, after: [0] }, list, String).next_cursor

describe('a request for a part of a list', () => {
  test.each<[PageQuery, ReturnType<typeof pageRequest>]>([
    [{}, { size: 50, page: 1 }],
    [{ page: '3' }, { size: 50, page: 3 }],
    [
      { page: '3', size: '200' },
      { size: 200, page: 3 },
    ],
    [{ size: '1' }, { size: 1, page: 1 }],
  ])('%j', (query, request) => {
    expect(pageRequest(query, LIST)).toEqual(request)
  })

  test.each([[[7]], [['ana@example.org']], [['é "quoted"', 0]], [['']], [[-1]]])('a cursor leads to %j', (position) => {
    const cursor = walk(position) ?? ''
    expect(cursor).toMatch(/^[\w-]+$/)
    expect(pageRequest({ cursor, size: '2' }, LIST)).toEqual({ size: 2, after: position })
  })

  const forged = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const listDigest = JSON.parse(Buffer.from(walk([1]) ?? '', 'base64url').toString())[0]
  test.each<[string, PageQuery]>([
    ['a cursor of another list', { cursor: walk([1], 'other') ?? '' }],
    ['a cursor beside a page', { cursor: walk([1]) ?? '', page: '1' }],
    ['a cursor that is not base64', { cursor: '%%%' }],
    ['a cursor that is not JSON', { cursor: 'abcd' }],
    ['a cursor that is not a list', { cursor: forged({ 0: listDigest }) }],
    ['a cursor without a position', { cursor: forged([listDigest]) }],
    ['an object as a position', { cursor: forged([listDigest, { $gt: '' }]) }],
    ['a list as a position', { cursor: forged([listDigest, [1]]) }],
    ['null as a position', { cursor: forged([listDigest, null]) }],
    ['a fraction as a position', { cursor: forged([listDigest, 1.5]) }],
    ['a number beyond all rows', { cursor: forged([listDigest, 1e300]) }],
  ])('%s is refused', (_, query) => {
    const ask = () => pageRequest(query, LIST)
    expect(ask).toThrow(Problem)
    expect(ask).toThrow('validation_failed')
  })
})

describe('the response', () => {
  test('a page has the total', () => {
    const answer = pageAnswer({ rows: [1, 2], total: 5, next: [2] }, { size: 2, page: 1 }, LIST, String)
    expect(answer).toEqual({
      items: ['1', '2'],
      total: 5,
      page: 1,
      size: 2,
      pages: 3,
      next_cursor: expect.any(String),
    })
  })

  test.each([
    [0, 0],
    [1, 1],
    [50, 1],
    [51, 2],
  ])('%d rows are %d pages of 50', (total, pages) => {
    expect(pageAnswer({ rows: [], total, next: null }, { size: 50, page: 1 }, LIST, String).pages).toBe(pages)
  })

  test('a part after a cursor has no total', () => {
    expect(pageAnswer({ rows: [1], total: null, next: null }, { size: 2, after: [0] }, LIST, String)).toEqual({
      items: ['1'],
      total: null,
      page: null,
      size: 2,
      pages: null,
      next_cursor: null,
    })
  })
})
