/** Small, fast and seeded, so that a failing run is named by one number. */
export function dice(seed: number) {
  let state = seed | 0
  const random = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const pick = (below: number) => Math.floor(random() * below)
  return { random, pick, one: <T>(all: readonly T[]): T => all[pick(all.length)] as T }
}
