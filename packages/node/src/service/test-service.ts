import type { Running, TestHomes } from '../documents/test-homes.ts'
import type { TestNode } from '../documents/fixture.ts'
import type { DoorContext } from '../ipc/dispatch.ts'
import { DEFAULTS } from '../config/schema.ts'
import type { AcknowledgingContext } from './acknowledging.ts'
import type { ServiceContext } from './context.ts'
import { Layers } from './layers.ts'

/** For tests: what handlers work on, over real documents of a test's mesh; what a test does not need is missing. */
export function serviceOf(homes: TestHomes, node: TestNode, { documents }: Running): AcknowledgingContext {
  const part: Partial<AcknowledgingContext> = {
    node: node.id,
    signKey: node.keys.secretKey,
    sodium: homes.mesh.sodium,
    documents,
    layers: new Layers(() => DEFAULTS, documents),
    log: {
      get mesh() {
        return homes.mesh.mesh
      },
    } as ServiceContext['log'],
    now: Date.now,
  }
  return part as AcknowledgingContext
}

/** Handlers take who is calling; these ask nothing of it. */
export const nobody: DoorContext = {
  notify: () => undefined,
  signal: new AbortController().signal,
}
