import { dice, type Dice } from '@sealmesh/protocol/test-dice'

/** What one run's relay does, each as the share of frames or packets that it happens to. Nothing: an honest relay. */
export interface Temper {
  /** Of packets for a node. */
  drop: number
  delay: number
  duplicate: number
  /** Some older packet for anybody goes along. */
  replay: number
  /** Header of one packet, body of another. */
  splice: number
  flip: number
  /** The mailbox of a recipient is that of another node. */
  swap: number
  /** Packets from a node are called stored and forgotten. */
  forget: number
  /** Or taken without a word. */
  swallow: number
  /** A frame that no relay would send now: notices, answers, goodbyes. */
  forge: number
  /** Bytes that are no frame, or too many of them. */
  junk: number
  /** The connection ends. */
  reset: number
  /** For a while nothing of a kind goes from one node to another; heartbeats do. */
  tails: number
  /** Seconds after which it goes back to what it held some seconds before, or to nothing. */
  yesterdayAtS: number | null
  wipedAtS: number | null
  /** Hundreds of packets at once. */
  flood: number
  /** Goodbyes that a node takes for final, until it asks again an hour later. */
  finalGoodbyes: boolean
}

const HONEST: Temper = {
  drop: 0,
  delay: 0,
  duplicate: 0,
  replay: 0,
  splice: 0,
  flip: 0,
  swap: 0,
  forget: 0,
  swallow: 0,
  forge: 0,
  junk: 0,
  reset: 0,
  tails: 0,
  yesterdayAtS: null,
  wipedAtS: null,
  flood: 0,
  finalGoodbyes: false,
}

/** One run in ten is honest: there nothing may be found. The others have a few lies each, some of them all. */
export function temperOf(seed: number): Temper {
  const { random, pick, one } = dice(seed * 7 + 3)
  if (seed % 10 === 9) return HONEST
  const temper: Temper = { ...HONEST }
  const lies = seed % 10 === 8 ? 14 : 1 + pick(4)
  for (let n = 0; n < lies; n++) {
    const lie = one([
      'drop',
      'delay',
      'duplicate',
      'replay',
      'splice',
      'flip',
      'swap',
      'forget',
      'swallow',
      'forge',
      'junk',
      'reset',
      'tails',
      'tails',
      'tails',
      'flood',
      'yesterday',
      'wiped',
    ] as const)
    if (lie === 'yesterday') temper.yesterdayAtS = 30 + pick(60)
    else if (lie === 'wiped') temper.wipedAtS = 30 + pick(60)
    else if (lie === 'tails') temper.tails = 1 + pick(3)
    else temper[lie] = SHARES[lie] * (0.2 + 0.8 * random())
  }
  temper.finalGoodbyes = temper.forge > 0 && pick(10) === 0
  return temper
}

const SHARES = {
  drop: 0.6,
  delay: 0.7,
  duplicate: 0.5,
  replay: 0.5,
  splice: 0.4,
  flip: 0.4,
  swap: 0.4,
  forget: 0.6,
  swallow: 0.3,
  forge: 0.2,
  junk: 0.03,
  reset: 0.05,
  flood: 0.02,
} as const

/** What is kept back for a while: heartbeats of the one reach the other, and these do not. */
export interface Tail {
  readonly from: string
  readonly to: string
  readonly what: 'blocks' | 'records' | 'all but heads' | 'large'
  readonly fromS: number
  readonly toS: number
}

export function tailsOf(temper: Temper, names: readonly string[], { pick, one }: Dice): Tail[] {
  return Array.from({ length: temper.tails }, () => {
    const from = one(names)
    const to = one(names.filter((name) => name !== from))
    const fromS = 2 + pick(20)
    const what = one(['blocks', 'blocks', 'records', 'all but heads', 'large'] as const)
    return { from, to, what, fromS, toS: fromS + 60 + pick(30) }
  })
}
