import type { DocumentState } from '@sealmesh/protocol/failover/takeover'
import type { AgentId } from '@sealmesh/protocol/ids'
import { isSingleWriter } from '@sealmesh/protocol/membership/access'
import type { Documents } from '../documents/documents.ts'

export interface HeldDocument extends DocumentState {
  readonly blocks: number
  readonly registers: number
  readonly texts: number
}

/** The agent's documents as they stand here. */
export async function documentsOf(
  documents: Pick<Documents, 'names' | 'open'>,
  agent: AgentId,
): Promise<HeldDocument[]> {
  const held: HeldDocument[] = []
  for (const name of documents.names()) {
    if (name.agent !== agent) continue
    const document = await documents.open(name)
    const { received, registers, texts } = document.counts()
    const { vector } = document
    held.push({ layer: name.layer, vector, digest: document.digest(), blocks: received, registers, texts })
  }
  return held
}

/** What a term starts from: only blocks of single-writer layers can be late. */
export const basisOf = async (documents: Pick<Documents, 'names' | 'open'>, agent: AgentId): Promise<HeldDocument[]> =>
  (await documentsOf(documents, agent)).filter(({ layer }) => isSingleWriter(layer))
