declare module '*/standalone.js' {
  /** The path of the file, in the executable too. */
  const path: string
  export default path
}
