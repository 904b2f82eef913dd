import { toHex } from '@sealmesh/protocol/bytes'
import type { Finding } from '@sealmesh/protocol/ipc/findings'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Withheld } from '@sealmesh/protocol/sync/withholding'
import type { HomeHealth } from '../health/home-health.ts'
import { blocks as blocksOf } from '../status/standing.ts'
import type { FoundFork, Forks } from '../trust/forks.ts'
import type { Withholdings } from '../trust/withholdings.ts'
import { agentName, iso, nodeName, type ServiceContext } from './context.ts'

/** A block that is larger is named by its hash alone: it lies in the document. */
const PROOF_BYTES_MAX = 16_384
const FINDINGS_MAX = 64

export interface FindingSources {
  readonly health: Pick<HomeHealth, 'facts'>
  readonly forks: Pick<Forks, 'all'>
  readonly withholdings: Pick<Withholdings, 'all'>
}

type Context = Pick<ServiceContext, 'log'> & FindingSources

/** What somebody has kept back, signed twice, copied or put back, each with what speaks for it. */
export async function findingsOf(context: Context): Promise<Finding[]> {
  const { health, forks, withholdings } = context
  const findings = withholdings.all().map(({ from, withheld }) => withheldFinding(context, from, withheld))
  for (const fork of await forks.all()) findings.push(forkFinding(context, fork))
  for (const [type, fact] of [
    ['cloned', health.facts.copied],
    ['rolled-back', health.facts.rolledBack],
  ] as const)
    if (fact !== null)
      findings.push({
        type,
        since: iso(fact.sinceMs),
        last: iso(fact.lastMs),
        nodeName: null,
        agent: null,
        layer: null,
        what:
          type === 'cloned'
            ? 'another process writes with the keys of this home'
            : 'this home held more once, and what it wrote is being learnt again',
        evidence: fact.evidence,
        proof: [],
      })
  return findings.slice(0, FINDINGS_MAX)
}

/** Who it is about is named by the mesh; who is to blame nobody can tell from here. */
export function withheldWords(peer: string, { what, blocks }: Pick<Withheld, 'what' | 'blocks'>): string {
  switch (what) {
    case 'blocks':
      return `${peer} has ${blocksOf(blocks)} that ${blocks === 1 ? 'does' : 'do'} not come through`
    case 'receipts':
      return `the relay has taken ${blocksOf(blocks)} for ${peer}, and ${peer} has not got ${blocks === 1 ? 'it' : 'them'}`
    case 'records':
      return `${peer} names membership records that do not come through`
    case 'answers':
      return `${peer} has not the same as this machine, and what differs does not come through`
  }
}

function withheldFinding({ log }: Context, from: NodeId, withheld: Withheld): Finding {
  const { document, missing, packets, sinceMs, lastMs } = withheld
  return {
    type: 'withheld',
    since: iso(sinceMs),
    last: iso(lastMs),
    nodeName: nodeName(log.mesh, from),
    agent: document === null ? null : agentName(log.mesh, document.agent),
    layer: document?.layer ?? null,
    what: withheldWords(nodeName(log.mesh, from), withheld),
    evidence: [
      ...missing.map(({ incarnation, sequence, hash }) => `block ${hash}, ${sequence} of incarnation ${incarnation}`),
      ...packets.map((packet) => `heartbeat in packet ${packet}`),
    ],
    proof: [],
  }
}

function forkFinding({ log }: Context, { name, author, incarnation, sequence, blocks, sides }: FoundFork): Finding {
  const times = blocks.map(({ header }) => header.time.wallMs)
  return {
    type: 'forked',
    since: iso(Math.min(...times)),
    last: iso(Math.max(...times)),
    nodeName: nodeName(log.mesh, author),
    agent: agentName(log.mesh, name.agent),
    layer: name.layer,
    what: `${nodeName(log.mesh, author)} has signed ${sides.length} blocks as number ${sequence} of incarnation ${incarnation}; all are kept`,
    evidence: blocks.map(({ hash, signature }) => `block ${hash}, signature ${toHex(signature)}`),
    proof: blocks
      .filter(({ bytes }) => bytes.length <= PROOF_BYTES_MAX)
      .map(({ bytes }) => Buffer.from(bytes).toString('base64')),
  }
}
