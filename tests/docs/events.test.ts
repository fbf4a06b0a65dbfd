import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Ajv from 'ajv/dist/2020'
import addFormats from 'ajv-formats'
import { EVENT_TYPES, MESSAGE_SCHEMAS, REVOCATION_REASONS } from '../../services/kit/schema/events.ts'

const page = readFileSync(join(import.meta.dir, '../../docs/integrate/events.md'), 'utf8')

const ajv = addFormats.default(new Ajv({ strict: true }))
const checks = EVENT_TYPES.map((type) => [type, ajv.compile(MESSAGE_SCHEMAS[type])] as const)

/** The chapters about one type each. */
const chapters = page.split(/^## /m).flatMap((text) => {
  const type = /^`([a-z.]+)`\n/.exec(text)?.[1]
  const [example, schema, ...more] = [...text.matchAll(/^```json\n([\s\S]*?)^```$/gm)].map(([, json = '']) =>
    JSON.parse(json),
  )
  return type === undefined ? [] : [{ type, text, example, schema, more }]
})

test('there is a chapter for each type, in their order', () => {
  expect(chapters.map(({ type }) => type)).toEqual([...EVENT_TYPES])
})

describe.each(EVENT_TYPES)('%s', (type) => {
  const chapter = chapters.find((one) => one.type === type)

  test('has the schema that the code has', () => {
    expect(chapter?.schema).toEqual(MESSAGE_SCHEMAS[type])
    expect(chapter?.more).toEqual([])
  })

  test('has an example that is of it, and of no other type', () => {
    expect(checks.filter(([, takes]) => takes(chapter?.example)).map(([taking]) => taking)).toEqual([type])
  })
})

test('every reason for the end of a session is explained, and no other', () => {
  const text = chapters.find(({ type }) => type === 'session.revoked')?.text ?? ''
  const named = [...text.matchAll(/^- `(\w+)`: /gm)].map(([, reason]) => reason)
  expect(named.toSorted()).toEqual([...REVOCATION_REASONS].sort())
})
