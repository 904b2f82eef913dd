import { z } from 'zod'
import { LATE_BLOCKS_MAX } from '../limits.ts'
import { Acknowledging, DurabilityStatus, Waiting } from './acknowledging.ts'
import { agentDoorMethods } from './agent-door-methods.ts'
import { drillMethods, DrillStatus } from './drill-methods.ts'
import { events } from './events.ts'
import { failoverMethods, takeoverParams } from './failover-methods.ts'
import { Finding } from './findings.ts'
import { folderMethods } from './folder-methods.ts'
import { history } from './history.ts'
import { knowing } from './knowing.ts'
import { machines } from './machines.ts'
import { quarantineMethods } from './quarantine-methods.ts'
import { DirectStatus, relayMethods, RelayStatus } from './relay-methods.ts'
import { scrubMethods } from './scrub-methods.ts'
import { snapshotMethods } from './snapshot-methods.ts'
import { Iso, Json, Name, Nothing, Origin, Umr, WholeText } from './shapes.ts'

export {
  type NodeEvent,
  type NodeEventType,
  type Notification,
  type NotificationName,
  notifications,
} from './events.ts'

/**
 * Every method of the local socket: what it takes and what it gives. The door checks parameters with these, the CLI
 * takes its types from them, and both refuse what is not here (docs/spec/06-local-socket.md).
 */

/** Writes of a register that the caller has looked at; every other one is left as it is. */
const Seen = z
  .array(z.string().regex(/^[0-9a-f]{64}$/))
  .min(1)
  .max(256)

const RegisterView = z.object({
  umr: Umr,
  type: z.literal('register'),
  value: Json,
  origin: Origin,
  /** Other values that no clock orders against this one. */
  conflicts: z.number().int(),
})
const TextView = z.object({ umr: Umr, type: z.literal('text'), text: z.string() })
/** Diary content never leaves its node; elsewhere only this much is known. */
const DiaryView = z.object({
  umr: Umr,
  type: z.literal('diary'),
  content: z.string().nullable(),
  at: Iso,
  characters: z.number().int(),
  tags: z.array(z.string()),
})
export const ItemView = z.discriminatedUnion('type', [RegisterView, TextView, DiaryView])
export type ItemView = z.infer<typeof ItemView>

const ListedItem = z.object({
  umr: Umr,
  type: z.enum(['register', 'text', 'diary']),
  bytes: z.number().int(),
  at: Iso.nullable(),
  nodeName: z.string().nullable(),
  conflicts: z.number().int(),
})

const PeerStatus = z.object({
  node: z.string(),
  name: z.string(),
  /** `in sync`: its last receipt covers everything we hold for it, and ours everything that it named. */
  state: z.enum(['in sync', 'sending', 'receiving', 'unreachable', 'removed', 'never heard']),
  /** Blocks that it has not receipted. */
  toSend: z.number().int(),
  /** Blocks that it named and we have not got; null when it has named nothing yet. */
  toReceive: z.number().int().nullable(),
  /** When it was last heard, in this run or an earlier one. */
  lastHeardAt: Iso.nullable(),
  /** Documents of which it lacks something. */
  documentsBehind: z.number().int(),
  /** When the oldest block was written that it has not receipted, and how long ago that is. */
  oldestUnsentAt: Iso.nullable(),
  lagSeconds: z.number().int().nullable(),
  /** Why the relay refused the last packet for it. */
  refused: z.string().nullable(),
})

const LayerStatus = z.object({
  layer: z.string(),
  registers: z.number().int(),
  texts: z.number().int(),
  conflicts: z.number().int(),
  /** Late blocks that nobody has merged. */
  late: z.number().int(),
  /** Late blocks that were merged by choice. */
  merged: z.number().int(),
  /** Received, and counting later: a clock that is ahead, records or blocks that have not come. */
  held: z.number().int(),
  setAside: z.number().int(),
  blocks: z.number().int(),
  /** Refused until it is whole again: its counts are not known. */
  damaged: z.boolean(),
})

const AgentStatus = z.object({
  agent: z.string(),
  name: z.string(),
  hosts: z.array(z.string()),
  holder: z.string().nullable(),
  term: z.number().int(),
  holdsHere: z.boolean(),
  durability: DurabilityStatus,
  layers: z.array(LayerStatus),
})

const Cursor = z.object({ anchor: z.int().min(0), head: z.int().min(0) })
const Editor = z.object({
  umr: Umr,
  /** Null for a person, or a program that gave no name. */
  agent: z.string().nullable(),
  nodeName: z.string(),
  here: z.boolean(),
  cursor: Cursor.nullable(),
  /** When that was last said; 30 seconds after it the editor counts as gone. */
  at: Iso,
})

const Status = z.object({
  version: z.string(),
  home: z.string(),
  pid: z.number().int(),
  startedAt: Iso,
  node: z.object({ id: z.string(), name: z.string(), incarnation: z.string() }),
  mesh: z.object({ id: z.string(), name: z.string(), nodes: z.number().int(), records: z.number().int() }),
  relays: z.array(
    RelayStatus.extend({
      /** Packets that it has not answered yet. */
      unanswered: z.number().int(),
    }),
  ),
  direct: DirectStatus,
  peers: z.array(PeerStatus),
  agents: z.array(AgentStatus),
  /** `in sync` only when every peer is. */
  summary: z.enum(['in sync', 'syncing', 'alone', 'cut off']),
  warnings: z.array(z.object({ code: z.string(), message: z.string() })),
  findings: z.array(Finding),
  /** Texts that somebody is editing now, here or at a peer. */
  editing: z.array(Editor),
  /** When an image of this home was last left somewhere, and what came of the last try for the vault if it failed. */
  snapshots: z.object({
    vaultAt: Iso.nullable(),
    fileAt: Iso.nullable(),
    failed: z.object({ at: Iso, code: z.string() }).nullable(),
  }),
  /** Of agents that were drilled here, or are to be. */
  drills: z.array(DrillStatus),
})
export type Status = z.infer<typeof Status>

const Written = z.object({ umr: Umr, write: z.string(), at: Iso, ...Acknowledging })
const Settled = z.object({
  ...Written.shape,
  /** What is no longer shown anywhere. */
  replaced: z.array(z.object({ value: Json.nullable(), origin: Origin })),
  /** Values that stand beside the new one: they had not been seen. */
  left: z.number().int(),
})
const GrantView = z.object({
  agent: z.string(),
  layer: z.string(),
  to: z.string(),
  access: z.enum(['read', 'write']),
  record: z.string(),
})
/** One value of a register. `also`: the others who wrote the same. Null: a delete. */
const SiblingView = z.object({
  value: Json.nullable(),
  origin: Origin,
  also: z.array(Origin),
  winner: z.boolean(),
})
const Siblings = {
  /** Of the latest sixteen writes, the winner's value first. */
  siblings: z.array(SiblingView),
  /** Older writes with other values. */
  more: z.number().int(),
  /** The writes that are shown here: for `keep` and `merge`. */
  seen: z.array(z.string()),
}
const AsideView = z.object({
  agent: z.string(),
  layer: z.string(),
  /** `late`: merge it by choice; the others are kept and shown only. */
  reason: z.string(),
  block: z.string(),
  nodeName: z.string(),
  at: Iso,
  term: z.number().int().nullable(),
  /** What it would write: UMR and value (null: a delete), or the UMR and the edit of a text. */
  writes: z.array(z.object({ umr: Umr, type: z.enum(['set', 'delete', 'text']), value: z.string().nullable() })),
})
const PairingView = z.object({
  state: z.enum(['waiting', 'confirm', 'done', 'failed', 'expired', 'none']),
  link: z.string().nullable(),
  /** What a person may say instead, when it was asked for. */
  code: z.string().nullable(),
  expiresAt: Iso.nullable(),
  joinerName: z.string().nullable(),
  /** What both screens must show. */
  words: z.array(z.string()),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
})

/** Says that a layer of a name that is close to another's is meant. */
const NewLayer = z.boolean().optional()
/** `to`: `none`, `standby`, a node or an agent, with `:write` if it may write too, or `:none` to end its grants only. */
const ShareChanges = z.array(z.object({ layer: Name, to: z.string().max(80) })).max(64)
const Right = z.object({ node: z.string(), access: z.enum(['read', 'write']) })
const SharedLayer = z.object({
  layer: Name,
  /** Who else reads it; `write`: and writes. */
  now: z.array(Right),
  gains: z.array(Right),
  /** `read`: it is sent nothing more. `write`: what it writes from then on counts nowhere. */
  loses: z.array(Right.extend({ receipted: z.number().int(), lastHeardAt: Iso.nullable() })),
  registers: z.number().int(),
  texts: z.number().int(),
  /** Of the values and texts. */
  bytes: z.number().int(),
  /** What travels: they also hold what was overwritten or deleted and is not compacted yet. */
  blocks: z.number().int(),
  /** Blocks here that were set aside for want of the right that is gained: they would count again. */
  revives: z.number().int(),
  umrs: z.array(Umr),
})

export const methods = {
  hello: {
    params: z.object({ version: z.number().int() }),
    result: z.object({ version: z.number().int(), node: z.string() }),
  },
  status: { params: Nothing, result: Status },
  down: { params: Nothing, result: Nothing },

  'agents.add': {
    params: z.object({ name: Name, standby: z.array(Name).default([]) }),
    result: z.object({ agent: z.string(), name: Name, hosts: z.array(z.string()) }),
  },
  'agents.ls': { params: Nothing, result: z.object({ agents: z.array(AgentStatus) }) },

  ...agentDoorMethods,

  get: { params: z.object({ umr: Umr }), result: z.object({ item: ItemView.nullable() }) },
  ls: {
    params: z.object({
      prefix: z.string().max(700).default(''),
      limit: z.number().int().min(1).max(100_000).default(10_000),
    }),
    result: z.object({
      items: z.array(ListedItem),
      truncated: z.boolean(),
      /** Documents (`agent.layer`) whose items are not listed, since a part of them is damaged on this disk. */
      damaged: z.array(z.string()),
    }),
  },
  /** With `seen` it replaces those writes and no other; without, the one that `get` would give. */
  set: {
    params: z.object({
      umr: Umr,
      value: Json,
      tags: z.array(z.string()).default([]),
      newLayer: NewLayer,
      seen: Seen.optional(),
      ...Waiting,
    }),
    result: Written,
  },
  /** Many writes, each its own register; answered when all are durable. */
  'set.many': {
    params: z.object({
      writes: z
        .array(z.object({ umr: Umr, value: Json }))
        .min(1)
        .max(1_000),
      /** Leaves out what already reads so here: importing the same again writes nothing. */
      onlyChanged: z.boolean().default(false),
      newLayer: NewLayer,
      ...Waiting,
    }),
    result: z.object({ written: z.number().int(), unchanged: z.number().int(), ...Acknowledging }),
  },
  rm: { params: z.object({ umr: Umr, seen: Seen.optional(), ...Waiting }), result: Written },

  /** One y-protocols sync message in, at most one out, both base64: how an editor or a CLI edits a text. */
  'text.sync': {
    params: z.object({ umr: Umr, message: z.string(), newLayer: NewLayer, ...Waiting }),
    result: z.object({ reply: z.string().nullable(), write: z.string().nullable(), ...Acknowledging }),
  },
  /** Replaces the whole text by the smallest edit from what is there now. */
  'text.put': { params: z.object({ umr: Umr, text: WholeText, newLayer: NewLayer, ...Waiting }), result: Written },

  /**
   * Says that this connection edits a text, until it closes or says `done`. Peers that may read the text are told; it
   * is stored nowhere.
   */
  'text.editing': {
    params: z.object({
      umr: Umr,
      agent: Name.nullable().default(null),
      cursor: Cursor.nullable().default(null),
      done: z.boolean().default(false),
    }),
    result: z.object({ others: z.array(Editor) }),
  },
  'text.who': { params: z.object({ umr: Umr }), result: z.object({ editors: z.array(Editor) }) },

  /** Several assignments are checked together and signed one after another. */
  'share.set': {
    params: z.object({ agent: Name, changes: ShareChanges.min(1), newLayer: NewLayer }),
    result: z.object({
      grants: z.array(GrantView),
      /** Records that were signed; none when all was so already. */
      changed: z.number().int(),
      layers: z.array(SharedLayer),
    }),
  },
  'share.ls': { params: z.object({ agent: Name.optional() }), result: z.object({ grants: z.array(GrantView) }) },
  /** What leaves now, and what the changes would add or stop; of all shared layers when none is named. */
  'share.preview': {
    params: z.object({
      agent: Name,
      changes: ShareChanges.default([]),
      newLayer: NewLayer,
      /** How many names of items to list; the counts are of all. */
      keys: z.number().int().min(0).max(100_000).default(10),
    }),
    result: z.object({
      agent: Name,
      /** Only the holder of the agent can make the changes. */
      holder: z.string().nullable(),
      heldHere: z.boolean(),
      layers: z.array(SharedLayer),
    }),
  },

  ...folderMethods,

  'conflicts.ls': {
    params: z.object({ agent: Name.optional(), limit: z.number().int().min(1).max(10_000).default(1_000) }),
    result: z.object({
      conflicts: z.array(
        z.object({
          umr: Umr,
          /** How many values it has. */
          siblings: z.number().int(),
          /** As `conflicts.show` has them; a value over 1,024 characters is cut short. */
          values: Siblings.siblings,
          more: Siblings.more,
          seen: Siblings.seen,
        }),
      ),
      truncated: z.boolean(),
    }),
  },
  'conflicts.show': {
    params: z.object({ umr: Umr }),
    result: z.object({ umr: Umr, conflict: z.boolean(), ...Siblings }),
  },
  /** Keeps one sibling and replaces the others that were seen; without `seen`, those that `conflicts.show` gives now. */
  'conflicts.keep': {
    params: z.object({ umr: Umr, write: z.string(), seen: Seen.optional(), ...Waiting }),
    result: Settled,
  },
  /** Writes a value in place of all siblings that were seen. */
  'conflicts.merge': { params: z.object({ umr: Umr, value: Json, seen: Seen, ...Waiting }), result: Settled },

  ...knowing,
  ...history,

  'late.ls': { params: z.object({ agent: Name.optional() }), result: z.object({ aside: z.array(AsideView) }) },
  /** Re-issues a late block's writes under the present term. */
  'late.merge': { params: z.object({ block: z.string() }), result: z.object({ written: z.array(Umr) }) },
  /** Offers them no more on this node; what a base has left out is gone. */
  'late.drop': {
    params: z.object({ blocks: z.array(z.string()).min(1).max(LATE_BLOCKS_MAX) }),
    result: z.object({ dropped: z.array(z.string()) }),
  },

  ...scrubMethods,

  ...quarantineMethods,

  ...snapshotMethods,

  ...drillMethods,

  'pair.start': {
    params: z.object({ autoConfirm: z.boolean().default(false), code: z.boolean().default(false) }),
    result: PairingView,
  },
  'pair.status': { params: Nothing, result: PairingView },
  'pair.confirm': { params: z.object({ words: z.array(z.string()) }), result: PairingView },
  'pair.cancel': { params: Nothing, result: PairingView },

  /** What is known, what may be lost, what cannot be known: shown before a person confirms. */
  'takeover.preview': {
    params: z.object({ agent: Name }),
    result: z.object({
      agent: Name,
      holder: z.string().nullable(),
      holderLastHeardAt: Iso.nullable(),
      term: z.number().int(),
      nextTerm: z.number().int(),
      basis: z.array(
        z.object({ layer: z.string(), blocks: z.number().int(), registers: z.number().int(), texts: z.number().int() }),
      ),
      known: z.array(z.string()),
      mayBeLost: z.array(z.string()),
      cannotBeKnown: z.array(z.string()),
    }),
  },
  takeover: {
    params: takeoverParams,
    result: z.object({ agent: Name, term: z.number().int(), holder: z.string(), record: z.string() }),
  },
  ...failoverMethods,

  ...relayMethods,

  ...machines,

  /** Reads config.toml again. One that cannot be used leaves the old one in force. */
  'config.reload': {
    params: Nothing,
    /** `agent.layer=recipient` of defaults that name nobody yet. */
    result: z.object({ waiting: z.array(z.string()) }),
  },

  lapse: {
    params: z.object({ node: z.string() }),
    result: z.object({ node: z.string(), record: z.string() }),
  },

  ...events,
  /** Starts a stream of `watch.event` notifications on this connection. */
  watch: { params: z.object({ prefix: z.string().max(700).default('') }), result: Nothing },
} as const

export type MethodName = keyof typeof methods
export type MethodParams<M extends MethodName> = z.infer<(typeof methods)[M]['params']>
/** What a caller may leave out. */
export type MethodInput<M extends MethodName> = z.input<(typeof methods)[M]['params']>
export type MethodResult<M extends MethodName> = z.infer<(typeof methods)[M]['result']>

/** Server to client, after `watch`. */
export const WatchEvent = z.object({
  umr: Umr,
  type: z.enum(['set', 'delete', 'text', 'conflict']),
  value: Json.nullable(),
  nodeName: z.string(),
  at: Iso,
  /** Whether this node wrote it. */
  local: z.boolean(),
})
export type WatchEvent = z.infer<typeof WatchEvent>
