import type { Parameters } from './parameters.ts'

/** Two machines, short ways, and nothing that goes wrong but what a scenario asks for. */
const CALM: Partial<Parameters> = {
  nodes: 2,
  mode: 'auto',
  durability: 'available',
  delayMs: [0.05, 0.1],
  loss: 0,
  syncMs: 1,
  relaySyncMs: 1,
  drift: 0.01,
  skewMs: 0,
  together: 1,
  writeEveryMs: 3_000,
  kill: 0,
  powerCut: 0,
  pause: 0,
  suspend: 0,
  cutOneWay: 0,
  cutBothWays: 0,
  reset: 0,
  diskFull: 0,
  clockStep: 0,
  takeover: 0,
  handover: 0,
  stop: 0,
  modeChange: 0,
  forced: 0,
  lossAccepted: 0,
  rollback: 0,
  relayCrash: 0,
  relayRestore: 0,
  relayWipe: 0,
  clone: 0,
  revoke: 0,
  episode: 'holder-cut-off',
}

/** The holder hears of its renewal when most of a lease's guard is over, and is cut off. */
export const SLOW_ANSWERS: Partial<Parameters> = { ...CALM, homeDownMs: 1_400, actEveryMs: 60 }

/** Takeovers as fast as they can be, of machines that act all the time and whose clocks differ as far as they may. */
export const QUICK_TAKEOVERS: Partial<Parameters> = { ...CALM, actEveryMs: 15 }

/** A standby leaves the set, and the holder is cut off while the register that says so is on the way. */
export const SETS_CHANGE: Partial<Parameters> = {
  ...CALM,
  homeUpMs: 700,
  writeEveryMs: 200,
  actEveryMs: 500,
  episode: 'standby-then-holder',
}

/** Disks are slow, and the standby and the relay lose their power before they have written down what they were given. */
export const STANDBYS_LOSE_POWER: Partial<Parameters> = {
  ...CALM,
  syncMs: 900,
  relaySyncMs: 50,
  writeEveryMs: 400,
  actEveryMs: 500,
  episode: 'standby-dark',
}

/** Planned handovers from a machine that hears late that it was relieved. */
export const HANDOVERS: Partial<Parameters> = {
  ...CALM,
  homeDownMs: 1_000,
  handover: 0.15,
  actEveryMs: 30,
  episode: null,
}
