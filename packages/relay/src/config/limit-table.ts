import { PACKET_BYTES_MAX } from '@sealmesh/protocol/limits'
import { DEFAULT_LIMITS, type RelayLimits } from '../core/limits.ts'

/** How an owner writes one limit: its bounds, its unit, and what it is for. */
export interface LimitRow {
  readonly min: number
  readonly max: number
  readonly unit: 'ms' | 'bytes' | ''
  readonly about: string
}

const DAY_MS = 24 * 60 * 60_000
/** Beyond what any disk of today holds, and far below what a number can count. */
const BYTES_MAX = 2 ** 50
const COUNT_MAX = 2 ** 24

const ms = (min: number, max: number, about: string): LimitRow => ({ min, max, unit: 'ms', about })
/** At least one packet, or nothing could be sent at all. */
const bytes = (about: string, max = BYTES_MAX): LimitRow => ({ min: PACKET_BYTES_MAX, max, unit: 'bytes', about })
const count = (about: string, max = COUNT_MAX): LimitRow => ({ min: 1, max, unit: '', about })

/** A new limit does not compile until it has a row. In the order of the file that `config init` writes. */
export const LIMIT_TABLE = {
  mailboxBytesMax: bytes('What may wait in one mailbox: for one node, of one day.'),
  mailboxPacketsMax: count('How many packets may.'),
  meshBytesMax: bytes('What may wait for all nodes of a mesh.'),
  meshPacketsMax: count('How many packets may.'),
  meshMailboxesMax: count('Mailboxes of a mesh that nobody reads now: a node that is away has one for each day.'),
  loginMailboxesMax: count('Of these, what one node has begun by sending to them.'),
  meshLoginsMax: count('Nodes and open invites of one mesh.', 2 ** 20),
  meshRevocationsMax: count('Removed keys that are remembered for one mesh.'),
  meshSlotsMax: count('Slots of one mesh, where leases lie.'),
  loginVaultBytesMax: bytes('Snapshots that one node leaves here.'),
  meshVaultBytesMax: bytes('Snapshots of all nodes of a mesh.'),
  loginVaultChunksMax: count('Pieces of the snapshots of one node; each costs some 170 bytes of memory.'),
  meshVaultChunksMax: count('Pieces of the snapshots of a mesh.'),
  unackedBytesMax: bytes('Delivered to one connection and not yet acknowledged; beyond it packets wait.', 2 ** 30),
  unansweredBytesMax: bytes(
    'Sent by one connection and not yet answered; beyond it the relay stops reading it.',
    2 ** 30,
  ),
  loginSendBytesPerSecond: bytes(
    'What one node may send in a second; what is stored counts twice. After a burst of two seconds it is read more slowly.',
    2 ** 40,
  ),
  loginSendPacketsPerSecond: count('How many packets it may.'),
  meshConnectionsMax: count('Connections of one mesh at once.', 2 ** 20),
  slotQuestionsMax: count('Questions about slots that wait for others, per connection.', 4_096),
  vaultReadsMax: count('Pieces of snapshots that one connection waits for at once.', 4_096),
  loginOpensMax: count('Mailboxes that one node opens in a minute; each costs a hash.'),
  loginWaitMs: ms(100, 60_000, 'A stranger has to log in within this.'),
  addressGreetingsMax: count('Connections of one address that have not logged in yet.', 65_536),
  addressFailuresMax: count('Failed logins of one address within a minute.', 65_536),
  stallMs: ms(1_000, 600_000, 'A reader at its cap that acknowledges nothing for so long is cut.'),
  silenceMs: ms(25_000, DAY_MS, 'A connection without a word for so long is cut; nodes ping every 20 seconds.'),
} as const satisfies Record<keyof RelayLimits, LimitRow>

export type LimitName = keyof RelayLimits

export const LIMIT_NAMES = Object.keys(LIMIT_TABLE) as LimitName[]

/** `mailboxBytesMax` as files and commands have it: `mailbox_bytes_max`. */
export const keyOfLimit = (name: LimitName): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const NAME_OF_KEY: ReadonlyMap<string, LimitName> = new Map(LIMIT_NAMES.map((name) => [keyOfLimit(name), name]))

export const limitOfKey = (key: string): LimitName | undefined => NAME_OF_KEY.get(key)

/** What a value must be, in words. */
export function expectedOf(name: LimitName): string {
  const { min, max, unit } = LIMIT_TABLE[name]
  return `expected a whole number${unit === '' ? '' : ` of ${unit}`} between ${min} and ${max}`
}

export const isWithin = (name: LimitName, value: number): boolean =>
  Number.isSafeInteger(value) && value >= LIMIT_TABLE[name].min && value <= LIMIT_TABLE[name].max

export const defaultOf = (name: LimitName): number => DEFAULT_LIMITS[name]
