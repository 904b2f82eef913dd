import { toHex } from '@sealmesh/protocol/bytes'
import type { MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { ActJournal } from '../failover/act-journal.ts'
import type { Handlers } from '../ipc/door.ts'
import { agentNamed, iso, nodeName, type ServiceContext } from './context.ts'

/** After an overlap or a late write: what happened in which term, and whether anything is missing from the sum. */
export function reconcileHandlers(
  context: ServiceContext & { readonly journal: Pick<ActJournal, 'of'> },
): Pick<Handlers, 'reconcile'> {
  return {
    reconcile: async ({ agent: name }) => {
      const agent = agentNamed(context.log.mesh, name)
      const layers = await layersOf(context, agent)
      const acts = await actsOf(context, agent)
      const terms = termsOf(context, agent)
      const ok =
        layers.every(({ adds, late }) => adds && late === 0) &&
        terms.every(({ overlaps }) => !overlaps) &&
        acts.twice.length + acts.passed.length === 0
      return { agent: agent.name, terms, layers, acts, ok }
    },
  }
}

function termsOf({ log: { mesh } }: ServiceContext, { terms }: MeshAgent) {
  return terms.map(({ number, record, holder, reason, timeMs }) => {
    const next = terms.find((each) => each.previous === record && each.number === number + 1)
    return {
      number,
      record: record as string,
      holder: nodeName(mesh, holder),
      reason,
      from: iso(timeMs),
      until: next === undefined ? null : iso(next.timeMs),
      overlaps: terms.some((each) => each.number === number && each.record !== record),
    }
  })
}

async function layersOf({ documents }: ServiceContext, agent: MeshAgent) {
  const layers = []
  for (const name of documents.names()) {
    if (name.agent !== agent.id) continue
    const document = await documents.open(name)
    const { received, folded, late, aside, held } = document.counts()
    const before = agent.term?.basis.find(({ layer }) => layer === name.layer)
    layers.push({
      layer: name.layer,
      received,
      folded,
      late,
      setAside: aside,
      held,
      digestBefore: before === undefined ? null : toHex(before.digest),
      digestNow: toHex(document.digest()),
      adds: received === folded + late + aside + held,
    })
  }
  return layers.toSorted((a, b) => (a.layer < b.layer ? -1 : 1))
}

async function actsOf({ journal }: { readonly journal: Pick<ActJournal, 'of'> }, agent: MeshAgent) {
  const acts = await journal.of(agent.id)
  const times = new Map<string, number>()
  for (const { act } of acts) times.set(toHex(act), (times.get(toHex(act)) ?? 0) + 1)
  const passed = acts.filter(({ term, atMs }) => agent.terms.some((each) => each.number > term && each.timeMs < atMs))
  return {
    granted: acts.length,
    twice: [...times].filter(([, count]) => count > 1).map(([act]) => act),
    passed: passed.map(({ act, term, atMs }) => ({ act: toHex(act), term, at: iso(atMs) })),
  }
}
