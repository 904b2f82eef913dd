import fc from 'fast-check'

/** For so many seeds of its own choice, or of the environment's. What fails is printed with the seed of its world. */
export async function forSeeds(runs: number, holds: (seed: number) => Promise<void>): Promise<void> {
  const numRuns = Number(process.env['SEALMESH_PATTERN_RUNS'] ?? runs)
  await fc.assert(fc.asyncProperty(fc.integer({ min: 0, max: 0x7fffffff }), holds), {
    numRuns,
    // A smaller seed is no simpler world.
    endOnFailure: true,
  })
}
