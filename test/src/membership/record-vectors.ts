import { encode, toHex, writeByte, writeFixed, writeId, writeList, writeUint } from '@sealmesh/protocol/bytes'
import type { RecordHash } from '@sealmesh/protocol/ids'
import { PREKEY_LIFE_MS } from '@sealmesh/protocol/limits'
import { checkpointOf } from '@sealmesh/protocol/membership/checkpoint'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { RecordBody, SignedRecord } from '@sealmesh/protocol/membership/record'
import { bodyType, writeBody } from '@sealmesh/protocol/membership/record-body'
import type { RecordDraft } from '@sealmesh/protocol/membership/record-codec'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { TAGS } from '@sealmesh/protocol/tags'
import {
  admit,
  assign,
  failover,
  grant,
  host,
  lapse,
  prekey,
  recovery,
  rename,
  revoke,
  Scene,
  type Signer,
  syncSet,
  ungrant,
  upTo,
  witness,
} from './scene.ts'

/** test/vectors/records.json: everything in hexadecimal, for any language that reads JSON. */
export interface Vectors {
  readonly about: string
  readonly good: readonly { name: string; bytes: string; hash: string; key: string; record: unknown }[]
  readonly wrongKey: string
  readonly bad: readonly { name: string; bytes: string; error: string }[]
  readonly badSignatures: readonly { name: string; bytes: string; key: string }[]
  readonly logs: readonly { name: string; mesh: string; records: readonly string[]; fold: unknown }[]
  readonly nodeId: { readonly signKey: string; readonly foundingAgent: string; readonly id: string }
}

/** A record without what follows from its bytes, and with bytes as hexadecimal. */
export function recordView({ mesh, parents, timeMs, signer, body }: SignedRecord): unknown {
  return plain({ mesh, parents, timeMs, signer, body })
}

/** What a mesh says, without the records themselves. */
export function meshView(mesh: Mesh): unknown {
  return plain({
    name: mesh.name,
    heads: mesh.heads,
    missing: mesh.missing,
    voided: Object.fromEntries([...mesh.voided].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    nodes: [...mesh.nodes.values()],
    agents: [...mesh.agents.values()],
    relays: mesh.relays,
    recovery: mesh.recovery,
    checkpoint: mesh.checkpoint,
    witness: mesh.witness,
    epoch: mesh.epoch,
  })
}

const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, each: unknown) => (each instanceof Uint8Array ? toHex(each) : each)))

export function buildVectors(sodium: Sodium): Vectors {
  const scene = new Scene(sodium)
  scene.nowMs = 1_800_000_000_000
  const [home, office, shed] = [scene.machine('home'), scene.machine('office'), scene.machine('shed')]
  const { agent } = home
  const named: { name: string; record: SignedRecord; by: Signer }[] = []
  const add = (name: string, by: Signer, body: RecordBody, after?: readonly SignedRecord[]): SignedRecord => {
    const record = scene.sign(by, body, after === undefined ? {} : { after })
    named.push({ name, record, by })
    return record
  }

  const cut = { document: { agent: agent.id, layer: 'semantic' }, vector: upTo(office, 300) }
  add('found, by the root', scene.root, { type: 'found', meshName: 'Zoë’s mesh', node: home.identity })
  add('admit an admin', home, admit(office, true))
  add('admit a member', office, admit(shed))
  add('prekey', office, prekey(office, 1_800_000_000_000, 1_800_000_000_000 + PREKEY_LIFE_MS))
  add('relay', home, {
    type: 'relay',
    relays: [{ address: 'wss://relay.example:443#relay=00&pin=00', relay: shed.id as never }],
  })
  add('relay, none left', scene.root, { type: 'relay', relays: [] })
  const hosted = add('host, by the agent', agent, host(agent, [office, home, shed]))
  const first = add('assign, the first', home, assign(agent, home, 1, null))
  const toNode = add('grant to a node, under delegation', home, grant(agent, 'semantic', shed, 'write'))
  add('grant to an agent', agent, grant(agent, 'semantic', shed.agent))
  add('grant to the standbys', agent, grant(agent, 'session', 'standby'))
  add('ungrant with a cut', agent, ungrant(agent, toNode, [cut]))
  const known = scene.records.at(-1) as SignedRecord
  const basis = [{ layer: 'session', vector: upTo(home, 7), digest: new Uint8Array(32).fill(7) }]
  add('assign with a basis', office, {
    ...assign(agent, office, 2, first, basis),
    reason: 'home is gone',
  } as RecordBody)
  add('sync set', office, syncSet(agent, scene.records.at(-1) as SignedRecord, [home, office]))
  add('grant, under a term that has passed', home, grant(agent, 'episodic', shed), [known])
  add('host that drops a node', agent, host(agent, [home, office], { cuts: [{ node: shed.id, cuts: [cut] }] }))
  const fork = scene.records.at(-1) as SignedRecord
  add('revoke with a cut', home, revoke(office, [cut]), [fork])
  add('revoke, mutual', office, revoke(home), [fork])
  add('prekey, outside the past of a removal', office, prekey(office, 5, 6), [fork])
  add('lapse with a cut', home, lapse(shed, [cut]), [fork])
  add('recovery', scene.root, recovery(shed))
  add('witness, one of them', home, witness(shed))
  add('witness, three', scene.root, witness(home, office, shed))
  add('failover', agent, failover(agent, 'auto'))
  add('rename', home, rename(shed, 'barn'))
  add('checkpoint', scene.root, checkpointOf(scene.fold(), sodium))
  add('two parents', scene.root, admit(scene.machine('rescue'), true, new Uint8Array([1, 2, 3])))

  const keyOf = ({ as }: Signer): string => {
    if (as.type === 'root') return scene.mesh
    if (as.type === 'agent') return as.agent
    return toHex([home, office, shed].find(({ id }) => id === as.node)?.identity.signKey ?? new Uint8Array())
  }
  return {
    about: 'Membership records: docs/spec/02-membership.md. Bytes, ids and keys are hexadecimal.',
    good: named.map(({ name, record, by }) => ({
      name,
      bytes: toHex(record.bytes),
      hash: record.hash,
      key: keyOf(by),
      record: recordView(record),
    })),
    wrongKey: toHex(sodium.signKeys('sign', new Uint8Array(32)).publicKey),
    bad: badRecords(scene, hosted),
    badSignatures: [
      { name: 'one bit of the signature', bytes: flipped(hosted.bytes, -1), key: agent.id },
      { name: 'one bit of the time', bytes: flipped(hosted.bytes, 34), key: agent.id },
      { name: 'signed without the tag', bytes: signedWith(sodium, hosted, agent, new Uint8Array()), key: agent.id },
      { name: 'signed under the tag of a block', bytes: signedWith(sodium, hosted, agent, TAGS.block), key: agent.id },
    ],
    logs: [
      {
        name: 'all of the good records',
        mesh: scene.mesh,
        records: scene.records.map(({ bytes }) => toHex(bytes)),
        fold: meshView(scene.fold()),
      },
      {
        name: 'without the admission of office: what rests on it waits',
        mesh: scene.mesh,
        records: scene.records.filter((_, i) => i !== 1).map(({ bytes }) => toHex(bytes)),
        fold: meshView(scene.fold(scene.records.filter((_, i) => i !== 1))),
      },
    ],
    nodeId: { signKey: toHex(home.identity.signKey), foundingAgent: agent.id, id: home.id },
  }
}

const flipped = (bytes: Uint8Array, at: number): string => toHex(bytes.with(at, (bytes.at(at) as number) ^ 1))

function signedWith(sodium: Sodium, { bytes }: SignedRecord, by: Signer, tag: Uint8Array): string {
  const unsigned = bytes.subarray(0, -64)
  return toHex(unsigned) + toHex(sodium.sign(new Uint8Array([...tag, ...unsigned]), by.secret))
}

/** The layout of §2, written down a second time, so that it can be got wrong on purpose. */
function crafted(
  draft: RecordDraft,
  wrong: { version?: number; signer?: number; kind?: number; body?: Uint8Array } = {},
): string {
  const { mesh, parents, timeMs, signer, body } = draft
  const bytes = encode((writer) => {
    writeByte(writer, wrong.version ?? 1)
    writeId(writer, mesh)
    writeUint(writer, timeMs)
    writeList(writer, parents, (parent) => writeId(writer, parent))
    writeByte(writer, wrong.signer ?? { root: 1, node: 2, agent: 3 }[signer.type])
    if (signer.type === 'node') writeId(writer, signer.node)
    if (signer.type === 'agent') writeId(writer, signer.agent)
    writeByte(writer, wrong.kind ?? bodyType(body))
    if (wrong.body === undefined) writeBody(writer, body)
    else writeFixed(writer, wrong.body)
    writeFixed(writer, new Uint8Array(64))
  })
  return toHex(bytes)
}

function badRecords(scene: Scene, good: SignedRecord): Vectors['bad'] {
  const [home, office] = [scene.machine('home'), scene.machine('office')]
  const { agent } = home
  const hash = (byte: string) => byte.repeat(32) as RecordHash
  const draft = (body: RecordBody, parents = [hash('ab')]): RecordDraft => ({
    mesh: scene.mesh,
    parents,
    timeMs: 1,
    signer: { type: 'root' },
    body,
  })
  const removal = revoke(office)
  const found: RecordBody = { type: 'found', meshName: 'ours', node: home.identity }
  const vector = upTo(home, 1)
  const cut = (layer: string) => ({ document: { agent: agent.id, layer }, vector })
  const named = (name: string): RecordBody => ({ ...admit(home), node: { ...home.identity, name } }) as RecordBody
  const bodyOf = (write: (writer: Parameters<typeof writeBody>[0]) => void) => encode(write)
  const malformed: [string, string][] = [
    ['cut short', toHex(good.bytes.subarray(0, -1))],
    ['one byte more', `${toHex(good.bytes)}00`],
    ['only a version', '01'],
    ['parents out of order', crafted(draft(removal, [hash('bb'), hash('aa')]))],
    ['a parent twice', crafted(draft(removal, [hash('aa'), hash('aa')]))],
    [
      '65 parents',
      crafted(
        draft(
          removal,
          Array.from({ length: 65 }, (_, i) => hash((16 + i).toString(16))),
        ),
      ),
    ],
    ['a beginning with a parent', crafted(draft(found))],
    ['no parents, and not the beginning', crafted(draft(removal, []))],
    ['an unknown kind', crafted(draft(removal), { kind: 17 })],
    ['an unknown kind of signer', crafted(draft(removal), { signer: 4 })],
    ['a time that no calendar has', crafted({ ...draft(removal), timeMs: Number.MAX_SAFE_INTEGER })],
    ['a name in upper case', crafted(draft(named('Home')))],
    ['a name with a dot', crafted(draft(named('ho.me')))],
    ['a name of 65 characters', crafted(draft(named('a'.repeat(65))))],
    [
      'a flag that is neither 0 nor 1',
      crafted(draft(admit(home)), {
        body: bodyOf((writer) => {
          writeBody(writer, admit(home))
        }).with(-2, 2), // Before the empty token.
      }),
    ],
    ['a token that is too long', crafted(draft(admit(home, true, new Uint8Array(3_073))))],
    ['a new name with a dot', crafted(draft(rename(home, 'ho.me')))],
    ['a host twice', crafted(draft(host(agent, [home, home])))],
    ['a cut for a node that stays', crafted(draft(host(agent, [home], { cuts: [{ node: home.id, cuts: [] }] })))],
    ['cuts out of order', crafted(draft(revoke(office, [cut('semantic'), cut('episodic')])))],
    ['a cut twice', crafted(draft(revoke(office, [cut('semantic'), cut('semantic')])))],
    [
      'a vector with an entry twice',
      crafted(draft(revoke(office, [{ ...cut('semantic'), vector: [...vector, ...vector] }]))),
    ],
    [
      'a layer twice in a basis',
      crafted(
        draft(
          assign(
            agent,
            home,
            1,
            null,
            [1, 2].map(() => ({ layer: 'session', vector, digest: new Uint8Array(32) })),
          ),
        ),
      ),
    ],
    ['a witness twice', crafted(draft(witness(home, home, home)))],
    ['two witnesses', crafted(draft(witness(home, office)))],
    ['a mode that nobody knows', crafted(draft({ ...failover(agent, 'auto'), mode: 'often' } as never))],
    ['a member twice in a sync set', crafted(draft(syncSet(agent, good, [home, home])))],
    ['term 0', crafted(draft(assign(agent, home, 0, null)))],
    ['a prekey that ends before it starts', crafted(draft(prekey(home, 6, 5)))],
    ['a prekey for ever', crafted(draft(prekey(home, 0, 2 * PREKEY_LIFE_MS)))],
    ['a reason with a control character', crafted(draft({ ...removal, reason: '\u001b[31m' } as RecordBody))],
    ['a reason that is too long', crafted(draft({ ...removal, reason: 'x'.repeat(1_025) } as RecordBody))],
    ['text that is not UTF-8', crafted(draft({ ...removal, reason: 'ab' } as RecordBody)).replace('026162', '02c328')],
    [
      '17 relays',
      crafted(
        draft({
          type: 'relay',
          relays: Array.from({ length: 17 }, () => ({ address: 'wss://r', relay: home.id as never })),
        }),
      ),
    ],
  ]
  return [
    { name: 'nothing', bytes: '', error: 'RECORD_VERSION' },
    { name: 'another version', bytes: crafted(draft(removal), { version: 2 }), error: 'RECORD_VERSION' },
    ...malformed.map(([name, bytes]) => ({ name, bytes, error: 'RECORD_MALFORMED' })),
    // The time 1 as two bytes: 81 00.
    {
      name: 'a number in a longer form',
      bytes: crafted(draft(removal)).replace(`01${scene.mesh}01`, `01${scene.mesh}8100`),
      error: 'RECORD_NOT_CANONICAL',
    },
  ]
}
