/** The text of the file. */
declare const text: string
export default text
