import { type Ended, launch } from '../../support/tool.ts'

/** A program that these tests can't do without: where it is missing they fail, and say so. */
export function need(program: string, debianPackage: string): string {
  const path = Bun.which(program)
  if (path === null) throw new Error(`There is no ${program}: install Debian's package ${debianPackage}`)
  return path
}

/** Runs a program to its end, with nothing of the environment of the tests. */
export function run(command: string[]): Promise<Ended> {
  return launch(command).ended
}
