import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { resolveHome } from '@sealmesh/node/keys/home'
import { KeyStore } from '@sealmesh/node/keys/key-store'
import { MEMBERSHIP, Membership, nodeIdFrom, TOKEN } from '@sealmesh/node/setup/identity'
import { Meta } from '@sealmesh/node/store/meta'
import { openSoundStore } from '@sealmesh/node/store/open-store'
import { openRelayLink } from '@sealmesh/node/uplink/relay-link'
import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import { BOX_BYTES } from '@sealmesh/protocol/envelope/header'
import { encodeHeader } from '@sealmesh/protocol/envelope/header-writer'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import type { MailboxId, MeshId, PacketId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { parseRelayAddress } from '@sealmesh/protocol/wire/address'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DAY_MS, later } from '../processes/later.ts'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers, untilInSync } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'
import { type Found, holds, rowsIn, windowsOf } from './relay-rows.ts'

/** Real nodes and a real relay over several days, whose clocks all go ahead by as much and run as clocks do. */
let directory: string
let relay: RelayProcess
const nodes = new Map<string, NodeProcess>()
const nodeOf = (name: string): NodeProcess => nodes.get(name)!

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sealmesh-days-'))
})
afterEach(async () => {
  for (const node of nodes.values()) await node.kill()
  nodes.clear()
  await relay.kill()
  rmSync(directory, { recursive: true, force: true })
})

async function begin(aheadMs: number, guests: readonly string[]): Promise<void> {
  const env = later(aheadMs)
  relay = await RelayProcess.start({ data: join(directory, 'relay'), env })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  const at = { home: join(directory, 'home'), name: 'home' }
  nodes.set('home', await NodeProcess.start({ ...at, relay: relay.address, ...claim, env }))
  for (const name of guests) {
    nodes.set(name, await pairNodes(nodeOf('home'), { home: join(directory, name), name, env }))
    await shareLayers(nodeOf('home'), 'home', ['semantic'], `${name}:write`)
  }
  await untilInSync(...nodes.values())
}

async function stop(name: string): Promise<void> {
  await nodeOf(name).stop()
  nodes.delete(name)
}

async function startAgain(name: string, aheadMs: number): Promise<void> {
  nodes.set(name, await NodeProcess.start({ home: join(directory, name), name, env: later(aheadMs) }))
}

async function write(by: string, item: string): Promise<void> {
  const door = await nodeOf(by).door()
  await door.call('set', { umr: `home.semantic.${item}`, value: JSON.stringify(`${item} by ${by}`) })
  await door.close()
}

async function has(who: string, item: string): Promise<boolean> {
  const door = await nodeOf(who).door()
  const got = await door.call('get', { umr: `home.semantic.${item}` })
  await door.close()
  return got.item !== null
}

const storedPackets = async (): Promise<number> =>
  Number(/^sealmesh_relay_stored_packets (\d+)/m.exec(await relay.metrics())?.[1] ?? 0)

const keysOf = (name: string, sodium: Sodium): Promise<KeyStore> =>
  KeyStore.load(resolveHome(join(directory, name), process.env).keys, { sodium, random: randomBytes })

test('midnight passes while all are connected: nobody dials again, and nothing that is written around it is missed', async () => {
  await begin(0, ['office'])
  const { aheadMs, isPast } = await untilJustBeforeMidnight()
  const before = await nodeOf('home').status()
  const items: string[] = []
  while (!isPast(3_000)) {
    const item = `item-${items.length}`
    items.push(item)
    await write(items.length % 2 === 0 ? 'home' : 'office', item)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  for (const who of ['home', 'office']) {
    for (const item of items) await until(`${who} has ${item}`, () => has(who, item))
    const { warnings } = await nodeOf(who).status()
    expect(warnings.map(({ code }) => code).filter((code) => code !== 'KIT_MISSING')).toEqual([])
  }
  await untilInSync(...nodes.values())
  const after = await nodeOf('home').status()
  expect(after.relays.map(({ since }) => since)).toEqual(before.relays.map(({ since }) => since))
  // The day after the new one is open by now: its mailbox was not when all began.
  await stop('office')
  expect(await outcomeTomorrow(aheadMs)).toBe('delivered')
})

/** Everything starts again by clocks of the day after, where it is a little before midnight when all are there. */
async function untilJustBeforeMidnight(): Promise<{ aheadMs: number; isPast: (ms: number) => boolean }> {
  // A machine that is busy with other things needs longer: then on the day after that.
  for (let [days, leftMs] = [2, 15_000]; ; days++, leftMs *= 2) {
    for (const name of ['home', 'office']) await stop(name)
    await relay.stop()
    const aheadMs = days * DAY_MS - (Date.now() % DAY_MS) - leftMs
    const midnightMs = Date.now() + leftMs
    const isPast = (ms: number): boolean => Date.now() - midnightMs >= ms
    relay = await RelayProcess.start({ data: join(directory, 'relay'), port: relay.port, env: later(aheadMs) })
    for (const name of ['home', 'office']) await startAgain(name, aheadMs)
    await untilInSync(...nodes.values())
    if (!isPast(-3_000)) return { aheadMs, isPast }
  }
}

/** What becomes of a packet for the home's mailbox of the next day, from a program that has the office's keys. */
async function outcomeTomorrow(aheadMs: number): Promise<string | undefined> {
  const sodium = await loadSodium()
  const [mine, theirs] = await Promise.all(['office', 'home'].map((name) => keysOf(name, sodium)))
  const secret = theirs!.mailboxes.secrets(Date.now() + aheadMs).at(-1)!
  const id = toHex(randomBytes(16)) as PacketId
  const recipients = [{ mailbox: mailboxOf(secret, sodium), box: randomBytes(BOX_BYTES) }]
  const header = encodeHeader(id, Date.now() + aheadMs + 60_000, recipients)
  const address = parseRelayAddress(relay.address)
  if (!address.ok) throw new Error('The relay has no address')
  const { store, close } = await openSoundStore(resolveHome(join(directory, 'office'), process.env).db, {
    now: Date.now,
    monotonicMs: () => performance.now(),
    mirrored: true,
  })
  const meta = new Meta(store)
  const token = (await meta.readBytes(TOKEN))!
  const mesh = (await meta.read(MEMBERSHIP, Membership))!.mesh as MeshId
  await close()
  let outcome: string | undefined
  const link = openRelayLink({
    address: address.value,
    login: { mesh, keys: mine!.login, token },
    mailboxes: () => [],
    sodium,
    log: { info: () => undefined },
    generations: { read: () => undefined, write: () => undefined },
    onEvent: (event) => {
      if (event.type === 'live') link.send(Buffer.concat([header, randomBytes(24 + 512 + 16)]))
      if (event.type === 'answer' && event.packet === id) outcome = event.outcomes[0]?.outcome
    },
  })
  await until('it is answered', () => outcome !== undefined)
  await link.close()
  return outcome
}

/** By whom each mailbox of these days is read, and what only its node may know. */
interface Known {
  readonly name: string
  readonly mailboxes: ReadonlySet<MailboxId>
  readonly secrets: readonly Uint8Array[]
}

async function known(name: string, aheadMs: number, sodium: Sodium): Promise<Known> {
  const keys = await keysOf(name, sodium)
  const opening = keys.mailboxes.secrets(Date.now() + aheadMs)
  const own = [keys.login, keys.sign, keys.foundingAgent].map(({ publicKey }) => publicKey)
  return {
    name,
    mailboxes: new Set(opening.map((secret) => mailboxOf(secret, sodium))),
    secrets: [...own, fromHex(nodeIdFrom(keys, sodium)), ...opening],
  }
}

/** Its mailboxes in which something lies. */
const waitingIn = ({ rows }: Found, { mailboxes }: Known): MailboxId[] =>
  [...mailboxes].filter((id) => rows.some(({ key }) => holds(key, fromHex(id))))

function expectNoLink(found: Found, all: readonly Known[]): void {
  for (const { name, mailboxes, secrets } of all) {
    for (const secret of secrets) expect(holds(found.files, secret), `${name} is named in the database`).toBe(false)
    const used: MailboxId[] = []
    for (const mailbox of mailboxes) {
      const id = fromHex(mailbox)
      const rows = found.rows.filter(({ key, value }) => holds(key, id) || holds(value, id))
      if (rows.length > 0) used.push(mailbox)
      for (const { key, value } of rows) {
        const others = [...mailboxes].filter((other) => other !== mailbox)
        for (const other of others) expect(holds(Buffer.concat([key, value]), fromHex(other))).toBe(false)
      }
    }
    for (const [at, one] of used.entries())
      for (const other of used.slice(at + 1)) {
        const windows = windowsOf(found, one)
        expect([...windowsOf(found, other)].filter((window) => windows.has(window))).toEqual([])
      }
  }
}

test('T-curious-5: a machine that was away for three days gets all of it, over restarts of the relay, from a disk that links nothing', async () => {
  const sodium = await loadSodium()
  await begin(0, ['office', 'laptop'])
  await stop('office')
  const items: string[] = []
  for (let day = 0; day < 3; day++) {
    const aheadMs = day * DAY_MS
    if (day > 0) {
      for (const name of ['home', 'laptop']) await stop(name)
      // Killed on one day, stopped on the other.
      if (day === 1) await relay.kill()
      else await relay.stop()
      relay = await RelayProcess.start({ data: join(directory, 'relay'), port: relay.port, env: later(aheadMs) })
      for (const name of ['home', 'laptop']) await startAgain(name, aheadMs)
    }
    const stored = await storedPackets()
    for (const by of ['home', 'laptop']) {
      const item = `day-${day}-${by}`
      items.push(item)
      await write(by, item)
    }
    await until('the laptop has it', () => has('laptop', `day-${day}-home`))
    await until('the home has it', () => has('home', `day-${day}-laptop`))
    await until('both have sent it to the office', async () => (await storedPackets()) >= stored + 2)
  }
  for (const name of ['home', 'laptop']) await stop(name)
  await relay.stop()
  const found = await rowsIn(join(directory, 'relay'))
  const all = await Promise.all(['home', 'office', 'laptop'].map((name) => known(name, 2 * DAY_MS, sodium)))
  // The scan is of something: what waits for the office lies in a mailbox for each of the days.
  expect(waitingIn(found, all[1]!)).toHaveLength(3)
  expectNoLink(found, all)

  const aheadMs = 3 * DAY_MS
  relay = await RelayProcess.start({ data: join(directory, 'relay'), port: relay.port, env: later(aheadMs) })
  // Alone: nobody is there to send it again.
  await startAgain('office', aheadMs)
  for (const item of items) await until(`the office has ${item}`, () => has('office', item))
  await stop('office')
  await relay.stop()
  expect(waitingIn(await rowsIn(join(directory, 'relay')), await known('office', aheadMs, sodium))).toEqual([])
})
