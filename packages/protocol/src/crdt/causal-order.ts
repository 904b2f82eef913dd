import { compareText } from '../bytes.ts'
import type { Block } from './block.ts'
import { compareTimes, type HybridTime } from './hybrid-time.ts'

/**
 * Blocks in an order in which nearly everything comes after what it follows: chain order within an incarnation, by
 * time between incarnations. It only saves work; any other order folds to the same state.
 */
export function causalOrder<B extends Block>(blocks: Iterable<B>): B[] {
  const chains = [...blocks].sort(
    (a, b) => compareText(a.header.incarnation, b.header.incarnation) || a.header.sequence - b.header.sequence,
  )
  let before: { header: { incarnation: string }; time: HybridTime } | undefined
  const timed = chains.map((block) => {
    const { header } = block
    // A hostile clock may run backwards: its chain order stands all the same.
    const behind =
      before !== undefined &&
      before.header.incarnation === header.incarnation &&
      compareTimes(before.time, header.time) > 0
    before = { header, time: behind ? before!.time : header.time }
    return { block, time: before.time }
  })
  // The sort is stable, so blocks of one incarnation and time keep their chain order.
  return timed.sort((a, b) => compareTimes(a.time, b.time)).map(({ block }) => block)
}
