import { Drills as Honest } from '@sealmesh/node/drills/drills'
import type { DrillsDeps } from '@sealmesh/node/drills/drills-deps'
import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

/**
 * In a process's own place of `Drills`: while the file exists that SEALMESH_TEST_DETAIN names, its standby's half does
 * not begin to hand an agent back, so that there is time to do something to the other machine.
 */

export const DETAIN = 'SEALMESH_TEST_DETAIN'

const isDetained = (): boolean => existsSync(process.env[DETAIN] ?? '')

export class Drills extends Honest {
  static override open(deps: DrillsDeps): Promise<Honest> {
    const { movers } = deps
    const isHome = (): boolean => deps.mesh().nodes.get(deps.node)?.name === 'home'
    return Honest.open({
      ...deps,
      patience: { answerMs: 8_000, backMs: 3_000 },
      movers: {
        ...movers,
        handover: async (agent, to) => {
          while (!isHome() && isDetained()) await pause(20)
          return movers.handover(agent, to)
        },
      },
    })
  }
}
