import { Failure } from '@sealmesh/protocol/errors'
import { parseUmr } from '@sealmesh/protocol/ids'
import { GRAPH_LAYER } from '@sealmesh/protocol/memory/graph-layout'
import type { AgentCalls } from '../agent-calls.ts'

/** The registers that hold an agent's knowledge graph, read and written through its node. */
export interface GraphRows {
  /** Everything in the layer: id and value. */
  read(): Promise<ReadonlyMap<string, unknown>>
  write(rows: readonly { readonly id: string; readonly value: unknown }[]): Promise<void>
  remove(ids: readonly string[]): Promise<void>
}

const PAGE = 1_000

export function graphRowsOf(agent: AgentCalls): GraphRows {
  const start = `${agent.name}.${GRAPH_LAYER}.`
  return {
    async read() {
      const rows = new Map<string, unknown>()
      for (let after = ''; ; ) {
        const page = await agent.call('memory.ls', { prefix: start, after, values: true, limit: PAGE })
        for (const { umr, type, value } of page.items) {
          const id = parseUmr(umr)?.id
          if (id !== undefined && type === 'register' && value !== null) rows.set(id, parsed(value))
        }
        const last = page.items.at(-1)
        if (!page.truncated || last === undefined) return rows
        after = last.umr
      }
    },
    async write(rows) {
      // Together: the node writes what comes in one turn with one fsync.
      await Promise.all(
        rows.map(({ id, value }) => agent.call('memory.set', { umr: start + id, value: JSON.stringify(value) })),
      )
    },
    async remove(ids) {
      await Promise.all(ids.map((id) => agent.call('memory.rm', { umr: start + id }).catch(mayBeGone)))
    },
  }
}

/** Another window or machine was first: it is as was asked for. */
function mayBeGone(error: unknown): void {
  if (!(error instanceof Failure) || error.code !== 'ITEM_NOT_FOUND') throw error
}

/** Undefined for what is no JSON: another program wrote it, and it is no part of a graph. */
function parsed(value: string): unknown {
  try {
    return JSON.parse(value)
  } catch {
    return undefined
  }
}
