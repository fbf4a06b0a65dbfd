import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Ajv from 'ajv/dist/2020'
import addFormats from 'ajv-formats'
import { EVENT_TYPES, MESSAGE_SCHEMAS, REVOCATION_REASONS } from '../../services/kit/schema/events.ts'

const page = readFileSync(join(import.meta.dir, '../../docs/integrate/events.md'), 'utf8')

const ajv = addFormats.default(new Ajv({ strict: true }))
const checks = EVENT_TYPES.map((type) => [type, ajv.compile(MESSAGE_SCHEMAS[type])] as const)

/** Chapters of the page, one for each type of event. */
const chapters = page.split(/^## /m).flatMap((text) => {
  const type = /^`([a-z_.]+)`\n/.exec(text)?.[1]
  const [example, schema, ...more] = [...text.matchAll(/^```json\n([\s\S]*?)^```$/gm)].map(([, json = '']) =>
    JSON.parse(json),
  )
  return type === undefined ? [] : [{ type, text, example, schema, more }]
})

test('there is a chapter for each type, in their order', () => {
  expect(chapters.map(({ type }) => type)).toEqual([...EVENT_TYPES])
})

describe.each(EVENT_TYPES)('%s', (type) => {
  const chapter = chapters.find((each) => each.type === type)

  test('has the schema of the code', () => {
    expect(chapter?.schema).toEqual(MESSAGE_SCHEMAS[type])
    expect(chapter?.more).toEqual([])
  })

  test('has an example that is valid for this type only', () => {
    expect(checks.filter(([, accepts]) => accepts(chapter?.example)).map(([valid]) => valid)).toEqual([type])
  })
})

test('the page explains every reason for the end of a session, and no other', () => {
  const text = chapters.find(({ type }) => type === 'session.revoked')?.text ?? ''
  const reasons = [...text.matchAll(/^- `(\w+)`: /gm)].map(([, reason]) => reason)
  expect(reasons.toSorted()).toEqual([...REVOCATION_REASONS].sort())
})
