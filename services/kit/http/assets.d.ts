declare module '*/standalone.js' {
  /** The path of the file, also within a compiled program. */
  const path: string
  export default path
}
