const CELLS = 20

/** `[#########...........]  45 %`: how far something of a known size has come. */
export function progressBar(done: number, total: number): string {
  const share = total <= 0 ? 1 : Math.min(1, Math.max(0, done / total))
  // Whole only when it is: 99.9 % is not done.
  const cells = Math.floor(share * CELLS)
  return `[${'#'.repeat(cells)}${'.'.repeat(CELLS - cells)}] ${String(Math.floor(share * 100)).padStart(3)} %`
}
