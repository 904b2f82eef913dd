import { setTimeout as pause } from 'node:timers/promises'
import { toHex } from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { countMissing, digestOf } from '@sealmesh/protocol/crdt/vector'
import { parseVectorText } from '@sealmesh/protocol/drills/exchange'
import type { DrillFacts, Moved, Phases, RebuiltLayer, RecoveryPoint } from '@sealmesh/protocol/drills/facts'
import { isPointOf } from '@sealmesh/protocol/drills/report'
import { Failure } from '@sealmesh/protocol/errors'
import type { AgentId, BlockHash, NodeId } from '@sealmesh/protocol/ids'
import { livePrekey, readersOf, SINGLE_WRITER_LAYERS } from '@sealmesh/protocol/membership/access'
import { BlockStore } from '../store/block-store.ts'
import { coveredBlocks } from './covered-blocks.ts'
import { DrillPace } from './drill-pace.ts'
import { type DrillRun, PATIENCE } from './drills-deps.ts'
import type { Heard } from './drill-dialogue.ts'
import { foldStored } from './fold.ts'
import { type MovedFacts, NO_PHASES, withGained } from './moving-drill.ts'
import { termOf } from './recovery-point.ts'
import { Sandbox } from './sandbox.ts'

const POLL_MS = 25

interface Layer {
  readonly name: DocumentName
  readonly vector: VersionVector
  readonly receipted: VersionVector
}

/** A dialogue with the holder, for as long as one drill lasts. */
export interface Dialogue {
  readonly drill: string
  ask(): Promise<Heard<'point'>>
  /** Null: it was not heard any more. */
  done(): Promise<Heard<'after'> | null>
  /** Of a drill that moves the agent, once it was rebuilt without fault; null: nothing is to be moved. */
  readonly move: ((point: RecoveryPoint) => Promise<MovedFacts>) | null
}

/**
 * Rebuilds an agent that another node holds, in a sandbox, at a point that the holder names; observes, and judges
 * nothing (docs/spec/14-drills.md).
 */
export async function shadowDrill(
  deps: DrillRun,
  agent: AgentId,
  holder: NodeId,
  dialogue: Dialogue,
): Promise<DrillFacts> {
  const { node, now, monotonicMs, mesh } = deps
  const askedAtMs = now()
  const beganMs = monotonicMs()
  const since = (fromMs: number): number => Math.round(monotonicMs() - fromMs)
  const termBefore = termOf(mesh(), agent)
  const { point, signature, vectors } = await dialogue.ask()
  const answeredAtMs = now()
  const answeredAfterMs = since(beganMs)
  const layers = layersOf(deps, { point, signature, vectors }, { drill: dialogue.drill, agent, holder })

  const pointHereMs = monotonicMs()
  const reached = await comeTo(deps, layers)
  const catchUpMs = since(pointHereMs)

  const pace = new DrillPace(() => deps.store.counts.commits)
  const sandbox = await Sandbox.make(deps.directory, dialogue.drill, deps.openStore, pace)
  let removed = false
  let rebuilt: Rebuilt
  try {
    rebuilt = await rebuild(deps, layers, sandbox, pace, since)
  } finally {
    removed = await sandbox.remove()
  }
  const rehearsed: Phases = {
    ...NO_PHASES,
    catchUpMs,
    activateMs: rebuilt.activateMs,
    firstActMs: rebuilt.firstActMs,
  }
  const isSound = reached && isWhole(point, rebuilt)
  const movedFacts =
    dialogue.move === null ? null : isSound ? await dialogue.move(point) : { moved: notMoved(point), rto: rehearsed }
  const after = (await dialogue.done())?.after ?? null
  if (deps.ending.aborted) throw new Failure('DRILL_FAILED', 'This node was stopped in the middle of it.')
  const withLive: RebuiltLayer[] = []
  for (const [at, layer] of layers.entries()) {
    const each = rebuilt.layers[at]
    if (each !== undefined) withLive.push({ ...each, liveDigest: await liveDigest(deps, layer, pace) })
  }
  const meshNow = mesh()
  const kept = deps.documents.names().filter((name) => name.agent === agent)
  const named = [...point.layers, ...kept].map(({ layer }) => layer)
  const readable = [...new Set([...named, ...SINGLE_WRITER_LAYERS])].filter((layer) =>
    readersOf(meshNow, agent, layer).includes(node),
  )
  const untilMs = (of: NodeId): number | null => {
    const known = meshNow.nodes.get(of)
    return (known && livePrekey(known, now())?.expiresMs) ?? null
  }
  return {
    point,
    pointSignature: signature,
    reached,
    readable: readable.toSorted(),
    kept: kept.map(({ layer }) => layer).toSorted(),
    layers: withLive,
    diaryContents: rebuilt.diaryContents,
    prekeys: { standbyUntilMs: untilMs(node), holderUntilMs: untilMs(holder) },
    clock: { askedAtMs, answeredAtMs, answeredAfterMs, endedAtMs: now(), endedAfterMs: since(beganMs) },
    termBefore,
    termAfter: termOf(meshNow, agent),
    holderAfter: after,
    moved: movedFacts === null ? null : withGained(movedFacts.moved, after),
    rto: movedFacts?.rto ?? rehearsed,
    sandboxRemoved: removed,
  }
}

/** What would be red anyway is not tried with the real thing. */
const isWhole = ({ layers }: RecoveryPoint, { layers: rebuilt, diaryContents }: Rebuilt): boolean =>
  diaryContents === 0 &&
  layers.every(({ layer, digest }) => rebuilt.find((each) => each.layer === layer)?.digest === digest) &&
  rebuilt.every(({ missing, badSignatures }) => missing === 0 && badSignatures === 0)

const notMoved = ({ holder }: RecoveryPoint): Moved => ({
  there: null,
  back: null,
  heldBy: holder,
  stopped: 'the rehearsal before it was red, so nothing was moved',
})

/** What the holder said is what it signed, and about this drill. */
function layersOf(
  { node, mesh, sodium }: DrillRun,
  { point, signature, vectors }: Pick<Heard<'point'>, 'point' | 'signature' | 'vectors'>,
  asked: { readonly drill: string; readonly agent: AgentId; readonly holder: NodeId },
): Layer[] {
  const { id, nodes } = mesh()
  const signKey = nodes.get(asked.holder)?.signKey
  const isOurs =
    point.drill === asked.drill &&
    point.mesh === id &&
    point.agent === asked.agent &&
    point.holder === asked.holder &&
    point.standby === node
  if (!isOurs || signKey === undefined || !isPointOf(point, signature, signKey, sodium)) throw notSigned()
  return point.layers.map(({ layer, vector: digest }, at) => {
    const vector = parseVectorText(vectors[at]?.vector ?? '')
    const receipted = parseVectorText(vectors[at]?.receipted ?? '')
    if (vector === undefined || receipted === undefined || toHex(digestOf(vector, sodium)) !== digest) throw notSigned()
    return { name: { agent: asked.agent, layer }, vector, receipted }
  })
}

/** Whether all of it has come, in time. What the holder wrote last may be on its way. */
async function comeTo({ documents, monotonicMs, askAgain, patience }: DrillRun, layers: readonly Layer[]) {
  const { reachMs } = { ...PATIENCE, ...patience }
  const untilMs = monotonicMs() + reachMs
  let open = [...layers]
  for (let asked = false; ; asked = true) {
    const behind: Layer[] = []
    for (const each of open) if (countMissing(await documents.vectorOf(each.name), each.vector) > 0) behind.push(each)
    if (behind.length === 0) return true
    if (monotonicMs() >= untilMs) return false
    if (!asked) askAgain()
    open = behind
    await pause(POLL_MS)
  }
}

interface Rebuilt {
  readonly layers: readonly RebuiltLayer[]
  readonly diaryContents: number
  readonly activateMs: number
  readonly firstActMs: number
}

async function rebuild(
  deps: DrillRun,
  layers: readonly Layer[],
  sandbox: Sandbox,
  pace: DrillPace,
  since: (fromMs: number) => number,
): Promise<Rebuilt> {
  const { store, sodium, mesh, now, monotonicMs } = deps
  const blocks = new BlockStore(store)
  const fromMs = monotonicMs()
  const restedMs = pace.restedMs
  const rebuilt: RebuiltLayer[] = []
  let diaryContents = 0
  for (const { name, vector, receipted } of layers) {
    const live = await coveredBlocks({ store, blocks, sodium, pace }, name, vector, receipted)
    await sandbox.fill(store, documentIdOf(name, sodium), live.entries)
    const covered = await coveredBlocks(sandbox.around(sodium), name, vector, receipted)
    const { digest, badSignatures, diaryContents: contents } = await sandbox.rebuild(name, mesh(), now(), sodium)
    diaryContents += contents
    rebuilt.push({
      layer: name.layer,
      blocks: covered.blocks,
      missing: covered.missing,
      missingAcknowledged: covered.missingAcknowledged,
      badSignatures,
      digest,
      liveDigest: null,
    })
  }
  const activateMs = Math.max(0, since(fromMs) - Math.round(pace.restedMs - restedMs))
  const actMs = monotonicMs()
  await sandbox.act()
  return { layers: rebuilt, diaryContents, activateMs, firstActMs: since(actMs) }
}

/** What the live store says at the same point, now that all is over. */
async function liveDigest(deps: DrillRun, { name, vector, receipted }: Layer, pace: DrillPace): Promise<string | null> {
  const { store, closed, sodium, mesh, now } = deps
  const blocks = new BlockStore(store)
  const { hashes }: { hashes: ReadonlySet<BlockHash> } = await coveredBlocks(
    { store, blocks, sodium, pace },
    name,
    vector,
    receipted,
  )
  const document = await foldStored({ blocks, closed, sodium, pace }, name, mesh(), now(), hashes)
  return document === undefined ? null : toHex(document.digest())
}

const notSigned = (): Failure =>
  new Failure('DRILL_FAILED', 'The recovery point that came is not what the holder signed for this drill.')
