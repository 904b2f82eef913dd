import type { FailureCode } from '../errors.ts'

/**
 * Where one node stands with one relay, and when it tries again. Pure: the driver owns socket, clock and dice, runs
 * the effects in order and feeds back what the current socket does.
 */
export type Uplink =
  | {
      readonly state: 'waiting'
      readonly attempt: number
      readonly dialAtMs: number
      readonly reason: FailureCode | null
    }
  | { readonly state: 'greeting'; readonly attempt: number; readonly giveUpAtMs: number }
  | {
      readonly state: 'live'
      readonly attempt: number
      readonly sinceMs: number
      /** When the relay last said anything, and when the next ping goes out. */
      readonly heardAtMs: number
      readonly pingAtMs: number
    }
  /** A person, or another node, has to do something first. Who said so has signed nothing, so it is asked again. */
  | { readonly state: 'refused'; readonly attempt: number; readonly dialAtMs: number; readonly reason: FailureCode }

export type UplinkEvent =
  | { readonly type: 'tick' }
  | { readonly type: 'welcomed' }
  /** Any frame from the relay. */
  | { readonly type: 'heard' }
  /** Another process has logged in with the same keys. */
  | { readonly type: 'idled' }
  /** The socket is gone, or must go: `reason` says why, in the relay's words when it said any. */
  | { readonly type: 'failed'; readonly reason: FailureCode; readonly retryAfterMs: number }
  /** The world has changed: another network, a new token. */
  | { readonly type: 'nudged' }

export type UplinkEffect =
  | { readonly type: 'dial' }
  | { readonly type: 'hangUp'; readonly reason: FailureCode }
  | { readonly type: 'ping' }

export interface UplinkWorld {
  readonly nowMs: number
  /** In [0, 1). */
  readonly dice: number
  /** Where less than `BACKOFF_MS_MAX` is all that may pass. */
  readonly backoffMsMax?: number | undefined
  /** Of a link that is no relay's. */
  readonly pace?: UplinkPace | undefined
}

export interface UplinkPace {
  readonly pingEveryMs: number
  /** So long without a word, and the link is dead. */
  readonly silenceMsMax: number
  /** What the far end refuses passes by itself, as soon as it knows what this end knows: it is asked like any other. */
  readonly isPatient: boolean
}

export interface UplinkStep {
  readonly next: Uplink
  readonly effects: readonly UplinkEffect[]
}

/** Connect, TLS, challenge and welcome; a phone network needs seconds. */
export const GREET_WAIT_MS = 15_000
/** A relay that was restarted has its nodes back within half a minute. */
export const BACKOFF_MS_MAX = 30_000
const BACKOFF_MS_FIRST = 500
/** NAT boxes forget idle connections after a minute or less. */
export const PING_EVERY_MS = 20_000
/** What an idled process says earlier the relay takes for frames that were on their way (docs/spec/07-relay.md, rule 7). */
export const IDLED_PING_MS = 6_000
/** Two pings unanswered. */
export const SILENCE_MS_MAX = 45_000
/** Only a link that lasted this long is a success; otherwise one that is cut at once would be dialled without pause. */
const STEADY_MS = 10_000
/** How often to look whether somebody has put right what the relay or its certificate refuses us for. */
export const REFUSED_RETRY_MS = 5 * 60_000
/** How often to ask again where only a new token, key or link can help, if the relay has told the truth. */
export const REFUSED_ASK_MS = 60 * 60_000
/** Nobody may make a node wait for longer, whatever it says. */
const RETRY_AFTER_MS_MAX = 60 * 60_000

export const firstUplink = (nowMs: number): Uplink => ({ state: 'waiting', attempt: 0, dialAtMs: nowMs, reason: null })

/** Feed events in order, from the current socket only. Events that do not fit are ignored. */
export function stepUplink(now: Uplink, event: UplinkEvent, world: UplinkWorld): UplinkStep {
  const stay: UplinkStep = { next: now, effects: [] }
  if (event.type === 'nudged') {
    if (now.state !== 'waiting' && now.state !== 'refused') return stay
    return { next: { state: 'waiting', attempt: 0, dialAtMs: world.nowMs, reason: null }, effects: [] }
  }
  switch (now.state) {
    case 'refused':
    case 'waiting':
      if (event.type !== 'tick' || world.nowMs < now.dialAtMs) return stay
      return {
        next: { state: 'greeting', attempt: now.attempt, giveUpAtMs: world.nowMs + GREET_WAIT_MS },
        effects: [{ type: 'dial' }],
      }
    case 'greeting':
      if (event.type === 'failed') return redial(now.attempt, event, world)
      if (event.type === 'welcomed') return { next: liveFrom(now.attempt, world), effects: [] }
      if (world.nowMs < now.giveUpAtMs) return stay
      return hangUp(now.attempt, 'HELLO_TIMEOUT', world)
    case 'live': {
      const attempt = world.nowMs - now.sinceMs >= STEADY_MS ? 0 : now.attempt
      if (event.type === 'failed') return redial(attempt, event, world)
      if (event.type === 'heard') return { next: { ...now, heardAtMs: world.nowMs }, effects: [] }
      if (event.type === 'idled') {
        // Shows that this is no connection that was left behind: the relay tells the other process of this one.
        return { next: { ...now, pingAtMs: world.nowMs + IDLED_PING_MS }, effects: [] }
      }
      if (event.type !== 'tick') return stay
      if (world.nowMs - now.heardAtMs >= silenceMsMax(world)) return hangUp(attempt, 'RELAY_UNREACHABLE', world)
      if (world.nowMs < now.pingAtMs) return stay
      return { next: { ...now, pingAtMs: world.nowMs + pingEveryMs(world) }, effects: [{ type: 'ping' }] }
    }
  }
}

/** When a tick is due next. */
export function nextTickMs(uplink: Uplink, world: Pick<UplinkWorld, 'pace'> = {}): number {
  switch (uplink.state) {
    case 'waiting':
    case 'refused':
      return uplink.dialAtMs
    case 'greeting':
      return uplink.giveUpAtMs
    case 'live':
      return Math.min(uplink.pingAtMs, uplink.heardAtMs + silenceMsMax(world))
  }
}

const pingEveryMs = ({ pace }: Pick<UplinkWorld, 'pace'>): number => pace?.pingEveryMs ?? PING_EVERY_MS
const silenceMsMax = ({ pace }: Pick<UplinkWorld, 'pace'>): number => pace?.silenceMsMax ?? SILENCE_MS_MAX

const liveFrom = (attempt: number, world: UplinkWorld): Uplink => ({
  state: 'live',
  attempt,
  sinceMs: world.nowMs,
  heardAtMs: world.nowMs,
  pingAtMs: world.nowMs + pingEveryMs(world),
})

function hangUp(attempt: number, reason: FailureCode, world: UplinkWorld): UplinkStep {
  const step = redial(attempt, { reason, retryAfterMs: 0 }, world)
  return { next: step.next, effects: [{ type: 'hangUp', reason }, ...step.effects] }
}

/** Full jitter over a doubling ceiling, never before the relay asked for, and not at all where it cannot help. */
function redial(
  attempt: number,
  failure: { readonly reason: FailureCode; readonly retryAfterMs: number },
  world: UplinkWorld,
): UplinkStep {
  const patience = world.pace?.isPatient === true ? 'normal' : patienceOf(failure.reason)
  if (patience === 'stop') {
    const dialAtMs = world.nowMs + REFUSED_ASK_MS * (0.75 + world.dice / 2)
    return { next: { state: 'refused', attempt: attempt + 1, dialAtMs, reason: failure.reason }, effects: [] }
  }
  // 2^16 s is beyond any ceiling; without the bound a year of failures would overflow.
  const ceiling = Math.min(
    BACKOFF_MS_MAX,
    world.backoffMsMax ?? BACKOFF_MS_MAX,
    BACKOFF_MS_FIRST * 2 ** Math.min(attempt, 16),
  )
  const jittered = world.dice * ceiling
  const asked = Math.min(Math.max(0, failure.retryAfterMs), RETRY_AFTER_MS_MAX)
  const slow = patience === 'slow' ? REFUSED_RETRY_MS * (0.75 + world.dice / 2) : 0
  const dialAtMs = world.nowMs + Math.max(jittered, asked, slow)
  return { next: { state: 'waiting', attempt: attempt + 1, dialAtMs, reason: failure.reason }, effects: [] }
}

/**
 * `stop`: only a new token, key or link can help, unless the relay lied; each try tells it that we are here. `slow`: an
 * owner may put it right at any time. Everything else is weather.
 */
function patienceOf(reason: FailureCode): 'stop' | 'slow' | 'normal' {
  switch (reason) {
    case 'CLAIM_INVALID':
    case 'LOGIN_SIGNATURE':
    case 'NODE_REVOKED':
    case 'TOKEN_EXPIRED':
      return 'stop'
    case 'CLAIM_REQUIRED':
    case 'MESH_NOT_ADMITTED':
    case 'QUOTA_NODES':
    case 'RELAY_WRONG_KEY':
    case 'RELAY_WRONG_PIN':
    case 'TOKEN_INVALID':
    case 'VERSION_MISMATCH':
      return 'slow'
    default:
      return 'normal'
  }
}
