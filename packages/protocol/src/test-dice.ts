/** mulberry32: small, and the same on every machine, so that a failing run is named by one number. In [0, 1). */
export function seededDice(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** What histories are drawn with. */
export function dice(seed: number) {
  const random = seededDice(seed)
  const pick = (below: number) => Math.floor(random() * below)
  const shuffled = <T>(all: readonly T[]): T[] =>
    all
      .map((each) => ({ each, at: random() }))
      .sort((a, b) => a.at - b.at)
      .map(({ each }) => each)
  return { random, pick, shuffled, one: <T>(all: readonly T[]): T => all[pick(all.length)] as T }
}

export type Dice = ReturnType<typeof dice>
