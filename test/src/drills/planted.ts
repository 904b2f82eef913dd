import { Drills as Honest } from '@sealmesh/node/drills/drills'
import type { DrillsDeps } from '@sealmesh/node/drills/drills-deps'
import { readFileSync } from 'node:fs'
import type { Document } from '@sealmesh/protocol/crdt/document'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'

/**
 * In a process's own place of `Drills`: what it works with is spoilt in one way, which the file named by
 * SEALMESH_TEST_PLANT says at each drill. The live state stays as it is.
 */

export const PLANT = 'SEALMESH_TEST_PLANT'

export type Fault =
  | 'missing write'
  | 'flipped bit'
  | 'stale snapshot'
  | 'wrong grant'
  | 'lying clock'
  | 'expired prekey'
  | 'lagging standby'
  | 'forged digest'

/** The table of blocks, by the first byte of its keys. */
const BLOCKS = 0x11

function planted(): string {
  try {
    return readFileSync(process.env[PLANT] ?? '', 'utf8').trim()
  } catch {
    return ''
  }
}

type Entry = { readonly type: string; readonly key: Uint8Array; readonly value?: Uint8Array }

function spoil(operations: readonly Entry[], fault: string): readonly Entry[] {
  const blocks = operations.filter(({ key }) => key[0] === BLOCKS)
  const middle = blocks[blocks.length >> 1]
  switch (fault) {
    case 'missing write':
      return operations.filter((each) => each !== middle)
    case 'stale snapshot':
      // As of an hour ago, say: the newest third had not been written.
      return operations.filter((each) => !blocks.includes(each) || blocks.indexOf(each) < (blocks.length * 2) / 3)
    case 'flipped bit':
      return operations.map((each) =>
        each === middle && each.value !== undefined
          ? { ...each, value: each.value.with(each.value.length - 5, each.value.at(-5)! ^ 4) }
          : each,
      )
    default:
      return operations
  }
}

function spoiltMesh(mesh: Mesh, fault: string, node: string): Mesh {
  const agents = new Map([...mesh.agents].map(([id, agent]) => [id, { ...agent, grants: [] }] as const))
  if (fault === 'wrong grant') return { ...mesh, agents, isInPast: mesh.isInPast.bind(mesh) }
  if (fault !== 'expired prekey') return mesh
  const nodes = new Map(
    [...mesh.nodes].map(([id, each]) => [id, id === node ? { ...each, prekeys: [] } : each] as const),
  )
  return { ...mesh, nodes, isInPast: mesh.isInPast.bind(mesh) }
}

function withFaults(deps: DrillsDeps): DrillsDeps {
  const { documents } = deps
  let looks = 0
  const isHolder = (): boolean =>
    [...deps.mesh().agents.values()].some(({ name, term }) => name === 'claude' && term?.holder === deps.node)
  return {
    ...deps,
    patience: { reachMs: 2_000 },
    mesh: () => (isHolder() ? deps.mesh() : spoiltMesh(deps.mesh(), planted(), deps.node)),
    // It is set again and again while a drill runs.
    now: () => deps.now() + (isHolder() || planted() !== 'lying clock' ? 0 : looks++ * 600_000),
    documents: {
      names: () => documents.names(),
      after: (...asked) => documents.after(...asked),
      isComing: (name) => documents.isComing(name),
      vectorOf: async (name) => (planted() === 'lagging standby' ? [] : documents.vectorOf(name)),
      open: async (name) => {
        const document = await documents.open(name)
        if (planted() !== 'forged digest' || !isHolder()) return document
        return new Proxy(document, {
          get: (of: Document, key) => {
            if (key === 'digest') return () => of.digest().map((byte) => byte ^ 1)
            const value: unknown = Reflect.get(of, key, of)
            return typeof value === 'function' ? value.bind(of) : value
          },
        })
      },
    },
    openStore: async (directory) => {
      const store = await deps.openStore(directory)
      const commit = store.commit.bind(store)
      const fault = planted()
      store.commit = (work) => commit(spoil(typeof work === 'function' ? work() : work, fault) as typeof work)
      return store
    },
  }
}

export class Drills extends Honest {
  static override open(deps: DrillsDeps): Promise<Honest> {
    return Honest.open(withFaults(deps))
  }
}
