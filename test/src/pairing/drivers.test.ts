import { randomBytes } from 'node:crypto'
import { fromHex } from '@sealmesh/protocol/bytes'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import type { MailboxId } from '@sealmesh/protocol/ids'
import type { FailureCode } from '@sealmesh/protocol/errors'
import type { LoginPublicKey } from '@sealmesh/protocol/keys'
import type { NodeIdentity } from '@sealmesh/protocol/membership/record'
import type { Admission } from '@sealmesh/protocol/pairing/admission'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { TokenDraft } from '@sealmesh/protocol/wire/token'
import { InviterDriver } from '@sealmesh/node/pairing/inviter-driver'
import { joinByLink, type JoinOptions } from '@sealmesh/node/pairing/joiner-driver'
import { fetchLinkByCode } from '@sealmesh/node/pairing/code-guest'
import { codeFrom, numbersFrom, wordsFrom } from '@sealmesh/node/pairing/word-list'
import type { LinkEvent, LinkStatus, openRelayLink, RelayLinkOptions } from '@sealmesh/node/uplink/relay-link'
import { loadRistretto } from '@sealmesh/sodium/ristretto'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { PairingScene } from './pairing-scene.ts'

const sodium: Sodium = await loadSodium()
const ristretto = loadRistretto()
const quiet = { info: () => undefined, error: () => undefined }

/** One machine in a mesh, a relay in memory that knows who is enrolled, and machines that join. */
class Office {
  readonly scene = new PairingScene(sodium, `drivers ${randomBytes(8).toString('hex')}`)
  readonly enrolled: TokenDraft[] = []
  readonly admitted: NodeIdentity[] = []
  readonly screens: string[][] = []
  readonly packets: Uint8Array[] = []
  /** Where joiners write to, and which of these are closed again. */
  readonly mailboxes: MailboxId[] = []
  readonly closed: MailboxId[] = []
  /** Packets of a pairing that the inviter did not know for such. */
  strays = 0
  nowMs = Date.now()
  refusal: FailureCode | null = null
  admit: (identity: NodeIdentity) => Promise<Admission> = (identity) => Promise.resolve(this.scene.admission(identity))
  readonly #links = new Map<string, (event: LinkEvent) => void>()
  /** For logins that have not come yet. */
  readonly #stored: Uint8Array[] = []
  readonly relayAddress = this.scene.link().relayAddress
  readonly driver: InviterDriver

  constructor() {
    const { scene } = this
    this.driver = new InviterDriver({
      mesh: scene.mesh,
      openMailbox: (secret) => {
        this.mailboxes.push(mailboxOf(secret, sodium))
        return () => void this.closed.push(mailboxOf(secret, sodium))
      },
      relayAddress: () => this.relayAddress,
      sodium,
      ristretto: loadRistretto,
      random: randomBytes,
      now: () => this.nowMs,
      log: quiet,
      enrol: (token) => Promise.resolve(void this.enrolled.push(token)),
      sendPacket: (packet) => this.#toJoiner(packet),
      admit: (identity) => {
        this.admitted.push(identity)
        return this.admit(identity)
      },
    })
  }

  join(link: string, name = 'office', changes: Partial<JoinOptions> = {}) {
    const machine = this.scene.machine(name)
    return joinByLink({
      link,
      identity: machine.identity,
      keys: machine.keys,
      sodium,
      random: randomBytes,
      log: quiet,
      now: () => this.nowMs,
      onWords: (words) => this.screens.push(words),
      open: this.#open,
      ...changes,
    })
  }

  fetch(code: string) {
    const parsed = codeFrom(code)
    if (parsed === undefined) throw new Error('That is no code')
    return ristretto.then((ristretto) =>
      fetchLinkByCode({
        code: parsed,
        relay: this.relayAddress,
        sodium,
        ristretto,
        random: randomBytes,
        now: () => this.nowMs,
        log: quiet,
        open: this.#open,
      }),
    )
  }

  /** A relay link as the node's own, to a relay that forwards within this process. */
  readonly #open: typeof openRelayLink = (options: RelayLinkOptions) => {
    const key = options.login.keys.publicKey
    const mailbox = mailboxOf(key, sodium)
    const known = this.enrolled.some(({ loginKey }) => Buffer.compare(loginKey, key) === 0)
    const reason = this.refusal ?? (known ? null : 'TOKEN_INVALID')
    const state: LinkStatus['state'] = reason === null ? 'live' : reason === 'RELAY_UNREACHABLE' ? 'waiting' : 'refused'
    this.#links.set(mailbox, options.onEvent)
    setImmediate(() => {
      if (reason === null) {
        options.onEvent({ type: 'live', newGeneration: true })
        for (const packet of this.#stored.splice(0)) this.#toJoiner(packet)
      } else options.onEvent({ type: 'down', reason })
    })
    return {
      status: { state, reason, nextTryAtMs: null },
      send: (packet) => {
        this.packets.push(packet)
        setImmediate(() => {
          if (!this.driver.onPacket(packet)) this.strays++
          const header = readPacketHeader(packet)
          if (header.ok)
            options.onEvent({ type: 'answer', packet: header.value.id, outcomes: [{ outcome: 'delivered' }] })
        })
        return 'sent'
      },
      enrol: () => Promise.reject(new Error('A guest enrols nobody')),
      revoke: () => Promise.reject(new Error('A guest revokes nobody')),
      slot: () => Promise.reject(new Error('nobody asks')),
      vault: () => Promise.reject(new Error('nobody asks')),
      drained: async () => {},
      openMailboxes: () => undefined,
      nudge: () => undefined,
      close: () => Promise.resolve(void this.#links.delete(mailbox)),
    }
  }

  #toJoiner(packet: Uint8Array): void {
    this.packets.push(packet)
    const header = readPacketHeader(packet)
    if (!header.ok) throw new Error(header.error.code)
    const deliver = this.#links.get(header.value.recipients[0]?.mailbox ?? '')
    if (deliver === undefined) this.#stored.push(packet)
    setImmediate(() => deliver?.({ type: 'deliver', packet, acknowledge: () => undefined }))
  }
}

const offices: Office[] = []
const newOffice = (): Office => {
  const office = new Office()
  offices.push(office)
  return office
}
afterEach(() => {
  for (const { driver } of offices.splice(0)) driver.close()
})
const linkOf = ({ link }: { link: string | null }): string => link ?? ''

describe('pairing over a relay link', () => {
  test('without a person: the new machine has the mesh, its token and the relays', async () => {
    const office = newOffice()
    const started = await office.driver.start({ autoConfirm: true })
    expect(started).toMatchObject({ state: 'waiting', joinerName: null, words: [], error: null })
    const joined = await office.join(linkOf(started), 'office')
    expect(joined).toMatchObject({
      mesh: office.scene.mesh,
      inviter: office.scene.inviter.node,
      relays: ['wss://relay.example'],
    })
    expect(joined.records.length).toBe(2)
    expect(office.strays).toBe(0)
    expect(office.admitted).toMatchObject([{ name: 'office' }])
    expect(office.driver.view()).toMatchObject({
      state: 'done',
      link: null,
      joinerName: 'office',
      words: office.screens[0],
    })
  })

  test('with a person: both screens show the same four words, and nothing is sent before she agrees', async () => {
    const office = newOffice()
    const joining = office.join(linkOf(await office.driver.start({ autoConfirm: false })))
    await vi.waitFor(() => expect(office.screens.length).toBe(1))
    await vi.waitFor(() => expect(office.driver.view().state).toBe('confirm'))
    const { words, link } = office.driver.view()
    expect(words).toEqual(office.screens[0])
    expect(words.length).toBe(4)
    expect(link).toBeNull()
    expect(office.admitted).toEqual([])
    office.driver.confirm(words.map((word) => ` ${word.toUpperCase()}`))
    await expect(joining).resolves.toMatchObject({ mesh: office.scene.mesh })
    await vi.waitFor(() => expect(office.driver.view().state).toBe('done'))
  })

  test('lets the guest write to this machine only, and for little longer than the link', async () => {
    const office = newOffice()
    await office.driver.start({ autoConfirm: true })
    expect(office.enrolled).toMatchObject([{ kind: 'invite', adminKey: null, mailbox: office.mailboxes[0] }])
    expect(office.enrolled[0]?.expiresMs).toBeLessThanOrEqual(office.nowMs + 15 * 60_000)
  })

  test('with other words ends with PAIRING_WORDS_DIFFER on both sides', async () => {
    const office = newOffice()
    const joining = office.join(linkOf(await office.driver.start({ autoConfirm: false })))
    const ended = joining.catch((failure: unknown) => failure)
    const expected = { code: 'PAIRING_WORDS_DIFFER' }
    await vi.waitFor(() => expect(office.driver.view().state).toBe('confirm'))
    expect(() => office.driver.confirm(['these', 'are', 'no', 'words of the list'])).toThrow('four words')
    office.driver.confirm(['abandon', 'ability', 'able', 'about'])
    expect(await ended).toMatchObject(expected)
    expect(office.driver.view()).toMatchObject({ state: 'failed', error: { code: 'PAIRING_WORDS_DIFFER' } })
    expect(office.admitted).toEqual([])
  })

  test('a used link ends with LINK_USED, also after another link was made', async () => {
    const office = newOffice()
    const link = linkOf(await office.driver.start({ autoConfirm: true }))
    await office.join(link)
    await expect(office.join(link, 'second')).rejects.toMatchObject({ code: 'LINK_USED' })
    const next = linkOf(await office.driver.start({ autoConfirm: true }))
    await expect(office.join(link, 'third')).rejects.toMatchObject({ code: 'LINK_USED' })
    await expect(office.join(next, 'fourth')).resolves.toMatchObject({ mesh: office.scene.mesh })
  })

  test('a link that was taken back ends with PAIRING_REFUSED', async () => {
    const office = newOffice()
    const link = linkOf(await office.driver.start({ autoConfirm: true }))
    expect(office.driver.cancel()).toMatchObject({ state: 'none', link: null })
    await expect(office.join(link)).rejects.toMatchObject({ code: 'PAIRING_REFUSED' })
  })

  test('a wrong link ends with LINK_INVALID, one of another relay too', async () => {
    const office = newOffice()
    const link = linkOf(await office.driver.start({ autoConfirm: true }))
    for (const wrong of ['', 'sealmesh:', link.slice(0, -3), `${link}A`, link.replace('sealmesh:', 'http:')])
      await expect(office.join(wrong)).rejects.toMatchObject({ code: 'LINK_INVALID' })
    await expect(newOffice().join(link)).rejects.toMatchObject({ code: 'LINK_INVALID' })
  })

  test('an expired link ends with LINK_EXPIRED, whichever clock says so first', async () => {
    const office = newOffice()
    const link = linkOf(await office.driver.start({ autoConfirm: true }))
    const madeAtMs = office.nowMs
    office.nowMs += 10 * 60_000
    await expect(office.join(link)).rejects.toMatchObject({ code: 'LINK_EXPIRED' })
    // The new machine's clock is behind.
    await expect(office.join(link, 'behind', { now: () => madeAtMs })).rejects.toMatchObject({ code: 'LINK_EXPIRED' })
    expect(office.driver.view().state).toBe('expired')
    office.refusal = 'TOKEN_EXPIRED'
    await expect(office.join(link, 'behind', { now: () => madeAtMs })).rejects.toMatchObject({ code: 'LINK_EXPIRED' })
  })

  test('what the relay refuses has its own code', async () => {
    const office = newOffice()
    const link = linkOf(await office.driver.start({ autoConfirm: true }))
    const codes = {
      RELAY_WRONG_KEY: 'RELAY_WRONG_KEY',
      VERSION_MISMATCH: 'VERSION_MISMATCH',
      DUPLICATE_LOGIN: 'LINK_USED',
    } as const
    for (const [refusal, code] of Object.entries(codes)) {
      office.refusal = refusal as FailureCode
      await expect(office.join(link)).rejects.toMatchObject({ code })
    }
  })

  test('a relay that never answers ends with RELAY_UNREACHABLE', async () => {
    const office = newOffice()
    const link = linkOf(await office.driver.start({ autoConfirm: true }))
    office.refusal = 'RELAY_UNREACHABLE'
    const joining = office.join(link)
    const ended = joining.catch((failure: unknown) => failure)
    const expected = { code: 'RELAY_UNREACHABLE' }
    office.nowMs += 30_000
    expect(await ended).toMatchObject(expected)
  })

  test('an admission that fails is told to both, with its own code here', async () => {
    const office = newOffice()
    office.admit = () => Promise.reject(new Error('disk'))
    const link = linkOf(await office.driver.start({ autoConfirm: true }))
    await expect(office.join(link)).rejects.toMatchObject({ code: 'PAIRING_REFUSED' })
    expect(office.driver.view()).toMatchObject({ state: 'failed', error: { code: 'INTERNAL' } })
  })

  test('ends when the program does', async () => {
    const office = newOffice()
    const end = new AbortController()
    const joining = office.join(linkOf(await office.driver.start({ autoConfirm: false })), 'office', {
      signal: end.signal,
    })
    const ended = joining.catch((failure: unknown) => failure)
    const expected = { code: 'PAIRING_REFUSED' }
    await vi.waitFor(() => expect(office.screens.length).toBe(1))
    end.abort()
    expect(await ended).toMatchObject(expected)
    await vi.waitFor(() => expect(office.driver.view().state).toBe('failed'))
  })

  test('T-curious-3: no packet holds the secret, a name or a key in clear', async () => {
    const office = newOffice()
    const started = await office.driver.start({ autoConfirm: true })
    await office.join(linkOf(started), 'visible-name')
    const wire = Buffer.concat(office.packets)
    expect(wire.length).toBeGreaterThan(3_000)
    const identity = office.admitted[0] ?? office.scene.inviter.identity
    const hidden = [
      Buffer.from('visible-name'),
      identity.signKey,
      identity.loginKey satisfies LoginPublicKey,
      fromHex(identity.foundingAgent.id),
      fromHex(office.scene.mesh),
    ]
    for (const bytes of hidden) expect(wire.includes(Buffer.from(bytes))).toBe(false)
  })

  test('leaves packets alone that are not of a pairing', async () => {
    const office = newOffice()
    await office.driver.start({ autoConfirm: true })
    expect(office.driver.onPacket(randomBytes(800))).toBe(false)
    expect(office.driver.onPacket(new Uint8Array())).toBe(false)
  })
})

describe('a code', () => {
  const codeOf = ({ code }: { code: string | null }): string => code ?? ''
  /** The same words but for the last. */
  const wrongOf = (code: string): string => code.replace(/[a-z]+$/, (word) => (word === 'zoo' ? 'able' : 'zoo'))

  test('fetches the link, and the pairing goes on as with any link', async () => {
    const office = newOffice()
    const started = await office.driver.start({ autoConfirm: false, code: true })
    expect(started.code).toMatch(/^\d{6}-[a-z]+-[a-z]+$/)
    const link = await office.fetch(codeOf(started))
    expect(link).toBe(started.link)
    const joining = office.join(link)
    await vi.waitFor(() => expect(office.driver.view().state).toBe('confirm'))
    office.driver.confirm(office.driver.view().words)
    await expect(joining).resolves.toMatchObject({ mesh: office.scene.mesh })
    expect(office.strays).toBe(0)
  })

  test('that was wrong once is void, both sides are told, and its link is void with it', async () => {
    const office = newOffice()
    const started = await office.driver.start({ autoConfirm: false, code: true })
    await expect(office.fetch(wrongOf(codeOf(started)))).rejects.toMatchObject({ code: 'CODE_WRONG' })
    expect(office.driver.view()).toMatchObject({ state: 'failed', error: { code: 'CODE_WRONG' }, code: null })
    await expect(office.join(linkOf(started))).rejects.toMatchObject({ code: 'PAIRING_REFUSED' })
  })

  test('of which nobody at the relay has heard is refused there', async () => {
    const office = newOffice()
    await office.driver.start({ autoConfirm: false, code: true })
    await expect(newOffice().fetch('000000-able-zoo')).rejects.toMatchObject({ code: 'LINK_INVALID' })
  })
})

test('words stand for their numbers, and only four of the list do', () => {
  expect(wordsFrom([0, 2_047, 1, 1_000])).toEqual(['abandon', 'zoo', 'ability', 'laptop'])
  expect(numbersFrom(['abandon', 'zoo', 'ability', 'laptop'])).toEqual([0, 2_047, 1, 1_000])
  expect(numbersFrom(['abandon', 'zoo', 'ability'])).toBeUndefined()
  expect(numbersFrom(['abandon', 'zoo', 'ability', 'laptop', 'zoo'])).toBeUndefined()
  expect(numbersFrom(['abandon', 'zoo', 'ability', 'sealmesh'])).toBeUndefined()
})
