import { Failure } from '@sealmesh/protocol/errors'
import { isName } from '@sealmesh/protocol/ids'
import type { DoorSession } from './session.ts'

/** What patterns keep in the layer `tasks` of whoever began them (docs/spec/17-patterns.md §1): read, never written. */

const LAYER = 'tasks'
const ID = /^[A-Za-z0-9_-]{1,64}$/
const LISTED_MAX = 10_000
/** Asked of the node at once. */
const ASKED_MAX = 64

export interface Schema<T> {
  safeParse(value: unknown): { readonly success: true; readonly data: T } | { readonly success: false }
}

export interface Kind<T> {
  /** `task`, `vote`, `auction`: registers are called `task.ID`. */
  readonly word: string
  readonly schema: Schema<T>
}

export interface Found<T> {
  /** Who keeps it. */
  readonly agent: string
  readonly record: T
}

/** Of one agent, or of all that this machine may read. What this version does not understand is left out. */
export async function ownRecords<T>(
  { door }: DoorSession,
  { word, schema }: Kind<T>,
  agent: string | undefined,
): Promise<Found<T>[]> {
  const agents = agent === undefined ? (await door.call('agents.ls', {})).agents.map(({ name }) => name) : [agent]
  const umrs: string[] = []
  for (const name of agents) {
    const { items } = await door.call('ls', { prefix: `${name}.${LAYER}.${word}.`, limit: LISTED_MAX })
    umrs.push(...items.map(({ umr }) => umr))
  }
  const found: Found<T>[] = []
  for (let at = 0; at < umrs.length; at += ASKED_MAX) {
    const items = umrs.slice(at, at + ASKED_MAX).map(async (umr) => (await door.call('get', { umr })).item)
    for (const item of await Promise.all(items)) {
      const read = schema.safeParse(item?.type === 'register' ? parsed(item.value) : undefined)
      if (item !== null && read.success) found.push({ agent: item.umr.split('.')[0] ?? '', record: read.data })
    }
  }
  return found
}

/** Throws ITEM_NOT_FOUND; USAGE where several agents have one of that id. */
export async function ownRecord<T>(
  session: DoorSession,
  kind: Kind<T>,
  id: string,
  agent: string | undefined,
): Promise<Found<T>> {
  const { door, command } = session
  if (!ID.test(id)) throw new Failure('USAGE', `An id has 1 to 64 letters, digits, - or _.`)
  const agents = agent === undefined ? (await door.call('agents.ls', {})).agents.map(({ name }) => name) : [agent]
  const found: Found<T>[] = []
  for (const name of agents.filter(isName)) {
    const { item } = await door.call('get', { umr: `${name}.${LAYER}.${kind.word}.${id}` })
    const read = kind.schema.safeParse(item?.type === 'register' ? parsed(item.value) : undefined)
    if (read.success) found.push({ agent: name, record: read.data })
  }
  const [one, another] = found
  if (one === undefined)
    throw new Failure('ITEM_NOT_FOUND', `No agent that this machine may read has the ${kind.word} ${id}.`, {
      next: command(`${kind.word} ls`),
    })
  if (another !== undefined)
    throw new Failure(
      'USAGE',
      `Several agents have a ${kind.word} of that id: ${found.map((each) => each.agent).join(', ')}.`,
      {
        next: 'name one of them: --as NAME',
      },
    )
  return one
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
