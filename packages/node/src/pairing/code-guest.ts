import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import { Failure } from '@sealmesh/protocol/errors'
import type { MeshId } from '@sealmesh/protocol/ids'
import { codeKeys, type PairingCode } from '@sealmesh/protocol/pairing/code'
import { answerOffer, type CodeAnswer, fetchedLink } from '@sealmesh/protocol/pairing/code-exchange'
import type { PairingMessage } from '@sealmesh/protocol/pairing/message'
import { openPairingPacket, sealPairingPacket } from '@sealmesh/protocol/pairing/pairing-packet'
import { type Ristretto, SCALAR_RANDOM_BYTES } from '@sealmesh/protocol/ristretto'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { RelayAddress } from '@sealmesh/protocol/wire/address'
import { openRelayLink } from '../uplink/relay-link.ts'
import { refusalMessage } from './failure-message.ts'
import { relayFailure } from './relay-failure.ts'

export interface FetchOptions {
  readonly code: PairingCode
  readonly relay: RelayAddress
  readonly sodium: Sodium
  readonly ristretto: Ristretto
  readonly random: (bytes: number) => Uint8Array
  readonly now: () => number
  readonly log: { info(fields: object, message: string): void }
  /** For tests; the real one otherwise. */
  readonly open?: typeof openRelayLink
}

const SAY_AGAIN_MS = 1_000
const GIVE_UP_MS = 30_000
const PACKET_LIFE_MS = 10 * 60_000

/** The link that a code stands for, or a `Failure`. One try: the code is spent, whatever comes of it. */
export async function fetchLinkByCode(options: FetchOptions): Promise<string> {
  const { code, relay: address, sodium, ristretto, random, now } = options
  const keys = codeKeys(code.number, sodium)
  const mailbox = mailboxOf(keys.login.publicKey, sodium)
  const attempt = { code, relay: address.relay, scalar: ristretto.toScalar(random(SCALAR_RANDOM_BYTES)) }
  let answer: CodeAnswer | undefined
  let wasLive = false
  let resolve: (link: string) => void = () => undefined
  let fail: (failure: Failure) => void = () => undefined
  const fetched = new Promise<string>((done, failed) => {
    resolve = done
    fail = failed
  })

  const heard = (message: PairingMessage): void => {
    switch (message.type) {
      case 'offer':
        // The first one: a second guess at the same code would be a second try for whoever made the offer.
        answer ??= answerOffer(message, attempt, { sodium, ristretto })
        return say()
      case 'link': {
        if (answer === undefined) return
        const link = fetchedLink(message, answer, sodium)
        return link === undefined ? fail(refused('CODE_WRONG')) : resolve(link)
      }
      case 'refuse':
        if (answer !== undefined) fail(refused(message.reason))
        return
      default:
    }
  }
  const refused = (reason: Parameters<typeof refusalMessage>[0]): Failure =>
    new Failure(reason, refusalMessage(reason, 'joiner'))
  const say = (): void => {
    if (answer === undefined) return
    const to = { mailbox: answer.inviter, key: keys.packet['to-inviter'], expiresMs: now() + PACKET_LIFE_MS }
    link.send(sealPairingPacket(answer.message, to, random, sodium))
  }
  const link = (options.open ?? openRelayLink)({
    address,
    // The number's login is enrolled and names no mesh.
    login: { mesh: NO_MESH, keys: keys.login, token: new Uint8Array() },
    mailboxes: () => [keys.login.publicKey],
    sodium,
    log: options.log,
    generations: { read: () => undefined, write: () => undefined },
    onEvent: (event) => {
      if (event.type === 'live') wasLive = true
      if (event.type === 'deliver') {
        const message = openPairingPacket(event.packet, { mailbox, key: keys.packet['to-joiner'] }, sodium)
        event.acknowledge()
        if (message !== undefined) heard(message)
      } else if (event.type === 'down' && link.status.state === 'refused') fail(relayFailure(event.reason))
    },
  })
  const again = setInterval(say, SAY_AGAIN_MS)
  const end = setTimeout(() => fail(wasLive ? refused('PAIRING_TIMEOUT') : relayFailure(null)), GIVE_UP_MS)
  try {
    return await fetched
  } finally {
    clearInterval(again)
    clearTimeout(end)
    await link.close()
    attempt.scalar.fill(0)
    keys.login.secretKey.erase()
  }
}

const NO_MESH = '0'.repeat(64) as MeshId
