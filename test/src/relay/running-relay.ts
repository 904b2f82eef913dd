import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LinkEvent, RelayLink } from '@sealmesh/node/uplink/relay-link'
import { openRelayLink } from '@sealmesh/node/uplink/relay-link'
import type { SeenGeneration } from '@sealmesh/node/uplink/greeting'
import { fromHex } from '@sealmesh/protocol/bytes'
import type { FailureCode } from '@sealmesh/protocol/errors'
import type { PacketId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { parseRelayAddress, type RelayAddress } from '@sealmesh/protocol/wire/address'
import { askRelay } from '@sealmesh/relay/control/client'
import type { RelayStatus } from '@sealmesh/relay/control/status'
import { dataDirectory } from '@sealmesh/relay/data/data-directory'
import { BIN, Program } from '../processes/program.ts'
import { until } from '../processes/wait.ts'
import type { Member } from './mesh.ts'

/** A relay process with what it printed, and links to it that remember what they heard. */
export interface RunningRelay {
  readonly program: Program
  readonly data: string
  readonly address: string
  readonly http: string
  readonly claim: string | null
}

export async function startRelay(data: string, ...flags: readonly string[]): Promise<RunningRelay> {
  const tls = flags.includes('--tls') ? [] : ['--tls', 'none']
  const host = flags.includes('--host') ? [] : ['--host', '127.0.0.1']
  const port = flags.includes('--port') ? [] : ['--port', '0']
  const args = ['up', '--json', '--data', data, ...tls, ...host, ...port, ...flags]
  const program = new Program(BIN.relay, args, { name: 'relay' })
  const said = await program.line((line) => (typeof line['address'] === 'string' ? line : undefined))
  return {
    program,
    data,
    address: String(said['address']),
    http: String(said['http']),
    claim: typeof said['claim'] === 'string' ? said['claim'] : null,
  }
}

export const healthOf = async ({ data }: RunningRelay): Promise<RelayStatus> =>
  await askRelay(dataDirectory(data, {}), '/status')

/** A closed socket takes a moment to reach the relay. */
export const connectionsAre = (relay: RunningRelay, count: number): Promise<unknown> =>
  until(`${count} connections are left`, async () => (await healthOf(relay)).connections.total === count)

export const portOf = (relay: RunningRelay): string => new URL(relay.address).port

export function temporaryDirectory(): { path: string; data: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'sealmesh-relay-'))
  return { path, data: join(path, 'data'), remove: () => rmSync(path, { recursive: true, force: true }) }
}

export function parsed(address: string): RelayAddress {
  const result = parseRelayAddress(address)
  if (!result.ok) throw new Error(`not a relay address: ${address}`)
  return result.value
}

export class TestLink {
  readonly link: RelayLink
  readonly events: LinkEvent[] = []
  readonly got: Uint8Array[] = []
  readonly outcomes = new Map<PacketId, string>()
  seen: SeenGeneration | undefined
  /** What opens the mailboxes that it reads. */
  secrets: readonly Uint8Array[]
  /** Whether deliveries are acknowledged as they come. */
  acknowledging = true

  constructor(address: string, member: Member, sodium: Sodium, code?: string, seen?: SeenGeneration) {
    this.seen = seen
    const { login } = member
    this.secrets = [member.mailboxSecret]
    if (code !== undefined && login.claim === undefined) throw new Error('make the member with its code')
    this.link = openRelayLink({
      address: parsed(address),
      login,
      mailboxes: () => this.secrets,
      sodium,
      log: { info: () => undefined },
      generations: {
        read: () => this.seen,
        write: (next) => {
          this.seen = next
        },
      },
      onEvent: (event) => this.#hear(event),
    })
  }

  #hear(event: LinkEvent): void {
    this.events.push(event)
    if (event.type === 'deliver') {
      this.got.push(Uint8Array.from(event.packet))
      if (this.acknowledging) event.acknowledge()
    }
    if (event.type === 'answer') {
      const [first] = event.outcomes
      if (first !== undefined)
        this.outcomes.set(event.packet, first.outcome === 'refused' ? first.reason : first.outcome)
    }
  }

  has<Type extends LinkEvent['type']>(type: Type): boolean {
    return this.events.some((event) => event.type === type)
  }

  async live(): Promise<this> {
    await until('the link is live', () => this.link.status.state === 'live')
    // Only then is its mailbox open.
    await until('it reads', () => this.has('drained') || this.has('deliver'))
    return this
  }

  /** The reason of the first failure. */
  async refusal(): Promise<FailureCode> {
    const down = await until('the relay refuses', () => this.events.find((event) => event.type === 'down'))
    return down.reason
  }

  async answered(packet: PacketId): Promise<string> {
    return await until('the packet is answered', () => this.outcomes.get(packet))
  }

  async received(count: number): Promise<Uint8Array[]> {
    await until(`${count} packets are here`, () => this.got.length >= count)
    return this.got
  }
}

/** The same member, logging in at a relay with another id. */
export const withRelayId = (address: string, relay: string): string => {
  if (fromHex(relay).length !== 32) throw new Error('not a relay id')
  return address.replace(/relay=[0-9a-f]{64}/, `relay=${relay}`)
}
