import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { isItemId, isName, type NodeId } from '@sealmesh/protocol/ids'
import { AWARENESS_BYTES_MAX } from '@sealmesh/protocol/limits'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { mayHear, mayRead } from '@sealmesh/protocol/sync/recipients'
import { applyAwarenessUpdate, Awareness, encodeAwarenessUpdate, outdatedTimeout } from 'y-protocols/awareness'
import * as Y from 'yjs'
import { z } from 'zod'

/**
 * Who edits which text, here and at peers that may read it (docs/spec/08-sync.md §5): states of y-protocols'
 * awareness, in memory only. A state that is not renewed ends after 30 seconds; editors here are renewed every 15.
 *
 * 1. What a peer says is kept apart from what all others say, and must name that peer: nobody speaks for another.
 * 2. It is shown while its sender may write or read the document, and we may read it, as the log has it at that moment.
 */
export class Presence {
  readonly #deps: PresenceDeps
  /** By document: the states of the editors here. */
  readonly #local = new Map<string, Local>()
  /** By sender, then by document. */
  readonly #remote = new Map<NodeId, Map<string, Remote>>()
  readonly #editors = new Set<Awareness>()
  #closed = false

  constructor(deps: PresenceDeps) {
    this.#deps = deps
  }

  /**
   * Says that somebody here edits a text, until `end` is called. `move` tells of the cursor. Undefined when so many
   * edit that nobody is told of one more: that stops no edit.
   */
  begin(document: DocumentName, text: string, agent: string | null): LocalEditor | undefined {
    if (this.#editors.size >= EDITORS_MAX) return undefined
    const local = this.#localOf(document)
    const own = new Awareness(new Y.Doc())
    own.setLocalState(null)
    this.#editors.add(own)
    own.on('update', () => {
      applyAwarenessUpdate(local.states, encodeAwarenessUpdate(own, [own.clientID]), 'here')
      this.#tell(local, own.clientID)
    })
    const say = (cursor: Cursor | null): void =>
      own.setLocalState({ agent, node: this.#deps.node, text, cursor } satisfies z.infer<typeof State>)
    say(null)
    return {
      move: say,
      end: () => {
        if (!this.#editors.delete(own)) return
        own.destroy()
        this.#forgetIfIdle(local)
      },
    }
  }

  /** A peer's word. Whatever does not hold is dropped without a trace: it is news, and there will be other news. */
  heard(from: NodeId, document: DocumentName, update: Uint8Array): void {
    const mesh = this.#deps.mesh()
    if (!mayHear(mesh, document, from) || !mayRead(mesh, document, this.#deps.node)) return
    let documents = this.#remote.get(from)
    if (documents === undefined) this.#remote.set(from, (documents = new Map<string, Remote>()))
    const key = keyOf(document)
    let remote = documents.get(key)
    if (remote === undefined) {
      if (documents.size >= DOCUMENTS_MAX) dropSilent(documents)
      if (documents.size >= DOCUMENTS_MAX) return
      remote = { document, states: emptyAwareness() }
      documents.set(key, remote)
    }
    const { states } = remote
    try {
      applyAwarenessUpdate(states, update, from)
    } catch {
      // Not an awareness update: what was understood of it is checked below like the rest.
    }
    for (const [client, state] of states.getStates()) {
      const said = State.safeParse(state)
      if (!said.success || said.data.node !== from) states.getStates().delete(client) // Invariant 1.
    }
    // Clocks of editors that are gone add up, and so do those that a peer invents.
    if (states.getStates().size === 0 || states.meta.size > CLIENTS_MAX) {
      states.destroy()
      documents.delete(key)
      if (documents.size === 0) this.#remote.delete(from)
    }
  }

  /** Who edits, by document and text. */
  editing(): Editing[] {
    const mesh = this.#deps.mesh()
    const all: Editing[] = []
    for (const { document, states } of this.#local.values())
      for (const said of statesOf(states)) all.push({ document, ...said, here: true })
    for (const [from, documents] of this.#remote)
      for (const { document, states } of documents.values()) {
        if (!mayHear(mesh, document, from) || !mayRead(mesh, document, this.#deps.node)) continue // Invariant 2.
        for (const said of statesOf(states)) {
          // The timer that drops silent ones is late when the machine slept.
          if (this.#deps.wallMs() - said.atMs < outdatedTimeout) all.push({ document, ...said, here: false })
        }
      }
    return all
  }

  /** Without a last word: the link may be gone already, and silence says the same a little later. */
  close(): void {
    this.#closed = true
    for (const own of this.#editors) own.destroy()
    this.#editors.clear()
    for (const local of this.#local.values()) {
      clearTimeout(local.due)
      local.states.destroy()
    }
    for (const documents of this.#remote.values()) for (const { states } of documents.values()) states.destroy()
    this.#local.clear()
    this.#remote.clear()
  }

  #localOf(document: DocumentName): Local {
    const key = keyOf(document)
    let local = this.#local.get(key)
    if (local === undefined) {
      local = { document, states: emptyAwareness(), changed: new Set(), toldAtMs: Number.NEGATIVE_INFINITY }
      this.#local.set(key, local)
    }
    return local
  }

  /** At once, and then at most twice a second for each document: a cursor that moves is not worth a packet a key. */
  #tell(local: Local, client: number): void {
    if (this.#closed) return
    local.changed.add(client)
    if (local.due !== undefined) return
    const waitMs = local.toldAtMs + APART_MS - this.#deps.monotonicMs()
    if (waitMs <= 0) return this.#send(local)
    local.due = setTimeout(() => this.#send(local), waitMs)
    local.due.unref()
  }

  #send(local: Local): void {
    local.due = undefined
    local.toldAtMs = this.#deps.monotonicMs()
    const changed = [...local.changed]
    local.changed.clear()
    for (let at = 0; at < changed.length; at += STATES_AT_ONCE) {
      const update = encodeAwarenessUpdate(local.states, changed.slice(at, at + STATES_AT_ONCE))
      if (update.length <= AWARENESS_BYTES_MAX) this.#deps.tell(local.document, update)
    }
    this.#forgetIfIdle(local)
  }

  #forgetIfIdle(local: Local): void {
    if (local.states.getStates().size > 0 || local.due !== undefined || local.changed.size > 0) return
    local.states.destroy()
    this.#local.delete(keyOf(local.document))
  }
}

/** How long a packet about an editor may wait in a mailbox: no longer than what it says holds. */
export const AWARENESS_LIFE_MS = outdatedTimeout

const APART_MS = 500
/** Editors of one node at a time, and states of one update: at 200 B they fit AWARENESS_BYTES_MAX. */
const EDITORS_MAX = 64
const STATES_AT_ONCE = 5
/** Documents that one peer edits at a time. */
const DOCUMENTS_MAX = 64
/** Editors of one document at one peer, those that left included. */
const CLIENTS_MAX = 256

const Cursor = z.object({ anchor: z.int().nonnegative(), head: z.int().nonnegative() })
export type Cursor = z.infer<typeof Cursor>
const State = z.object({
  agent: z.string().refine(isName).nullable(),
  node: z.string().length(64),
  text: z.string().refine(isItemId),
  cursor: Cursor.nullable(),
})

export interface LocalEditor {
  move(cursor: Cursor | null): void
  end(): void
}

export interface Editing {
  readonly document: DocumentName
  readonly text: string
  readonly agent: string | null
  readonly node: NodeId
  readonly cursor: Cursor | null
  readonly here: boolean
  /** When it was last said. */
  readonly atMs: number
}

export interface PresenceDeps {
  readonly node: NodeId
  readonly mesh: () => Mesh
  readonly monotonicMs: () => number
  readonly wallMs: () => number
  /** To every peer that may read the document. */
  readonly tell: (document: DocumentName, update: Uint8Array) => void
}

interface Remote {
  readonly document: DocumentName
  readonly states: Awareness
}

interface Local extends Remote {
  readonly changed: Set<number>
  toldAtMs: number
  due?: NodeJS.Timeout | undefined
}

function emptyAwareness(): Awareness {
  const states = new Awareness(new Y.Doc())
  states.setLocalState(null)
  return states
}

/** Of documents whose editors fell silent. */
function dropSilent(documents: Map<string, Remote>): void {
  for (const [key, { states }] of documents) {
    if (states.getStates().size > 0) continue
    states.destroy()
    documents.delete(key)
  }
}

function* statesOf(states: Awareness): Generator<Pick<Editing, 'agent' | 'node' | 'text' | 'cursor' | 'atMs'>> {
  for (const [client, state] of states.getStates()) {
    const said = State.safeParse(state)
    const atMs = states.meta.get(client)?.lastUpdated
    if (said.success && atMs !== undefined) yield { ...said.data, node: said.data.node as NodeId, atMs }
  }
}

const keyOf = ({ agent, layer }: DocumentName): string => `${agent}.${layer}`
