/** The run's seed, printed so that a failure can be repeated with SEALMESH_SEED. */
export function testSeed(): number {
  const given = process.env['SEALMESH_SEED']
  const seed = given === undefined ? Date.now() % 2 ** 31 : Number(given)
  process.stdout.write(`seed ${seed} (repeat with SEALMESH_SEED=${seed})\n`)
  return seed
}

/** mulberry32: small, and the same on every machine. In [0, 1). */
export function seededDice(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
