import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { toHex } from '@sealmesh/protocol/bytes'
import { mintIncarnation } from '@sealmesh/protocol/crdt/incarnation'
import { mailboxOn } from '@sealmesh/protocol/envelope/daily-mailboxes'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { makeContentKey, sealPacket } from '@sealmesh/protocol/envelope/seal'
import type { MeshId, NodeId, PacketId } from '@sealmesh/protocol/ids'
import { livePrekey } from '@sealmesh/protocol/membership/access'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import { decodeRecord } from '@sealmesh/protocol/membership/record-codec'
import { parseRelayAddress } from '@sealmesh/protocol/wire/address'
import { resolveHome } from '@sealmesh/node/keys/home'
import { KeyStore } from '@sealmesh/node/keys/key-store'
import { MEMBERSHIP, Membership, nodeIdFrom, TOKEN } from '@sealmesh/node/setup/identity'
import { Meta } from '@sealmesh/node/store/meta'
import { openSoundStore } from '@sealmesh/node/store/open-store'
import { RecordStore } from '@sealmesh/node/store/record-store'
import { type LinkEvent, openRelayLink } from '@sealmesh/node/uplink/relay-link'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers, untilInSync } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** A member that misbehaves: the office's own keys, in a program that is not a node. */

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-quarantine-'))
const officeHome = path.join(directory, 'office')
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess

beforeAll(async () => {
  relay = await RelayProcess.start({ data: path.join(directory, 'relay') })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  home = await NodeProcess.start({ home: path.join(directory, 'home'), name: 'home', relay: relay.address, ...claim })
  office = await pairNodes(home, { home: officeHome, name: 'office' })
  await shareLayers(home, 'home', ['semantic'], 'office:write')
  await untilInSync(home, office)
})
afterAll(async () => {
  await office.stop()
  await home.stop()
  await relay.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

const random = (bytes: number): Uint8Array => randomBytes(bytes)

/** Everything that the office's home holds. */
async function identityOfOffice() {
  const sodium = await loadSodium()
  const at = resolveHome(officeHome, process.env)
  const keys = await KeyStore.load(at.keys, { sodium, random })
  const { store, close } = await openSoundStore(at.db, {
    now: Date.now,
    monotonicMs: () => performance.now(),
    mirrored: true,
  })
  const meta = new Meta(store)
  const mesh = (await meta.read(MEMBERSHIP, Membership))!.mesh as MeshId
  const { stored } = await RecordStore.load(store)
  const records = stored.map((bytes) => {
    const record = decodeRecord(bytes, sodium)
    if (!record.ok) throw new Error('A stored record cannot be read')
    return record.value
  })
  const log = MembershipLog.restore(mesh, records, sodium)
  const token = (await meta.readBytes(TOKEN))!
  await close()
  return { sodium, keys, mesh: log.mesh, token, node: nodeIdFrom(keys, sodium) }
}

test('T-relay-11: bad packets of every kind that pass a relay: one code each, one answer for all, and nothing stalls', async () => {
  await office.stop()
  const { sodium, keys, mesh, token, node } = await identityOfOffice()
  const target = [...mesh.nodes.values()].find(({ name }) => name === 'home')!
  const newest = livePrekey(target, Date.now())!
  const prekey = newest.publicKey
  const incarnation = mintIncarnation(node, random(8), sodium)
  let sequence = 0
  const seal = (changes: { sender?: NodeId; signKey?: typeof keys.sign.secretKey; to?: NodeId } = {}): Uint8Array => {
    const { sender = node, signKey = keys.sign.secretKey, to = target.id } = changes
    const recipients = [{ node: to, mailbox: mailboxOn(newest, Date.now())!, prekey, sequence: ++sequence }]
    return sealPacket(
      {
        mesh: mesh.id,
        kind: 'sync',
        sender: { node: sender, incarnation, signKey },
        recipients,
        logHeads: [],
        payload: random(40),
        packetId: toHex(random(16)) as PacketId,
        expiresMs: Date.now() + 60_000,
        content: makeContentKey([prekey], random, sodium),
        nonce: random(24),
      },
      sodium,
    )
  }
  const stranger = sodium.signKeys('sign', random(32)).secretKey
  const bad: Record<string, Uint8Array> = {
    PACKET_CORRUPT: seal().with(-1, 0),
    PACKET_BOX_CLOSED: seal().with(100, 0),
    PACKET_SENDER_UNKNOWN: seal({ sender: toHex(random(32)) as NodeId }),
    PACKET_SIGNATURE: seal({ signKey: stranger }),
    PACKET_RECIPIENT_SWAPPED: seal({ to: node }),
    PACKET_PAYLOAD_MALFORMED: seal(),
  }
  const address = parseRelayAddress(relay.address)
  if (!address.ok) throw new Error('The relay has no address')
  const answers = new Map<PacketId, unknown>()
  let live = false
  const onEvent = (event: LinkEvent): void => {
    if (event.type === 'live') live = true
    if (event.type === 'answer') answers.set(event.packet, event.outcomes)
  }
  const link = openRelayLink({
    address: address.value,
    login: { mesh: mesh.id, keys: keys.login, token },
    mailboxes: () => [],
    sodium,
    log: { info: () => undefined },
    generations: { read: () => undefined, write: () => undefined },
    onEvent,
  })
  try {
    await until('the relay has let us in', () => live)
    for (const packet of Object.values(bad)) link.send(packet)
    await until('all are answered', () => Object.values(bad).every((packet) => answers.has(idOf(packet))))
  } finally {
    await link.close()
  }
  // Delivered, all of them: whoever sent them learns nothing else.
  const first = JSON.stringify(answers.get(idOf(bad.PACKET_PAYLOAD_MALFORMED!)))
  for (const packet of Object.values(bad)) expect(JSON.stringify(answers.get(idOf(packet)))).toBe(first)

  const listed = await until('each is listed', async () => {
    const said = await runProgram(BIN.node, ['quarantine', 'ls', '--home', home.home, '--json'], { name: 'quarantine' })
    const listing = JSON.parse(said.program.stdout.toString()) as {
      packets: { code: string; times: number; sender: string | null; senderProven: boolean }[]
    }
    return listing.packets.length >= Object.keys(bad).length ? listing.packets : undefined
  })
  expect(listed.map(({ code }) => code).toSorted()).toEqual(Object.keys(bad).toSorted())
  for (const each of listed) expect(each.times).toBe(1)
  expect(listed.find(({ code }) => code === 'PACKET_PAYLOAD_MALFORMED')).toMatchObject({
    sender: 'office',
    senderProven: true,
  })
  expect(listed.find(({ code }) => code === 'PACKET_SIGNATURE')).toMatchObject({ senderProven: false })
  expect((await home.status()).warnings.map(({ code }) => code)).toContain('PACKETS_NOT_USED')

  // Nothing of it is in the way of what comes after, and the list outlives its process.
  await home.stop()
  home = await NodeProcess.start({ home: home.home, name: 'home' })
  office = await NodeProcess.start({ home: officeHome, name: 'office' })
  const door = await office.door()
  await door.call('set', { umr: 'home.semantic.after', value: '"all the same"' })
  const atHome = await home.door()
  await until('what the office wrote is at home', async () => {
    const { item } = await atHome.call('get', { umr: 'home.semantic.after' })
    return item?.type === 'register' && item.value === '"all the same"'
  })
  const after = await atHome.call('quarantine.ls', {})
  for (const code of Object.keys(bad)) expect(after.packets.map((each) => each.code)).toContain(code)
  for (const { code, times } of after.packets) if (code in bad) expect(times).toBe(1)
})

function idOf(packet: Uint8Array): PacketId {
  const header = readPacketHeader(packet)
  if (!header.ok) throw new Error(header.error.code)
  return header.value.id
}
