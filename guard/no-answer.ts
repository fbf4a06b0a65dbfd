/** The instance gave no usable answer. The message has our own words only, nothing that was sent or received. */
export class NoAnswer extends Error {
  override name = 'NoAnswer'
}
