import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { applicationIdOf } from '../db/sqlite/open-database.ts'
import { databases } from './databases.ts'
import { DELETION_SUBSCRIBERS, descriptorOf, pathParameter, SERVICE_NAMES } from './registry.ts'

const isUnique = (values: readonly unknown[]) => new Set(values).size === values.length

describe('the registry', () => {
  test('gives no number, chapter or path to two services', () => {
    const descriptors = SERVICE_NAMES.map(descriptorOf)
    expect(isUnique(descriptors.map(({ number }) => number))).toBe(true)
    expect(isUnique(descriptors.flatMap(({ tags }) => Object.keys(tags)))).toBe(true)
    expect(isUnique([...SERVICE_NAMES, ...descriptors.flatMap(({ paths = [] }) => paths)])).toBe(true)
  })

  test('gives no application id to the databases of two services, and keeps those of existing files', () => {
    expect(isUnique(databases('').map(({ name }) => applicationIdOf(name)))).toBe(true)
    expect(['auth', 'users', 'modules'].map(applicationIdOf)).toEqual([0x63680001, 0x63680002, 0x63680003])
  })

  test('has the services of the Procfile', () => {
    const procfile = readFileSync(join(import.meta.dir, '../Procfile'), 'utf8')
    expect(procfile).toBe(SERVICE_NAMES.map((name) => `${name}: bun cli/main.ts serve ${name}\n`).join(''))
  })

  test('subscribes modules to the deletion of users', () => {
    expect(DELETION_SUBSCRIBERS).toContain('modules')
    expect(DELETION_SUBSCRIBERS).not.toContain('auth')
  })

  test('knows the form of a path parameter: that of its service, or a UUID for an id', () => {
    expect(pathParameter('module_id')).toBe('[a-z0-9][a-z0-9-]*')
    expect(pathParameter('session_id')).toBe('[0-9A-Fa-f-]{36}')
    expect(pathParameter('name')).toBeUndefined()
    expect(pathParameter('constructor')).toBeUndefined()
  })
})
