import { Failure } from '@sealmesh/protocol/errors'
import type { NatsConnection } from '@nats-io/transport-node'
import { DiscardPolicy, jetstreamManager, RetentionPolicy, StorageType, type StreamConfig } from '@nats-io/jetstream'
import { CLUSTER_STREAM, SHARDS, shardName, shardStream, VAULT_STREAM } from './subjects.ts'

/** The streams of a cluster: made by the first relay, and checked by each (docs/relay/cluster.md says why each is so). */

/** Atomic batches. */
const VERSION_MIN = [2, 12] as const

/** With three servers on three of them; otherwise on one. An owner who has more raises it with the nats tool. */
const replicasFor = (servers: number): number => (servers >= 3 ? 3 : 1)

export async function prepareStreams(nats: NatsConnection, servers: number): Promise<void> {
  const version = nats.info?.version ?? '0.0'
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major < VERSION_MIN[0] || (major === VERSION_MIN[0] && minor < VERSION_MIN[1]))
    throw unfit(`The NATS server has version ${printable(version)}; a cluster needs ${VERSION_MIN.join('.')} or later.`)
  const jsm = await jetstreamManager(nats)
  for (const wanted of streamsFor(replicasFor(servers))) {
    const known = await jsm.streams.info(wanted.name).catch((error: unknown) => {
      if (isNotFound(error)) return null
      throw error
    })
    if (known === null) await jsm.streams.add(wanted)
    else check(wanted, known.config)
  }
}

function streamsFor(replicas: number): (Partial<StreamConfig> & { name: string })[] {
  const shared: Partial<StreamConfig> = {
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    // A full stream refuses; it never drops what was called stored.
    discard: DiscardPolicy.New,
    num_replicas: replicas,
    allow_direct: true,
    allow_rollup_hdrs: true,
    allow_msg_ttl: true,
    deny_delete: false,
    deny_purge: false,
  }
  const meshes = Array.from({ length: SHARDS }, (_, shard) => ({
    ...shared,
    name: shardStream(shard),
    subjects: [`sm.m.${shardName(shard)}.>`],
    allow_atomic: true,
  }))
  return [
    ...meshes,
    { ...shared, name: VAULT_STREAM, subjects: ['sm.v.>'] },
    { ...shared, name: CLUSTER_STREAM, subjects: ['sm.k.>'] },
  ]
}

function check(wanted: Partial<StreamConfig> & { name: string }, known: StreamConfig): void {
  const wrong: string[] = (
    ['storage', 'retention', 'discard', 'allow_direct', 'allow_rollup_hdrs', 'allow_msg_ttl', 'allow_atomic'] as const
  ).filter((key) => wanted[key] !== undefined && wanted[key] !== known[key])
  if (known.max_age > 0 || known.max_msgs > 0) wrong.push('max_age or max_msgs')
  if (known.num_replicas < (wanted.num_replicas ?? 1)) wrong.push('num_replicas')
  if (wrong.length > 0)
    throw unfit(`The stream ${wanted.name} has other settings than a cluster needs: ${wrong.join(', ')}.`)
}

const isNotFound = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 10_059 || error.code === 404)

const printable = (version: string): string => (/^[\w.+-]{1,32}$/.test(version) ? version : 'unknown')

const unfit = (message: string): Failure =>
  new Failure('CLUSTER_UNFIT', message, {
    next: 'see docs/relay/cluster.md for the version and settings that it takes',
  })
