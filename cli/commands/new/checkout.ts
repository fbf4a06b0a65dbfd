import { statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { settingDefaults } from '../../../services/kit/process/config.ts'
import { addressSetting, SERVICE_NAMES } from '../../../services/kit/services.ts'
import { serviceForPath } from '../../client/routing.ts'
import { compiled, inCheckout } from '../../executable.ts'
import { EXIT, Failure, usage } from '../../exit.ts'
import { contentOf } from './changes.ts'
import { faultOfWord, isWordOfSql, type Names, singular } from './names.ts'
import { codeOf, templates } from './templates.ts'

/** The checkout that the current directory stands in. @throws Failure where it is none, or not the tool's own */
export function checkoutHere(): string {
  const own = inCheckout()
  const isOwn = (path: string) => statSync(path).ino === statSync(own).ino && statSync(path).dev === statSync(own).dev
  if (!compiled)
    for (let path = process.cwd(); ; path = dirname(path)) {
      if (isOwn(path)) return path
      if (path === dirname(path)) break
    }
  throw new Failure(EXIT.failed, 'A service is written into a checkout of the sources: this is run elsewhere', {
    code: 'no_checkout',
    suggestion: 'cd <checkout> && bun cli/main.ts new service <name>',
  })
}

/**
 * The names of a service that is to be written.
 * @throws Failure for one that can't be: nothing else is to have a name that could be taken for it
 */
export function newNames(root: string, many: string, item: string | undefined): Names {
  const one = item ?? singular(many)
  const code = codeOf(templates())
  const fault = faultOfWord(many, code) ?? (isWordOfSql(many) ? 'is a word of SQL' : undefined)
  if (fault !== undefined) throw usage(`The name ${many} ${fault}`)
  const taken = whatIsCalled(root, many)
  if (taken !== undefined)
    throw new Failure(EXIT.conflict, `The name ${many} is taken: there is ${taken}`, { code: 'name_taken' })
  const itsFault = one === many ? 'is that of the service too' : faultOfWord(one, code)
  if (itsFault !== undefined) throw usage(`One of ${many} can't be called ${one}: the word ${itsFault}`, say(many))
  const itsTaken = hasEntry(root, 'services/kit/problem.ts', `${one}_not_found`)
    ? `a problem ${one}_not_found`
    : hasEntry(root, 'cli/commands/package/published.ts', `${one}_id`) && `a parameter ${one}_id`
  if (itsTaken)
    throw new Failure(EXIT.conflict, `The name ${one} is taken: there is ${itsTaken}`, {
      code: 'name_taken',
      suggestion: say(many),
    })
  return { many, one }
}

function say(many: string): string {
  return `ch202 new service ${many} --item <word>`
}

function whatIsCalled(root: string, name: string): string | undefined {
  if (SERVICE_NAMES.some((known) => known === name)) return `a service ${name}`
  for (const place of ['services', 'db'])
    if (statSync(join(root, place, name), { throwIfNoEntry: false })) return `${place}/${name}`
  if (serviceForPath(name)) return `a path /${name} of the service ${serviceForPath(name)}`
  const setting = addressSetting(name as (typeof SERVICE_NAMES)[number])
  if (settingDefaults({}).has(setting)) return `a setting ${setting}`
  if (hasEntry(root, 'services/kit/http/openapi/document.ts', name)) return `a part ${name} of the API`
  return undefined
}

/** Whether one of the lists that a service gets a line in has that line already. */
function hasEntry(root: string, path: string, name: string): boolean {
  return contentOf(join(root, path))?.includes(`\n  ${name}:`) ?? false
}
