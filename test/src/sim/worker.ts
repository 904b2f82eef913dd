import { mutate } from './mutate.ts'
import { mutantNamed } from './mutants.ts'
import type { SeedResult } from './world.ts'

/** What one process is to run. */
export interface Share {
  readonly from: number
  readonly count: number
  readonly mutant: string | null
  /** Of this mutant the parameters of its world, with every rule in place. */
  readonly worldOf: string | null
  readonly realCrypto: boolean
  readonly twice: boolean
}

/** One line for each seed, and one at the end. */
export type Line = ({ readonly type: 'seed' } & SeedResult) | { readonly type: 'end'; readonly cpuMs: number }

const say = (line: Line): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

async function run({ from, count, mutant: name, worldOf, realCrypto, twice }: Share): Promise<void> {
  const mutant = name === null ? undefined : mutantNamed(name)
  if (mutant !== undefined) mutate(mutant)
  const world = worldOf === null ? mutant?.world : { parameters: mutantNamed(worldOf)?.world?.parameters ?? {} }
  // Only now: what they import is what a mutant has changed.
  const { loadSodium } = await import('@sealmesh/sodium/load')
  const { fastCryptoDouble } = await import('./fast-crypto-double.ts')
  const { runSeed } = await import('./world.ts')
  const real = await loadSodium()
  const sodium = realCrypto ? real : fastCryptoDouble(real)
  const begun = process.cpuUsage()
  for (let seed = from; seed < from + count; seed++) {
    const result = await runSeed(seed, sodium, world)
    const again = twice ? await runSeed(seed, sodium, world) : result
    const violations =
      again.trace === result.trace ? result.violations : [...result.violations, 'it goes another way the second time']
    say({ type: 'seed', ...result, violations })
  }
  const { user, system } = process.cpuUsage(begun)
  say({ type: 'end', cpuMs: (user + system) / 1_000 })
}

await run(JSON.parse(process.argv[2] ?? '') as Share)
