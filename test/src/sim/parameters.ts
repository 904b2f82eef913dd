import type { Durability, FailoverMode } from '@sealmesh/protocol/membership/record'
import { dice } from '@sealmesh/protocol/test-dice'

/** What one seed's world is like. Rare mixtures occur because each of these is drawn apart. */
/** What happens again and again in a directed world, to the first two machines. */
export type Episode = 'holder-cut-off' | 'standby-then-holder' | 'standby-dark'

export interface Parameters {
  readonly nodes: number
  /** Milliseconds of faults, after which everything is put right. */
  readonly faultsMs: number
  /** One way, least and most. */
  readonly delayMs: readonly [number, number]
  /** What each way of the first machine takes longer: a slow line for whoever holds the agent at the beginning. */
  readonly homeUpMs: number
  readonly homeDownMs: number
  /** Of frames that take a while longer, and hold up what is behind them. */
  readonly loss: number
  /** Milliseconds that a disk takes to make a batch durable, at most. */
  readonly syncMs: number
  readonly relaySyncMs: number
  /** Of the clocks' rates, and of the wall clocks. */
  readonly drift: number
  readonly skewMs: number
  /** Writes of one moment, on average, and between two such moments of one node. */
  readonly together: number
  readonly writeEveryMs: number
  readonly actEveryMs: number
  /** Per node and second. */
  readonly kill: number
  readonly powerCut: number
  readonly pause: number
  readonly suspend: number
  readonly cutOneWay: number
  readonly cutBothWays: number
  readonly reset: number
  readonly diskFull: number
  readonly clockStep: number
  readonly takeover: number
  readonly handover: number
  /** Stopped as an owner does it. */
  readonly stop: number
  /** The mode of the agent is set to another one. */
  readonly modeChange: number
  /** Of takeovers by people, those that go past the register, and those past what could be lost. */
  readonly forced: number
  readonly lossAccepted: number
  readonly mode: FailoverMode
  readonly durability: Durability
  /** Of starts after a crash, those from an older image. */
  readonly rollback: number
  /** Per second. */
  readonly relayCrash: number
  readonly relayRestore: number
  readonly relayWipe: number
  readonly clone: number
  readonly revoke: number
  readonly episode: Episode | null
}

/** `directed`: a world that is made for one thing to happen often; the rest is drawn as ever. */
export function parametersOf(seed: number, directed: Partial<Parameters> = {}): Parameters {
  const { random, pick } = dice(seed * 31 + 17)
  const sometimes = (share: number, most: number): number => {
    const [happens, much] = [random() < share, random()]
    return happens ? most * much : 0
  }
  const least = random() < 0.2 ? 0.05 : 5 + random() * 30
  const mode = random()
  const together = 1 + pick(3)
  return {
    mode: mode < 0.75 ? 'auto' : mode < 0.85 ? 'ask' : 'manual',
    durability: random() < 0.25 ? 'strict' : 'available',
    handover: sometimes(0.4, 0.02),
    stop: sometimes(0.4, 0.015),
    modeChange: sometimes(0.1, 0.02),
    forced: random() < 0.15 ? 0.5 : 0,
    lossAccepted: random() < 0.2 ? 0.5 : 0,
    nodes: 2 + pick(2),
    faultsMs: 90_000 + pick(12_000),
    homeUpMs: 0,
    homeDownMs: 0,
    delayMs: [least, least * (1.1 + random() * 3) + (random() < 0.3 ? random() * 400 : random() * 20)],
    loss: random() < 0.6 ? random() * 0.2 : 0,
    syncMs: random() < 0.7 ? 1 + random() * 10 : random() * 200,
    relaySyncMs: random() < 0.7 ? 1 + random() * 10 : random() * 100,
    drift: random() < 0.8 ? 0.01 : 0,
    skewMs: random() < 0.5 ? 2_000 : random() < 0.9 ? 120_000 : 300_000,
    together,
    writeEveryMs: together * (800 + random() * 1_700),
    actEveryMs: 300 + random() * 700,
    kill: sometimes(0.7, 0.02),
    powerCut: sometimes(0.6, 0.02),
    pause: sometimes(0.6, 0.02),
    suspend: sometimes(0.4, 0.01),
    cutOneWay: sometimes(0.5, 0.03),
    cutBothWays: sometimes(0.6, 0.03),
    reset: sometimes(0.5, 0.02),
    diskFull: sometimes(0.3, 0.01),
    clockStep: sometimes(0.3, 0.01),
    takeover: sometimes(0.8, 0.04),
    rollback: random() < 0.4 ? 0.4 : 0,
    relayCrash: sometimes(0.5, 0.02),
    relayRestore: sometimes(0.3, 0.01),
    relayWipe: sometimes(0.2, 0.01),
    clone: sometimes(0.3, 0.006),
    revoke: sometimes(0.2, 0.01),
    episode: null,
    ...directed,
  }
}
