import { Failure, type FailureCode, reactions } from '@sealmesh/protocol/errors'
import { isHex } from '@sealmesh/protocol/bytes'
import type { MeshId } from '@sealmesh/protocol/ids'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { z } from 'zod'
import type { Reloaded } from '../config/reload.ts'
import type { Settings } from '../config/settings.ts'
import { keyOfLimit, LIMIT_NAMES, LIMIT_TABLE } from '../config/limit-table.ts'
import type { RelayEvent, Target } from '../core/event.ts'
import { connectionsOf, mailboxesOf } from '../core/owner.ts'
import type { RelayState } from '../core/state.ts'
import { RELAY_VERSION } from '../version.ts'
import type { Pseudonyms } from './pseudonyms.ts'
import { type Sees, seesOf } from './sees.ts'
import { type MeshStatus, meshesOf, type RelayStatus } from './status.ts'

/** What the owner's verbs ask a relay that runs. */
export interface ControlDeps {
  readonly state: RelayState
  readonly pseudonyms: Pseudonyms
  readonly now: () => number
  settings(): Settings
  status(): Promise<RelayStatus>
  metrics(): Promise<string>
  feed(event: RelayEvent): void
  /** What was asked of the disk until now has been handed to it. */
  settle(): Promise<void>
  /** Throws CONFIG_INVALID, and then nothing has changed. */
  reload(): Promise<Reloaded>
  claim(): Promise<string>
  backup(): ReadableStream<Uint8Array>
}

export interface LimitStatus {
  readonly key: string
  readonly value: number
  readonly origin: string
  readonly unit: string
  readonly min: number
  readonly max: number
}

export interface Evicted {
  readonly connections: number
  readonly packets: number
}

/** The answers, by path: `client.ts` asks with these. */
export interface ControlAnswers {
  readonly '/status': RelayStatus
  readonly '/sees': Sees
  readonly '/limits': { readonly limits: readonly LimitStatus[] }
  readonly '/reload': Reloaded
  readonly '/meshes': { readonly admission: Settings['admission']; readonly meshes: readonly MeshStatus[] }
  readonly '/claim': { readonly claim: string }
  readonly '/admit': { readonly mesh: string }
  readonly '/expel': { readonly mesh: string; readonly connections: number }
  readonly '/evict': Evicted
  readonly '/metrics': { readonly text: string }
}

export const VERSION_HEADER = 'x-sealmesh-relay'
/** A name and a word or two. */
const REQUEST_BYTES_MAX = 4_096

const Named = z.strictObject({ name: z.string().max(64) })
const Evict = z.strictObject({ name: z.string().max(64), mailboxes: z.boolean(), dry: z.boolean() })

/** Everything that verbs do with a relay that runs, without a socket: whoever reaches it is its owner. */
export function createControlApp(deps: ControlDeps): Hono {
  const { state, pseudonyms } = deps
  const app = new Hono()
  app.use(
    bodyLimit({
      maxSize: REQUEST_BYTES_MAX,
      onError: () => {
        throw new Failure('USAGE', 'The request is larger than any may be.')
      },
    }),
  )
  app.use(async (c, next) => {
    await next()
    c.header(VERSION_HEADER, RELAY_VERSION)
  })
  app.get('/status', async (c) => c.json(await deps.status()))
  app.get('/sees', (c) => c.json(seesOf(state, pseudonyms, deps.now())))
  app.get('/metrics', async (c) => c.json({ text: await deps.metrics() }))
  app.get('/limits', (c) => c.json({ limits: limitsOf(deps.settings()) }))
  app.get('/meshes', (c) =>
    c.json({ admission: deps.settings().admission, meshes: meshesOf({ state, pseudonyms, nowMs: deps.now() }) }),
  )
  app.get('/backup', (c) => c.body(deps.backup(), 200, { 'content-type': 'application/octet-stream' }))
  app.post('/reload', async (c) => c.json(await deps.reload()))
  app.post('/claim', async (c) => {
    if (deps.settings().admission === 'list')
      throw new Failure('USAGE', 'This relay admits those on its list only: a claim code would open nothing.', {
        next: 'sealmesh-relay admit add MESH, or mode = "claims" in [admission]',
      })
    return c.json({ claim: await deps.claim() })
  })
  app.post('/admit', async (c) => {
    const { name } = Named.parse(await c.req.json())
    const mesh = isHex(name, 32) ? (name as MeshId) : meshOf(pseudonyms.find(state, name))
    deps.feed({ type: 'admit', mesh })
    await deps.settle()
    return c.json({ mesh: pseudonyms.of(mesh) })
  })
  app.post('/expel', async (c) => {
    const { name } = Named.parse(await c.req.json())
    const mesh = isHex(name, 32) ? (name as MeshId) : meshOf(pseudonyms.find(state, name))
    const connections = connectionsOf(state, { type: 'mesh', mesh }).length
    deps.feed({ type: 'expel', mesh })
    await deps.settle()
    return c.json({ mesh: pseudonyms.of(mesh), connections })
  })
  app.post('/evict', async (c) => {
    const { name, mailboxes, dry } = Evict.parse(await c.req.json())
    const target = pseudonyms.find(state, name)
    const connections = connectionsOf(state, target).length
    let packets = 0
    if (mailboxes) for (const { entries } of mailboxesOf(state, target)) packets += entries.length
    if (!dry) {
      deps.feed({ type: 'evict', target, mailboxes })
      await deps.settle()
    }
    return c.json({ connections, packets })
  })
  app.onError((error, c) => {
    const failure =
      error instanceof Failure
        ? error
        : new Failure(isTheirs(error) ? 'USAGE' : 'INTERNAL', `The relay cannot do that. ${error.name}`, {
            cause: error,
          })
    const { code, message, next } = failure
    return c.json({ error: { code, message, next } }, statusFor(code))
  })
  return app
}

const isTheirs = (error: Error): boolean => error instanceof z.ZodError || error instanceof SyntaxError

const statusFor = (code: FailureCode): 400 | 500 => (reactions[code].exit === 7 ? 500 : 400)

function meshOf(target: Target): MeshId {
  if (target.type === 'mesh') return target.mesh
  throw new Failure('ITEM_NOT_FOUND', 'That is a login, and not a mesh.', { next: 'sealmesh-relay admit ls' })
}

const limitsOf = ({ limits, limitOrigins }: Settings): LimitStatus[] =>
  LIMIT_NAMES.map((name) => {
    const { unit, min, max } = LIMIT_TABLE[name]
    return { key: keyOfLimit(name), value: limits[name], origin: limitOrigins[name], unit, min, max }
  })
