import { Durations } from './quantiles.ts'

/** What is told: the last seconds that are over, so that a number means the same whenever it is asked for. */
export const TRAFFIC_SECONDS = 10
const SLOTS = TRAFFIC_SECONDS + 1

interface Flow {
  sent: number
  got: number
}

interface Slot {
  second: number
  readonly flows: Map<string, Flow>
  readonly handed: Durations
  readonly done: Durations
}

export interface TrafficView {
  readonly sentPerSecond: number
  readonly deliveredPerSecond: number
  /** Milliseconds from the inbox to the program, and until it had done with it; null where there was nothing. */
  readonly handedMs: Quantiles
  readonly doneMs: Quantiles
}

export interface Quantiles {
  readonly p50: number | null
  readonly p99: number | null
}

/** Messages of the last seconds, by agent. `nowMs`: milliseconds of a clock that only goes forward. Pure. */
export class Traffic {
  readonly #slots: Slot[] = Array.from({ length: SLOTS }, () => ({
    second: -1,
    flows: new Map<string, Flow>(),
    handed: new Durations(),
    done: new Durations(),
  }))

  sent(agent: string, nowMs: number): void {
    flowOf(this.#slot(nowMs), agent).sent += 1
  }

  /** `tookMs` null: it waited for an agent that was away. */
  handed(agent: string, tookMs: number | null, nowMs: number): void {
    const slot = this.#slot(nowMs)
    flowOf(slot, agent).got += 1
    if (tookMs !== null) slot.handed.add(tookMs)
  }

  done(tookMs: number, nowMs: number): void {
    this.#slot(nowMs).done.add(tookMs)
  }

  view(nowMs: number): TrafficView {
    const slots = this.#past(nowMs)
    const flows = slots.flatMap((slot) => [...slot.flows.values()])
    const handed = new Durations()
    const done = new Durations()
    for (const slot of slots) {
      handed.addAll(slot.handed)
      done.addAll(slot.done)
    }
    return {
      ...perSecond(flows),
      handedMs: { p50: handed.quantile(0.5), p99: handed.quantile(0.99) },
      doneMs: { p50: done.quantile(0.5), p99: done.quantile(0.99) },
    }
  }

  of(agent: string, nowMs: number): Pick<TrafficView, 'sentPerSecond' | 'deliveredPerSecond'> {
    return perSecond(this.#past(nowMs).flatMap(({ flows }) => flows.get(agent) ?? []))
  }

  #past(nowMs: number): Slot[] {
    const now = Math.floor(nowMs / 1_000)
    return this.#slots.filter(({ second }) => second < now && second >= now - TRAFFIC_SECONDS)
  }

  #slot(nowMs: number): Slot {
    const second = Math.floor(nowMs / 1_000)
    const slot = this.#slots[second % SLOTS] as Slot
    if (slot.second !== second) {
      slot.second = second
      slot.flows.clear()
      slot.handed.clear()
      slot.done.clear()
    }
    return slot
  }
}

function flowOf({ flows }: Slot, agent: string): Flow {
  let flow = flows.get(agent)
  if (flow === undefined) flows.set(agent, (flow = { sent: 0, got: 0 }))
  return flow
}

function perSecond(flows: readonly Flow[]): Pick<TrafficView, 'sentPerSecond' | 'deliveredPerSecond'> {
  let [sent, got] = [0, 0]
  for (const flow of flows) {
    sent += flow.sent
    got += flow.got
  }
  return { sentPerSecond: sent / TRAFFIC_SECONDS, deliveredPerSecond: got / TRAFFIC_SECONDS }
}
