/** What one import may cost. An agent's memory is notes: a folder that exceeds these was named by mistake. */

/** One edit of a text and one line of the local socket both still hold it, escaped. */
export const MARKDOWN_BYTES_MAX = 131_072
/** A graph of 100,000 observations is 20 MB. */
export const GRAPH_BYTES_MAX = 64 * 1_048_576
/** Somebody's whole disk has more, a memory folder has dozens. */
export const IMPORT_FILES_MAX = 10_000
export const IMPORT_DEPTH_MAX = 16
/** Directory entries looked at, of any kind; bounds the time spent in a folder named by mistake. */
export const IMPORT_ENTRIES_MAX = 100_000
/** In characters; keeps `path#heading/hash` under the 512 bytes of an id. */
export const HEADING_SLUG_MAX = 64
