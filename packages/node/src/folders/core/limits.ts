/** What one folder may hold, with the reasons. Larger things are listed as refused, never dropped in silence. */

/** Merged as text up to here: a diff and a Y.Text of this size cost milliseconds; beyond, a file is carried whole. */
export const TEXT_FILE_BYTES_MAX = 1_048_576
/** A folder is for memory and notes; a document is held in memory whole, and its chunks with it. */
export const FILE_BYTES_MAX = 16 * 1_048_576
/** All files of one folder that are not text: they live in memory, base64, on each machine. */
export const BINARY_BYTES_MAX = 64 * 1_048_576
/** All texts of one folder: ten times the notes of a diligent person. */
export const TEXT_BYTES_MAX = 64 * 1_048_576
/** A rescan looks at each; ten thousand take a tenth of a second. */
export const FILES_MAX = 10_000
/** With its JSON and base64 a chunk stays below a register's 131,072 bytes. */
export const CHUNK_BYTES = 92_160
/** One edit of texts, estimated; a block's limit is twice that. */
export const EDIT_BYTES_TARGET = 98_304
/** A relative path: leaves room for the folder's own path on systems that end at 1,024. */
export const PATH_BYTES_MAX = 400
export const PATH_DEPTH_MAX = 32
export const COMPONENT_BYTES_MAX = 200

/** A save is often several writes: a file is read when it has been left alone this long. */
export const SETTLE_MS = 50
/** Editors delete and create: a name has to be gone this long to count as deleted. */
export const DELETE_SETTLE_MS = 1_000
/** Where files vanish one after another without end, those before this are acted on. */
export const DELETE_SETTLE_MS_MAX = 5_000
/** What could not be written, for want of room or right, is tried again. */
export const BLOCKED_RETRY_MS = 5_000
/** A file that became shorter may be half written; one that became empty more so. */
export const SHRUNK_SETTLE_MS = 400
export const EMPTIED_SETTLE_MS = 2_000
/** Watching loses events; this finds them. */
export const RESCAN_MS = 60_000
/** A program that had a file open may write to what was replaced: looked at once more after this. */
export const RETIRED_MS = 1_500
/** Two machines made one file at once: its maker merges them; until it could, the second one is not shown. */
export const MERGE_GRACE_MS = 30_000

/** Kept in the trash of the machine where a file vanished by sync. */
export const TRASH_MS = 30 * 24 * 60 * 60_000
export const TRASH_BYTES_MAX = 512 * 1_048_576
/** A deleted file's entry stays as long as the trash does; another week for whoever wrote it to clear it first. */
export const GONE_MS = TRASH_MS
export const GONE_OTHERS_MS = GONE_MS + 7 * 24 * 60 * 60_000
/** Deletions within this time count as one act. */
export const MASS_WINDOW_MS = 60_000
/** Fewer than this are never held. */
export const MASS_MIN = 3
/** More than this are always held, however large the folder. */
export const MASS_MAX = 100
/** Or more than this share of the folder's files. */
export const MASS_SHARE = 1 / 3

export const FOLDERS_MAX = 32
export const ALLOWED_MAX = 32
/** Where content came from, the newest of each file. */
export const ARRIVALS_MAX = 20
