/** The run's seed, printed so that a failure can be repeated with SEALMESH_SEED. */
export function testSeed(): number {
  const given = process.env['SEALMESH_SEED']
  const seed = given === undefined ? Date.now() % 2 ** 31 : Number(given)
  process.stdout.write(`seed ${seed} (repeat with SEALMESH_SEED=${seed})\n`)
  return seed
}
