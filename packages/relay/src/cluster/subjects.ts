import { fromHex } from '@sealmesh/protocol/bytes'
import type { ChunkId, MailboxId, MeshId, VaultId } from '@sealmesh/protocol/ids'

/**
 * Where everything of a cluster lies in JetStream (docs/spec/15-cluster.md §2). All that a mesh has lies under one
 * prefix in one stream, so that one atomic batch can change it and one read in order can load it.
 *
 *   SM_<shard>   sm.m.<shard>.<mesh>.…
 *     h                       its home: the instance's id
 *     m                       it was admitted; one byte 1: and is not any more
 *     c                       counter of sessions, 8B big-endian
 *     l.<key name>            login record, JSON
 *     r.<0|1>.<key name>      a removed login (0) or admin (1) key
 *     x.<mailbox>             packets lost, 8B, and when the first of them was, 8B
 *     s.<slot>                how often it was set, 8B, and its blob
 *     n.<vault>.<number>      a whole snapshot: when 8B, chunks 4B, bytes 8B, first chunk 32B
 *     a.<vault>.<chunk>       newest snapshot that it belongs to, 8B, length 4B, place in SM_VAULT 8B
 *     p.<mailbox>             packets, one message each; of all others only the last message counts
 *   SM_VAULT     sm.v.<mesh>.<vault>.<chunk>     pieces of snapshots
 *   SM_CLUSTER   sm.k.…                          generation and key of the relay, claim codes
 */

export const VAULT_STREAM = 'SM_VAULT'
export const CLUSTER_STREAM = 'SM_CLUSTER'
/** Each is a log of its own, with a leader of its own. */
export const SHARDS = 8

export const shardOf = (mesh: MeshId): number => (fromHex(mesh.slice(0, 2))[0] ?? 0) % SHARDS
export const shardName = (shard: number): string => String(shard).padStart(2, '0')
export const shardStream = (shard: number): string => `SM_${shardName(shard)}`

export const meshPrefix = (mesh: MeshId): string => `sm.m.${shardName(shardOf(mesh))}.${mesh}`
export const homeSubject = (mesh: MeshId): string => `${meshPrefix(mesh)}.h`
export const admittedSubject = (mesh: MeshId): string => `${meshPrefix(mesh)}.m`
export const packetSubject = (mesh: MeshId, mailbox: MailboxId): string => `${meshPrefix(mesh)}.p.${mailbox}`
export const chunkSubject = (mesh: MeshId, vault: VaultId, chunk: ChunkId): string => `sm.v.${mesh}.${vault}.${chunk}`
export const claimSubject = (claim: string): string => `sm.k.claim.${claim}`
export const GENERATION_SUBJECT = 'sm.k.generation'
export const RELAY_SUBJECT = 'sm.k.relay'

/** What instances tell each other: questions and flow control, and what they carry for nodes. */
export const controlSubject = (instance: string): string => `sm.i.${instance}.c`
export const bulkSubject = (instance: string): string => `sm.i.${instance}.b`
