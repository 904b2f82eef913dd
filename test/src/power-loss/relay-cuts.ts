import { createHash, randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { toHex } from '@sealmesh/protocol/bytes'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { Failure } from '@sealmesh/protocol/errors'
import type { ChunkId, PacketId, SlotId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { hashOfBlob, SLOT_BLOB_BYTES } from '@sealmesh/protocol/wire/slot'
import { loadSodium } from '@sealmesh/sodium/load'
import { buildShim, powerDisk } from '../power-cut/power.ts'
import { withDoubles } from '../processes/doubles.ts'
import { RelayProcess } from '../processes/relay.ts'
import { type Member, TestMesh } from '../relay/mesh.ts'
import { TestLink } from '../relay/running-relay.ts'
import type { Cuts } from './node-cuts.ts'
import { Tally } from './tally.ts'

const IN_FLIGHT = 32
const SLOTS = 4
const CHUNKS = 3
const CHUNK_BYTES_MAX = 20_000
const EXPIRY_MS = 3_600_000

/**
 * The power of a relay's machine goes while it takes packets, slots and snapshots. Whatever it answered for has to be
 * there: a packet as it was sent, a slot as it was set last or as the set without an answer would have it, a snapshot
 * that was called whole with every byte of its chunks.
 */
export async function relayCuts(cuts: Cuts): Promise<Tally> {
  return await withRelay({}, async (around) => await cutAgainAndAgain(around, cuts))
}

export async function unsyncedRelayCuts(cuts: Cuts): Promise<Tally> {
  const tally = new Tally()
  // What was lost would be lost again with every later cut.
  for (let cut = 0; cut < cuts.cuts; cut++)
    tally.add(await withRelay(UNSYNCED, async (around) => await cutAgainAndAgain(around, { ...cuts, cuts: 1 })))
  return tally
}

const UNSYNCED = withDoubles({ level: new URL('../power-cut/unsynced-level.ts', import.meta.url) })

interface Around {
  readonly directory: string
  readonly sodium: Sodium
  readonly mesh: TestMesh
  readonly env: Readonly<Record<string, string>>
  relay: RelayProcess
}

async function withRelay(
  env: Readonly<Record<string, string>>,
  use: (around: Around) => Promise<Tally>,
): Promise<Tally> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-power-loss-'))
  const sodium = await loadSodium()
  const relay = await RelayProcess.start({ data: path.join(directory, 'data') })
  const around: Around = { directory, sodium, mesh: new TestMesh(sodium, directory), env, relay }
  try {
    return await use(around)
  } finally {
    await around.relay.kill()
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

async function cutAgainAndAgain(around: Around, { cuts, writes, dice, progress }: Cuts): Promise<Tally> {
  const tally = new Tally()
  const { directory, mesh, sodium, env } = around
  const claim = around.relay.claim
  const sender = mesh.member('sender', { admin: true, ...(claim === undefined ? {} : { code: claim }) })
  const reader = mesh.member('reader')
  // Both are known to it before the first cut.
  for (const member of [sender, reader]) await (await linkTo(around, member)).link.close()
  await around.relay.stop()
  const disk = powerDisk(path.join(directory, 'data'), path.join(directory, 'side'), buildShim(directory))
  const restart = async (): Promise<void> => {
    const { port } = around.relay
    around.relay = await RelayProcess.start({
      data: path.join(directory, 'data'),
      port,
      env: { ...env, ...disk.environment },
    })
  }
  await restart()
  const promises = new Promises(mesh, sodium, tally, reader)
  while (tally.cuts < cuts) {
    const link = await linkTo(around, sender)
    const death = new AbortController()
    const working = promises.make(link, death.signal)
    await Promise.race([promises.reached(writes * (0.5 + dice())), working])
    await around.relay.kill()
    death.abort()
    await link.link.close()
    await working
    if (disk.watched() === 0) throw new Error('the shim watched nothing')
    disk.cut(dice)
    tally.cuts += 1
    await restart()
    const [again, mail] = [await linkTo(around, sender), await linkTo(around, reader)]
    await promises.check(again, mail)
    await again.link.close()
    await mail.link.close()
    progress?.(`relay: ${tally.cuts} of ${cuts} cuts, ${tally.total} writes, ${tally.broken.length} broken`)
  }
  return tally
}

const linkTo = async ({ relay, sodium }: Around, member: Member): Promise<TestLink> =>
  await new TestLink(relay.address, member, sodium).live()

interface Slot {
  readonly id: SlotId
  /** As it was answered last; and what may or may not be there since. */
  blob: Uint8Array | null
  trying: Uint8Array | null
}

/** What a relay has promised since it was last looked at, and of slots and snapshots all that holds still. */
class Promises {
  readonly #mesh: TestMesh
  readonly #sodium: Sodium
  readonly #tally: Tally
  readonly #reader: Member
  readonly #slots: Slot[]
  #stored = new Map<PacketId, string>()
  #kept: ReadonlyMap<ChunkId, Uint8Array> | undefined
  #answered = 0
  #wake: () => void = () => undefined

  constructor(mesh: TestMesh, sodium: Sodium, tally: Tally, reader: Member) {
    this.#mesh = mesh
    this.#sodium = sodium
    this.#tally = tally
    this.#reader = reader
    this.#slots = Array.from({ length: SLOTS }, () => ({
      id: toHex(randomBytes(32)) as SlotId,
      blob: null,
      trying: null,
    }))
  }

  /** Keeps everything in flight until the relay is dead. */
  async make(link: TestLink, death: AbortSignal): Promise<void> {
    const untilDown = async (work: () => Promise<void>): Promise<void> => {
      try {
        while (!death.aborted) await work()
      } catch (error) {
        // The link breaks a moment before it is known that the relay is dead.
        if (!(error instanceof Failure) || error.code !== 'RELAY_CLOSED') throw error
      }
    }
    await Promise.all([
      this.#packets(link, death),
      ...this.#slots.map((slot) => untilDown(() => this.#setSlot(link, slot))),
      untilDown(() => this.#leaveSnapshot(link)),
    ])
  }

  async reached(count: number): Promise<void> {
    const enough = this.#answered + count
    while (this.#answered < enough) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  async check(sender: TestLink, reader: TestLink): Promise<void> {
    await this.#checkMail(reader)
    for (const slot of this.#slots) await this.#checkSlot(sender, slot)
    await this.#checkSnapshot(sender)
  }

  #promise(kind: string): void {
    this.#tally.promise(kind)
    this.#answered += 1
    this.#wake()
  }

  async #packets(link: TestLink, death: AbortSignal): Promise<void> {
    const flying = new Map<PacketId, string>()
    // What was answered before it died is looked at once more.
    for (let isOver = false; !isOver; isOver = death.aborted) {
      while (flying.size < IN_FLIGHT) {
        const { id, bytes } = this.#mesh.packet([this.#reader.mailbox], Date.now() + EXPIRY_MS)
        if (link.link.send(bytes) !== 'sent') break
        flying.set(id, digestOf(bytes))
      }
      await new Promise((resolve) => setImmediate(resolve))
      for (const [id, digest] of flying) {
        const outcome = link.outcomes.get(id)
        if (outcome === undefined) continue
        flying.delete(id)
        link.outcomes.delete(id)
        if (outcome !== 'stored') continue
        this.#stored.set(id, digest)
        this.#promise('packets')
      }
      // The events of thousands of answers are of no use here.
      link.events.splice(0, link.events.length - 8)
    }
  }

  async #setSlot(link: TestLink, slot: Slot): Promise<void> {
    const blob = new Uint8Array(randomBytes(SLOT_BLOB_BYTES))
    slot.trying = blob
    const expected = slot.blob === null ? null : hashOfBlob(slot.blob, this.#sodium)
    const { receipt } = await link.link.slot({ type: 'setSlot', slot: slot.id, expected, leastAgeMs: 0, blob })
    if (receipt.result !== 'set') {
      this.#tally.lost.push(`slot ${slot.id}: ${receipt.result}`)
      return
    }
    slot.blob = blob
    slot.trying = null
    this.#promise('slots')
  }

  async #checkSlot(link: TestLink, slot: Slot): Promise<void> {
    const { blob } = await link.link.slot({ type: 'readSlot', slot: slot.id })
    const there = blob === null ? undefined : digestOf(blob)
    const mayBe = [slot.blob, slot.trying].filter((each) => each !== null).map(digestOf)
    if (slot.blob !== null || there !== undefined)
      this.#tally.found(`slot ${slot.id}`, mayBe.find((each) => each === there) ?? mayBe[0] ?? 'nothing', there)
    slot.blob = blob
    slot.trying = null
  }

  async #leaveSnapshot(link: TestLink): Promise<void> {
    const chunks = new Map(
      Array.from({ length: CHUNKS }, () => [
        toHex(randomBytes(32)) as ChunkId,
        new Uint8Array(randomBytes(1 + Math.floor(Math.random() * CHUNK_BYTES_MAX))),
      ]),
    )
    await link.link.vault({ type: 'vaultNames', begin: true, chunks: [...chunks.keys()] })
    for (const [chunk, bytes] of chunks) await link.link.vault({ type: 'vaultPut', chunk, bytes })
    const [root] = chunks.keys()
    if (root === undefined) return
    await link.link.vault({ type: 'vaultKeep', root })
    this.#kept = chunks
    this.#promise('snapshots')
  }

  /** The last that was called whole: three are kept. */
  async #checkSnapshot(link: TestLink): Promise<void> {
    if (this.#kept === undefined) return
    const listed = await link.link.vault({ type: 'vaultList' })
    const [root] = this.#kept.keys()
    const vault = listed.find(({ snapshots }) => snapshots.some((snapshot) => snapshot.root === root))
    if (vault === undefined) return void this.#tally.lost.push(`snapshot ${root}`)
    for (const [chunk, bytes] of this.#kept) {
      const there = await link.link.vault({ type: 'vaultGet', vault: vault.vault, chunk })
      this.#tally.found(`chunk ${chunk}`, digestOf(bytes), there === null ? undefined : digestOf(there))
    }
  }

  /** What was delivered to a reader that acknowledged it may go: looked at once. */
  async #checkMail(link: TestLink): Promise<void> {
    const got = new Map<PacketId, string>()
    const read = (): void => {
      for (const bytes of link.got.splice(0)) {
        const header = readPacketHeader(bytes)
        if (header.ok) got.set(header.value.id, digestOf(bytes))
        else this.#tally.torn.push('the relay delivered what is no packet')
      }
    }
    while (!link.has('drained')) {
      read()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    read()
    for (const [id, digest] of this.#stored) this.#tally.found(`packet ${id}`, digest, got.get(id))
    this.#stored = new Map()
  }
}

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
