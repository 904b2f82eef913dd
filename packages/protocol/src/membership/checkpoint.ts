import { encode, equalBytes, writeByte, writeFixed, writeId, writeList, writeText, writeUint } from '../bytes.ts'
import type { RecordHash } from '../ids.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { foldMesh } from './fold.ts'
import type { Ending, Mesh } from './mesh.ts'
import type { RecordBody } from './record.ts'

/**
 * What an admin's machine folded its log to, said in a record over that log's heads (docs/spec/02-membership.md §15).
 * It proves nothing and allows nothing: whoever has the same records folds them itself, and hears of it if that gives
 * another mesh.
 */
export const checkpointOf = (mesh: Mesh, sodium: Sodium): RecordBody => ({
  type: 'checkpoint',
  digest: meshDigest(upTo(mesh, mesh.heads, sodium), sodium),
})

/** Whether our own fold of what this checkpoint follows is what it says. The record must be in the mesh's log. */
export function agrees(mesh: Mesh, checkpoint: RecordHash, sodium: Sodium): boolean {
  const record = mesh.records.get(checkpoint)
  if (record?.body.type !== 'checkpoint') return false
  return equalBytes(record.body.digest, meshDigest(upTo(mesh, record.parents, sodium), sodium))
}

/** The mesh as it was at these heads, by the rules of today. */
function upTo(mesh: Mesh, heads: readonly RecordHash[], sodium: Sodium): Mesh {
  const past = [...mesh.records.values()].filter(({ hash }) => heads.some((head) => mesh.isInPast(hash, head)))
  // They have entered: their signatures were checked.
  return foldMesh(mesh.id, past, () => true, sodium)
}

/** All that a mesh says of who may do what, and what it leaves out of account, in one form. */
export function meshDigest(mesh: Mesh, sodium: Sodium): Uint8Array {
  const told = encode((writer) => {
    const ids = (list: readonly string[]): void => writeList(writer, list, (id) => writeId(writer, id))
    const endings = (list: readonly Ending[]): void => ids(list.map(({ record }) => record))
    const flag = (is: boolean): void => writeByte(writer, is ? 1 : 0)
    writeText(writer, mesh.name)
    writeFixed(writer, mesh.epoch)
    writeList(writer, [...mesh.nodes.values()], (node) => {
      writeId(writer, node.id)
      writeText(writer, node.name)
      flag(node.admin)
      writeFixed(writer, node.loginKey)
      endings(node.revocations)
      endings(node.lapses)
      flag(node.lapsed)
      ids(node.prekeys.map(({ record }) => record))
    })
    writeList(writer, [...mesh.agents.values()], (agent) => {
      writeId(writer, agent.id)
      writeText(writer, agent.name)
      flag(agent.delegate)
      ids(agent.hosts)
      writeList(writer, agent.hostings, ({ record, removed }) => {
        writeId(writer, record)
        ids(removed.map(({ node }) => node))
      })
      writeList(writer, agent.terms, ({ record, number }) => {
        writeId(writer, record)
        writeUint(writer, number)
      })
      writeList(writer, agent.grants, (grant) => {
        writeId(writer, grant.record)
        endings(grant.endings)
      })
      ids([agent.failover.record, agent.syncSet?.record ?? null].filter((record) => record !== null))
    })
    ids(mesh.witness === null ? [] : [mesh.witness.record])
    writeList(writer, mesh.relays, ({ address, relay }) => {
      writeText(writer, address)
      writeId(writer, relay)
    })
    writeList(writer, mesh.recovery === null ? [] : [mesh.recovery], ({ loginKey, mailbox, sealKey }) => {
      writeFixed(writer, loginKey)
      writeId(writer, mailbox)
      writeFixed(writer, sealKey)
    })
    const voided = [...mesh.voided].toSorted(([a], [b]) => (a < b ? -1 : 1))
    writeList(writer, voided, ([record, why]) => {
      writeId(writer, record)
      writeText(writer, why)
    })
  })
  return sodium.hash([TAGS.checkpoint, told])
}
