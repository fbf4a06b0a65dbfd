import { statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { documentation } from '../../../services/documentation.ts'
import { isProblemCode } from '../../../services/kit/problem.ts'
import { settingDefaults } from '../../../services/kit/process/config.ts'
import { addressSetting } from '../../../services/kit/process/service-address.ts'
import { SERVICE_NAMES, SERVICES } from '../../../services/registry.ts'
import { serviceForPath } from '../../client/routing.ts'
import { compiled, inCheckout } from '../../executable.ts'
import { EXIT, Failure, usage } from '../../exit.ts'
import { isSqlKeyword, type Names, nameFault, singular } from './names.ts'
import { codeOf, templates } from './templates.ts'

/** The checkout that holds the current directory. @throws Failure when it is not the checkout that the tool runs from */
export function checkoutHere(): string {
  const toolCheckout = inCheckout()
  const isOwn = (path: string) =>
    statSync(path).ino === statSync(toolCheckout).ino && statSync(path).dev === statSync(toolCheckout).dev
  if (!compiled)
    for (let path = process.cwd(); ; path = dirname(path)) {
      if (isOwn(path)) return path
      if (path === dirname(path)) break
    }
  throw new Failure(EXIT.failed, 'Run this inside the checkout of the sources that the tool belongs to', {
    code: 'no_checkout',
    suggestion: 'cd <checkout> && bun cli/main.ts new service <name>',
  })
}

/**
 * Checks the names of a new service.
 * @param many the name of the service, in the plural
 * @param item what one thing that the service stores is called; undefined to derive it from the name
 * @throws Failure when a name is not a word of code, or something else has that name
 */
export async function newNames(root: string, many: string, item: string | undefined): Promise<Names> {
  const one = item ?? singular(many)
  const code = codeOf(templates())
  const fault = nameFault(many, code) ?? (isSqlKeyword(many) ? 'is a keyword of SQL' : undefined)
  if (fault !== undefined) throw usage(`The name ${many} ${fault}`)
  const document = await documentation('')
  const owner =
    ownerOfName(root, many) ?? (document.tags.some(({ name }) => name === many) && `a part ${many} of the API`)
  if (owner) throw new Failure(EXIT.conflict, `The name ${many} is taken: there is ${owner}`, { code: 'name_taken' })
  const itemFault = one === many ? 'is the name of the service too' : nameFault(one, code)
  if (itemFault !== undefined)
    throw usage(`One of ${many} can't be called ${one}: the word ${itemFault}`, withItem(many))
  const itemOwner = isProblemCode(`${one}_not_found`)
    ? `a problem ${one}_not_found`
    : Object.keys(document.paths).some((path) => path.includes(`{${one}_id}`)) && `a parameter ${one}_id`
  if (itemOwner)
    throw new Failure(EXIT.conflict, `The name ${one} is taken: there is ${itemOwner}`, {
      code: 'name_taken',
      suggestion: withItem(many),
    })
  return { many, one }
}

function withItem(many: string): string {
  return `ch202 new service ${many} --item <word>`
}

/** Finds the service, directory, path or setting that already has the name. */
function ownerOfName(root: string, name: string): string | undefined {
  if (SERVICE_NAMES.some((service) => service === name)) return `a service ${name}`
  for (const directory of ['services', 'db'])
    if (statSync(join(root, directory, name), { throwIfNoEntry: false })) return `${directory}/${name}`
  const service = serviceForPath(name)
  if (service) return `a path /${name} of the service ${service}`
  const setting = addressSetting(name)
  return settingDefaults({}, SERVICES).has(setting) ? `a setting ${setting}` : undefined
}
