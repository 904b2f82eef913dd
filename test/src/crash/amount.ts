/**
 * How often processes are killed and power is cut. A slice runs with every `pnpm test`; all of it with
 * SEALMESH_CRASH=full, which takes some minutes.
 */
const full = process.env['SEALMESH_CRASH'] === 'full'

export const KILLS = full ? 50 : 8
/**
 * Of the relay between two nodes: fewer, since nodes rightly wait longer each time before they dial a relay that keeps
 * dying. The relay's own promises are tested at the full number without them.
 */
export const KILLS_BETWEEN_NODES = full ? 8 : 3
export const FOLDER_KILLS = full ? 40 : 6
export const POWER_CUTS = full ? 20 : 4
/** For each test; kills cost about a second each on a slow machine. */
export const CRASH_TEST_MS = full ? 420_000 : 120_000
