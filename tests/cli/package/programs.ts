import { type Ended, launch } from '../../support/tool.ts'

/** Finds a program that the tests need. @throws Error if it is not installed */
export function need(program: string, debianPackage: string): string {
  const path = Bun.which(program)
  if (path === null) throw new Error(`There is no ${program}: install Debian's package ${debianPackage}`)
  return path
}

/** Runs a program to its end, without the environment of the tests. */
export function run(command: string[]): Promise<Ended> {
  return launch(command).ended
}
