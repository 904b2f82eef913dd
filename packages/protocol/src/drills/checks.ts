import { SINGLE_WRITER_LAYERS } from '../membership/access.ts'
import type { DrillFacts, DrillKind, DrillTargets, HolderAfter, TermFact } from './facts.ts'

/** What a drill has to show, each as a function of what was observed: who reads a report works it out again. */

export const CHECKS = [
  'point reached',
  'nothing acknowledged is missing',
  'signatures',
  'digests',
  'layers',
  'diary',
  'clocks',
  'prekeys',
  'right to act',
  'live state unchanged',
  'live writes',
  'clean-up',
  'recovery time',
  'recovery point',
] as const

export interface Check {
  readonly name: (typeof CHECKS)[number]
  readonly ok: boolean
  readonly target: string
  readonly actual: string
}

/** Two machines that ask one time server agree far better; blocks tolerate minutes (03-blocks §7). */
const CLOCK_APART_MS = 30_000
/** One clock against itself, while it is being set a little. */
const CLOCK_DRIFT_MS = 2_000
const DRIFT = 0.01
/** Fewer writes say nothing about their median. */
const WRITES_MIN = 30
const LATENCY_TIMES = 1.25
/** Below this a quarter more is what a disk does by itself. */
const LATENCY_US = 1_000

export function checksOf(kind: DrillKind, facts: DrillFacts, targets: DrillTargets): Check[] {
  return [
    reached(facts),
    acknowledged(facts),
    signatures(facts),
    digests(facts),
    layers(facts),
    diary(facts),
    clocks(facts),
    prekeys(facts),
    right(kind, facts),
    unchanged(facts),
    latency(kind, facts),
    {
      name: 'clean-up',
      ok: facts.sandboxRemoved,
      target: 'nothing left',
      actual: facts.sandboxRemoved ? 'nothing left' : 'something left',
    },
    time(kind, facts, targets),
    point(facts, targets),
  ]
}

/** From the moment at which somebody noticed to the first act; only what was rehearsed counts. */
export const totalOf = ({ rto }: Pick<DrillFacts, 'rto'>): number =>
  Object.values(rto).reduce<number>((sum, ms) => sum + (ms ?? 0), 0)

export const unacknowledgedOf = ({ point: { layers: all } }: DrillFacts): number =>
  sum(all.map((each) => each.unacknowledged))

/** Acknowledged, and not there. */
export const missingOf = ({ layers: all, moved }: Pick<DrillFacts, 'layers' | 'moved'>): number =>
  sum(all.map((each) => each.missingAcknowledged)) + (moved?.there?.missing ?? 0)

function reached(facts: DrillFacts): Check {
  const missing = sum(facts.layers.map((each) => each.missing))
  return {
    name: 'point reached',
    ok: facts.reached && missing === 0,
    target: 'every block of the recovery point',
    actual: missing === 0 ? (facts.reached ? 'all there' : 'not in time') : `${missing} missing`,
  }
}

function acknowledged({ layers: all, moved }: DrillFacts): Check {
  const missing = missingOf({ layers: all, moved })
  return { name: 'nothing acknowledged is missing', ok: missing === 0, target: '0', actual: String(missing) }
}

function signatures({ layers: all }: DrillFacts): Check {
  const bad = sum(all.map((each) => each.badSignatures))
  const blocks = sum(all.map((each) => each.blocks))
  return { name: 'signatures', ok: bad === 0, target: 'all hold', actual: `${blocks} checked, ${bad} did not hold` }
}

/** A document that is empty at both has no row at the standby. */
function digests({ point: { layers: all }, layers: rebuilt }: DrillFacts): Check {
  const differ = all.filter(({ layer, digest }) => rebuilt.find((each) => each.layer === layer)?.digest !== digest)
  return {
    name: 'digests',
    ok: differ.length === 0,
    target: `${all.length} equal to the holder's`,
    actual: differ.length === 0 ? `${all.length} equal` : `${namesOf(differ)} differ`,
  }
}

/**
 * Both logs and the disk have to say the same of what the standby may have. Layers with one writer have to be among it:
 * without them it may not take the agent over by itself (12-failover.md, rule 7).
 */
function layers({ point: { layers: all, notGranted }, readable, kept, layers: rebuilt }: DrillFacts): Check {
  const granted = new Set(all.map(({ layer }) => layer))
  const may = new Set(readable)
  const wrong = [
    ...all.filter(({ layer }) => !may.has(layer)).map(({ layer }) => `${layer} is granted by the holder's log only`),
    ...readable
      .filter((layer) => !granted.has(layer) && kept.includes(layer))
      .map((layer) => `${layer} is granted here only`),
    ...kept.filter((layer) => !may.has(layer)).map((layer) => `${layer} is here without a grant`),
    ...rebuilt.filter(({ layer }) => !granted.has(layer)).map(({ layer }) => `${layer} was rebuilt without a grant`),
    ...[...SINGLE_WRITER_LAYERS]
      .filter((layer) => !may.has(layer))
      .map((layer) => `${layer}, which a holder needs, is not shared with it`),
  ]
  const absent = notGranted.named.length + notGranted.others
  return {
    name: 'layers',
    ok: wrong.length === 0,
    target: 'what is granted, and nothing else',
    actual: wrong.length === 0 ? `${granted.size} granted, ${absent} not granted and absent` : wrong.join('; '),
  }
}

const diary = ({ diaryContents }: DrillFacts): Check => ({
  name: 'diary',
  ok: diaryContents === 0,
  target: 'no content',
  actual: diaryContents === 0 ? 'no content' : `${diaryContents} entries with content`,
})

/** A clock that lies makes every time of this report worthless. */
function clocks({ clock, point: { atMs } }: DrillFacts): Check {
  const off = (wallMs: number, elapsedMs: number): number =>
    Math.max(0, Math.abs(wallMs - elapsedMs) - CLOCK_DRIFT_MS - elapsedMs * DRIFT)
  const jumped = Math.max(
    off(clock.answeredAtMs - clock.askedAtMs, clock.answeredAfterMs),
    off(clock.endedAtMs - clock.askedAtMs, clock.endedAfterMs),
  )
  const apart = Math.max(0, clock.askedAtMs - atMs, atMs - clock.answeredAtMs)
  const ok = jumped === 0 && apart <= CLOCK_APART_MS
  return {
    name: 'clocks',
    ok,
    target: `steady, and at most ${CLOCK_APART_MS / 1_000} s apart`,
    actual: jumped > 0 ? `the standby's jumped by ${Math.round(jumped)} ms` : `${apart} ms apart`,
  }
}

/** Nothing can be sealed to a node without one, and until the next drill nobody would notice. */
function prekeys({ prekeys: { standbyUntilMs, holderUntilMs }, clock }: DrillFacts): Check {
  const expired = [
    ...((standbyUntilMs ?? 0) <= clock.endedAtMs ? ['the standby'] : []),
    ...((holderUntilMs ?? 0) <= clock.endedAtMs ? ['the holder'] : []),
  ]
  return {
    name: 'prekeys',
    ok: expired.length === 0,
    target: 'live at both',
    actual: expired.length === 0 ? 'live at both' : `${expired.join(' and ')} cannot be sealed to`,
  }
}

/** It stays where it is, or goes to the standby and comes back, each time under the next term. */
function right(kind: DrillKind, facts: DrillFacts): Check {
  const { point: at, moved, holderAfter, termBefore, termAfter } = facts
  const name = 'right to act'
  if (kind === 'shadow' || moved === null) {
    const ok = kind === 'shadow' && moved === null
    return { name, ok, target: 'not moved', actual: moved === null ? 'not moved' : 'moved' }
  }
  const { there, back, heldBy, stopped } = moved
  const isBack =
    isSameTerm(termBefore, at.term) &&
    there?.term.number === at.term.number + 1 &&
    back?.term.number === at.term.number + 2 &&
    isSameTerm(termAfter, back.term) &&
    heldBy === at.holder
  const mayAct = holderAfter?.may === true && isSameTerm(holderAfter.term, termAfter)
  const place = `${heldBy === at.holder ? 'the holder' : heldBy === at.standby ? 'the standby' : 'another node'} has it`
  const why = stopped ?? (mayAct ? 'the terms are not what they should be' : 'the holder may not act')
  return {
    name,
    ok: isBack && mayAct && stopped === null,
    target: 'to the standby and back',
    actual:
      isBack && mayAct && stopped === null
        ? `terms ${at.term.number}, ${there.term.number} and ${back.term.number}`
        : `${place}, term ${termAfter?.number ?? 'unknown'}: ${why}`,
  }
}

const isSameTerm = (a: TermFact | null, b: TermFact | null): boolean =>
  a?.number === b?.number && a?.record === b?.record

/**
 * What lies at the standby below the point says what it said; and so does each document wherever it was held, where
 * nobody has written since. (Where somebody has, its blocks are still all there.) No term moved but by the drill.
 */
function unchanged(facts: DrillFacts): Check {
  const { point: at, holderAfter, termBefore, termAfter, moved, layers: rebuilt } = facts
  const isTerm = (term: TermFact | null): boolean => moved !== null || isSameTerm(term, at.term)
  const differing = (stands: HolderAfter['layers'], where: string): string[] =>
    at.layers.flatMap(({ layer, blocks, digest }) => {
      const after = stands.find((each) => each.layer === layer)
      const isSame = after !== undefined && (after.blocks === blocks ? after.digest === digest : after.blocks > blocks)
      return isSame ? [] : [`${layer} at the ${where}`]
    })
  const wrong = [
    ...(isTerm(termBefore) && isTerm(termAfter) && (holderAfter === null || isTerm(holderAfter.term))
      ? []
      : ['the term']),
    ...(holderAfter === null ? [] : differing(holderAfter.layers, 'holder')),
    ...(moved?.there === undefined || moved.there === null ? [] : differing(moved.there.layers, 'new holder')),
    ...rebuilt.flatMap(({ layer, digest, liveDigest }) => (digest === liveDigest ? [] : [`${layer} at the standby`])),
  ]
  return {
    name: 'live state unchanged',
    ok: wrong.length === 0 && holderAfter !== null,
    target: moved === null ? 'term, sequence and digests' : 'sequence and digests',
    actual:
      wrong.length > 0
        ? `changed: ${wrong.join(', ')}`
        : holderAfter === null
          ? 'the holder was not heard again'
          : moved === null
            ? `term ${at.term.number}, all as they were`
            : 'all as they were',
  }
}

function latency(kind: DrillKind, { holderAfter }: DrillFacts): Check {
  const target = `at most ${LATENCY_TIMES} times`
  const common = { name: 'live writes', target } as const
  // The others move the agent: of its writes some have to wait.
  if (kind !== 'shadow' || holderAfter === null)
    return { ...common, ok: true, actual: 'not compared: the agent was to be moved' }
  const { latency: each } = holderAfter
  const { beforeUs, duringUs } = each
  if (each.beforeCount < WRITES_MIN || each.duringCount < WRITES_MIN)
    return {
      ...common,
      ok: true,
      actual: `not compared: ${each.beforeCount} writes before, ${each.duringCount} during`,
    }
  const ok = duringUs <= beforeUs * LATENCY_TIMES || duringUs - beforeUs <= LATENCY_US
  return { ...common, ok, actual: `median ${beforeUs} µs before, ${duringUs} µs during` }
}

function time(kind: DrillKind, facts: DrillFacts, { rtoMs }: DrillTargets): Check {
  const total = totalOf(facts)
  const hasRecovered = kind === 'shadow' || (facts.moved?.there ?? null) !== null
  return {
    name: 'recovery time',
    ok: hasRecovered && (rtoMs === null || total <= rtoMs),
    target: rtoMs === null ? 'none set' : `${rtoMs} ms`,
    actual: hasRecovered ? `${total} ms` : 'the standby did not get it',
  }
}

function point(facts: DrillFacts, { rpoMs }: DrillTargets): Check {
  const { atMs, oldestUnacknowledgedMs } = facts.point
  const age = oldestUnacknowledgedMs === null ? 0 : Math.max(0, atMs - oldestUnacknowledgedMs)
  return {
    name: 'recovery point',
    ok: rpoMs === null || age <= rpoMs,
    target: rpoMs === null ? 'none set' : `${rpoMs} ms`,
    actual: `${unacknowledgedOf(facts)} blocks unacknowledged, the oldest for ${age} ms`,
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)
const namesOf = (all: readonly { readonly layer: string }[]): string => all.map(({ layer }) => layer).join(', ')
