import { choicesOf } from '@sealmesh/protocol/crdt/choices'
import type { Document, Entry } from '@sealmesh/protocol/crdt/document'
import type { Intent } from '@sealmesh/protocol/crdt/writer'
import { Failure } from '@sealmesh/protocol/errors'
import type { BlockHash } from '@sealmesh/protocol/ids'
import type { Waiting } from '@sealmesh/protocol/ipc/acknowledging'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { SIBLINGS_SHOWN_MAX } from '@sealmesh/protocol/limits'
import type { DoorContext } from '../ipc/dispatch.ts'
import type { Handlers } from '../ipc/door.ts'
import { type AcknowledgingContext, checkLevel } from './acknowledging.ts'
import {
  agentName,
  agentNamed,
  DIARY_LAYER,
  originOf,
  resolveUmr,
  type ServiceContext,
  type Target,
} from './context.ts'
import { checkValue, write } from './items.ts'

type Shown = Pick<MethodResult<'conflicts.show'>, 'siblings' | 'more' | 'seen'>

/** What a listing shows of one value: `conflicts.show` has it whole. */
const LISTED_CHARACTERS_MAX = 1_024

/** Registers that were written on two machines without either knowing of the other. */
export function conflictHandlers(
  context: AcknowledgingContext,
): Pick<Handlers, 'conflicts.ls' | 'conflicts.show' | 'conflicts.keep' | 'conflicts.merge'> {
  return {
    'conflicts.ls': async ({ agent, limit }) => {
      const mesh = context.log.mesh
      const owner = agent === undefined ? undefined : agentNamed(mesh, agent).id
      const conflicts: MethodResult<'conflicts.ls'>['conflicts'] = []
      for (const name of context.documents.names()) {
        if (name.layer === DIARY_LAYER || (owner !== undefined && name.agent !== owner)) continue
        const facts = await context.documents.facts(name) // `status` says which are damaged.
        if (facts === undefined || facts.counts.conflicts === 0) continue
        const document = await context.documents.openWhole(name)
        for (const key of document?.conflicted() ?? []) {
          if (document === undefined) continue
          const { siblings, more, seen } = shown(context, document, document.siblings(key))
          const values = siblings.map((each) => ({ ...each, value: excerptOf(each.value) }))
          const umr = `${agentName(mesh, name.agent)}.${name.layer}.${key}`
          conflicts.push({ umr, siblings: siblings.length + more, values, more, seen })
        }
      }
      conflicts.sort((a, b) => (a.umr < b.umr ? -1 : 1))
      return { conflicts: conflicts.slice(0, limit), truncated: conflicts.length > limit }
    },

    'conflicts.show': async ({ umr }) => {
      const { target, document, siblings } = await find(context, umr)
      const view = shown(context, document, siblings)
      return { umr: target.text, conflict: view.siblings.length + view.more > 1, ...view }
    },

    'conflicts.keep': async ({ umr, write: chosen, seen, ...waiting }, client) => {
      const { target, document, siblings } = await find(context, umr)
      const matching = siblings.filter((entry) => chosen !== '' && entry.dot.hash.startsWith(chosen))
      const [entry, ...more] = matching
      if (entry === undefined || more.length > 0)
        throw new Failure('CONFLICT_NOT_FOUND', `${target.text} has no single value whose write begins with that.`, {
          next: `sealmesh conflicts show ${target.text}`,
        })
      const covered = coveredBy(context, target, siblings, seen ?? shown(context, document, siblings).seen)
      if (!covered.includes(entry)) throw changed(target)
      return settle(context, target, document, covered, entry.value, waiting, client)
    },

    'conflicts.merge': async ({ umr, value, seen, ...waiting }, client) => {
      checkValue(value)
      const { target, document, siblings } = await find(context, umr)
      return settle(context, target, document, coveredBy(context, target, siblings, seen), value, waiting, client)
    },
  }
}

async function find(context: ServiceContext, umr: string) {
  const target = resolveUmr(context, umr)
  if (target.umr.region === DIARY_LAYER)
    throw new Failure('DIARY_PRIVATE', 'Of the diary only metadata is shared, and there is nothing to choose in it.')
  const document = await context.documents.open(target.document)
  const siblings = document.siblings(target.umr.id)
  if (siblings.length === 0) throw new Failure('ITEM_NOT_FOUND', `${target.text} is not there.`)
  return { target, document, siblings }
}

/**
 * The latest writes by what they say; `seen` names exactly those, so that whoever hands it back covers no other. This
 * machine's own are always among them: whatever it writes next replaces them.
 */
function shown(context: ServiceContext, document: Document, siblings: readonly Entry[]): Shown {
  const own = siblings.slice(SIBLINGS_SHOWN_MAX).filter(({ author }) => author === context.node)
  const latest = [...siblings.slice(0, Math.max(1, SIBLINGS_SHOWN_MAX - own.length)), ...own]
  const origin = (entry: Entry) => originOf(context.log.mesh, document.name, entry)
  const views = choicesOf(latest).flatMap(({ value, writes: [first, ...also] }, at) =>
    first === undefined
      ? []
      : [{ value: value ?? null, origin: origin(first), also: also.map(origin), winner: at === 0 }],
  )
  const values = new Set(views.map(({ value }) => value))
  const rest = siblings.filter((entry) => !latest.includes(entry) && !values.has(entry.value ?? null))
  return { siblings: views, more: rest.length, seen: latest.map(({ dot }) => dot.hash) }
}

/**
 * The siblings that the caller saw. What other machines wrote meanwhile stays beside the new value. What this machine
 * wrote meanwhile a write of its own would replace without a word, so the caller has to look again.
 */
function coveredBy(
  { node }: ServiceContext,
  target: Target,
  siblings: readonly Entry[],
  seen: readonly string[],
): readonly Entry[] {
  const covered = siblings.filter(({ dot }) => seen.includes(dot.hash))
  const unseen = siblings.filter((entry) => entry.author === node && !covered.includes(entry))
  if (covered.length === 0 || unseen.length > 0) throw changed(target)
  return covered
}

const changed = ({ text }: Target): Failure =>
  new Failure('CONFLICT_CHANGED', `${text} is not what it was when you looked: nothing was written.`, {
    next: `sealmesh conflicts show ${text}`,
  })

async function settle(
  context: AcknowledgingContext,
  target: Target,
  document: Document,
  covered: readonly Entry[],
  value: string | undefined,
  waiting: Waiting,
  client: DoorContext,
): Promise<MethodResult<'conflicts.merge'>> {
  checkLevel(context, target.document, waiting)
  const key = target.umr.id
  const seen = covered.map(({ dot }): BlockHash => dot.hash)
  const replaced = covered.map((entry) => ({
    value: entry.value ?? null,
    origin: originOf(context.log.mesh, document.name, entry),
  }))
  const intent: Intent = value === undefined ? { type: 'delete', key, seen } : { type: 'set', key, value, seen }
  const written = await write(context, target, intent, waiting, client)
  const after = await context.documents.open(target.document)
  return { ...written, replaced, left: choicesOf(after.siblings(key)).length - 1 }
}

const excerptOf = (value: string | null): string | null =>
  value === null || value.length <= LISTED_CHARACTERS_MAX ? value : `${value.slice(0, LISTED_CHARACTERS_MAX)}…`
