/** What one message may be. Apart from the schemas, so that clients need not load these. */

/** A message that was caused by another is one hop further; past this it is refused, so that no chain runs for ever. */
export const HOPS_MAX = 32
/** Messages that one was made of. */
export const PARENTS_MAX = 16
/** JSON text of a payload; what is larger belongs in a document, and its UMR in the message. */
export const MESSAGE_PAYLOAD_BYTES_MAX = 131_072
/** Longer than any prekey lives nothing can travel. */
export const MESSAGE_LIFE_MS_MAX = 28 * 86_400_000
/** Lists and objects in one another. Readers in other languages give up at about a thousand, some with their process. */
export const MESSAGE_DEPTH_MAX = 256
