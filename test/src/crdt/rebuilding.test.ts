import type { Block } from '@sealmesh/protocol/crdt/block'
import { Document } from '@sealmesh/protocol/crdt/document'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import { toHex } from '@sealmesh/protocol/bytes'
import { expect, test } from 'vitest'
import { incarnationId, NAME, nodeId, NOW_MS, Replica, sodium } from './scene.ts'

test('a rebuild of many blocks is many steps, none of which looks at more than a few, and all of them are one rebuild', () => {
  const replica = new Replica(nodeId(1), incarnationId(1))
  const blocks: Block[] = []
  for (let at = 0; at < 1_500; at++) {
    blocks.push(replica.set(`k${at % 40}`, `"${at}"`))
  }
  let judged = 0
  const judge: Judge = () => {
    judged++
    return { type: 'fold' }
  }
  let most = 0
  const steps = Document.rebuilding(NAME, blocks.toReversed(), judge, NOW_MS, sodium)
  for (;;) {
    const before = judged
    const step = steps.next()
    most = Math.max(most, judged - before)
    if (step.done !== true) continue
    expect(judged).toBe(1_500)
    expect(most).toBeLessThan(200)
    expect(toHex(step.value.digest())).toBe(toHex(Document.rebuild(NAME, blocks, judge, NOW_MS, sodium).digest()))
    return
  }
})
