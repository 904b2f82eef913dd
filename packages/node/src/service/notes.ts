import type { Block } from '@sealmesh/protocol/crdt/block'
import { choicesOf } from '@sealmesh/protocol/crdt/choices'
import type { Document } from '@sealmesh/protocol/crdt/document'
import { BLOCK_AHEAD_MS_MAX } from '@sealmesh/protocol/limits'
import { isSingleWriter } from '@sealmesh/protocol/membership/access'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { blocks } from '../status/standing.ts'
import { agentName, iso, nodeName, type ServiceContext } from './context.ts'
import type { Refusals } from '../events/refusals.ts'
import type { Compaction } from '../documents/compaction.ts'
import type { MergedLate } from './merged-late.ts'
import { openAside } from './open-aside.ts'

export type Note = MethodResult<'why'>['layers'][number]['notes'][number]

export interface NoteSources {
  readonly mergedLate: Pick<MergedLate, 'has'>
  readonly refusals: Pick<Refusals, 'of' | 'baseOf'>
  readonly compaction: Pick<Compaction, 'isWaiting'>
  readonly health: { readonly facts: { readonly rolledBack: unknown; readonly copied: unknown } }
}

type Context = Pick<ServiceContext, 'log' | 'node' | 'now'> & NoteSources

/**
 * What is the matter with a document on this machine itself, each with its next step. `item`: with that alone.
 * `lagging`: machines that lack something of it.
 */
export function notesOn(
  context: Context,
  document: Document,
  item: string | undefined,
  lagging: readonly string[] = [],
): Note[] {
  return [
    ...conflictNotes(context, document, item),
    ...asideNotes(context, document, item),
    ...heldNotes(context, document),
    ...refusedNotes(context, document),
    ...baseNotes(context, document),
    ...compactionNotes(context, document, lagging),
    ...termNotes(context, document),
    ...homeNotes(context),
  ]
}

function refusedNotes({ log, refusals }: Context, { name }: Document): Note[] {
  return refusals.of(name).map(({ from, blocks: count }) => ({
    code: 'refused',
    text: `${blocks(count)} that ${nodeName(log.mesh, from)} sent are not kept: their author never had a right to write here, or did not sign them`,
    next: `sealmesh share ls ${agentName(log.mesh, name.agent)}`,
  }))
}

function baseNotes({ log, refusals }: Context, { name }: Document): Note[] {
  const code = refusals.baseOf(name)
  if (code === undefined) return []
  if (code === 'LEFT_OUT_FULL') {
    const full = 'what a peer keeps of its history was not taken: more would be kept apart, and there is much already'
    return [{ code: 'base-refused', text: `${full} (${code})`, next: 'sealmesh late ls' }]
  }
  const text = `what a peer keeps of its history was not taken, since it could not be told from one that leaves something out (${code})`
  return [{ code: 'base-refused', text, next: `sealmesh share ls ${agentName(log.mesh, name.agent)}` }]
}

/** Why its history grows: only what everybody has, and nobody has signed twice, may go. */
function compactionNotes({ log, compaction }: Context, document: Document, lagging: readonly string[]): Note[] {
  if (!compaction.isWaiting(document.name)) return []
  const code = 'not-compacted'
  const forked = [...new Set(document.forks().map(({ author }) => nodeName(log.mesh, author)))]
  if (forked.length > 0)
    return [
      {
        code,
        text: `what ${forked.join(', ')} wrote is kept whole for ever, since two of its blocks stand in one place`,
        next: 'sealmesh status',
      },
    ]
  if (lagging.length > 0)
    return [
      { code, text: `its history is kept whole until ${lagging.join(', ')} has all of it`, next: 'sealmesh status' },
    ]
  if (document.held > 0)
    return [{ code, text: 'its history is kept whole while parts of it wait for others', next: null }]
  return [
    { code, text: 'its history is kept whole as long as it is young, and while others read or write it', next: null },
  ]
}

function homeNotes({ health }: Context): Note[] {
  const notes: Note[] = []
  if (health.facts.rolledBack !== null) {
    const text = 'this home holds less than it once did, and what it had written is being learnt again'
    notes.push({ code: 'rolled-back', text, next: 'sealmesh status' })
  }
  if (health.facts.copied !== null)
    notes.push({ code: 'copied', text: 'another process uses the keys of this home', next: 'sealmesh status' })
  return notes
}

function conflictNotes(context: Context, document: Document, item: string | undefined): Note[] {
  const agent = agentName(context.log.mesh, document.name.agent)
  if (item === undefined) {
    const { conflicts } = document.counts()
    if (conflicts === 0) return []
    const text = `${conflicts} register${conflicts === 1 ? ' holds' : 's hold'} values that were written at the same time`
    return [{ code: 'conflict', text, next: `sealmesh conflicts ls ${agent}` }]
  }
  const values = choicesOf(document.siblings(item)).length
  if (values < 2) return []
  const text = `${values} values were written at the same time; every machine shows the same one until somebody chooses`
  return [{ code: 'conflict', text, next: `sealmesh conflicts show ${agent}.${document.name.layer}.${item}` }]
}

const ASIDE: Readonly<Record<string, { text: string; next: (agent: string) => string | null }>> = {
  LATE: {
    text: 'written under a term that had ended: kept apart until somebody merges it',
    next: (agent) => `sealmesh late ls ${agent}`,
  },
  NOT_A_WRITER: { text: 'by a machine that may not write here', next: (agent) => `sealmesh share ls ${agent}` },
  BEYOND_CUT: {
    text: "written after the writer's right had ended, or not seen before that by who ended it",
    next: (agent) => `sealmesh late ls ${agent}`,
  },
  WRONG_TERM: { text: 'by a machine that did not hold the agent', next: (agent) => `sealmesh late ls ${agent}` },
  UNKNOWN_AUTHOR: { text: 'by a machine that this mesh does not know', next: (agent) => `sealmesh late ls ${agent}` },
}

function asideNotes(context: Context, document: Document, item: string | undefined): Note[] {
  const byReason = new Map<string, Block[]>()
  for (const { block, reason } of openAside(document, context.mergedLate)) {
    if (item !== undefined && !touches(block, item)) continue
    byReason.set(reason, [...(byReason.get(reason) ?? []), block])
  }
  const { mesh } = context.log
  const agent = agentName(mesh, document.name.agent)
  return [...byReason].map(([reason, aside]) => {
    const by = [...new Set(aside.map(({ header }) => nodeName(mesh, header.author)))].join(', ')
    const known = ASIDE[reason] ?? {
      text: 'an edit of a text that cannot be placed without what was set aside',
      next: () => `sealmesh late ls ${agent}`,
    }
    const code = reason === 'LATE' ? 'late' : 'set-aside'
    return { code, text: `${blocks(aside.length)} from ${by} do not count: ${known.text}`, next: known.next(agent) }
  })
}

/** An edit of a text does not say which: it may be this one. */
const touches = ({ writes }: Block, item: string): boolean =>
  writes.some((write) => write.type === 'text' || write.key === item)

function heldNotes(context: Context, document: Document): Note[] {
  const { mesh } = context.log
  const notes: Note[] = []
  for (const { header } of document.heldFrom()) {
    const from = nodeName(mesh, header.author)
    if (header.logHeads.some((head) => !mesh.records.has(head))) {
      const text = `what ${from} wrote names records of the mesh that have not arrived; they are asked for`
      notes.push({ code: 'held-records', text, next: null })
    } else if (header.time.wallMs > context.now() + BLOCK_AHEAD_MS_MAX) {
      const due = iso(header.time.wallMs - BLOCK_AHEAD_MS_MAX)
      const text = `what ${from} wrote is dated ${iso(header.time.wallMs)}, ahead of the clock here: it counts from ${due}`
      notes.push({ code: 'held-clock', text, next: `set the clock of ${from}, or of this machine` })
    }
  }
  if (document.held > 0 && notes.length === 0)
    notes.push({
      code: 'held-text',
      text: `${blocks(document.held)} wait for edits that they build on, which have not arrived`,
      next: null,
    })
  if (document.early > 0)
    notes.push({
      code: 'waiting',
      text: `${blocks(document.early)} came before what they follow; that is asked for`,
      next: null,
    })
  return notes
}

function termNotes(context: Context, { name }: Document): Note[] {
  const { mesh } = context.log
  const agent = mesh.agents.get(name.agent)
  if (agent === undefined || !isSingleWriter(name.layer) || agent.term?.holder === context.node) return []
  const holder = agent.term === null ? 'nobody' : nodeName(mesh, agent.term.holder)
  const text = `${name.layer} has one writer, and that is ${holder} now`
  return [{ code: 'not-the-holder', text, next: `sealmesh takeover ${agent.name}` }]
}
