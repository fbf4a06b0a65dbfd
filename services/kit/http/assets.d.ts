declare module '*/standalone.js' {
  /** The path of the file, in a compiled executable too. */
  const path: string
  export default path
}
