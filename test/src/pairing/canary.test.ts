import type { Sodium } from '@sealmesh/protocol/sodium'
import { CANARY_BYTES } from '@sealmesh/protocol/pairing/message'
import { type JoinerKeys, proveKeys, provesKeys, sealCanary } from '@sealmesh/protocol/pairing/canary'
import type { Introduction } from '@sealmesh/protocol/pairing/transcript'
import { SENDING_WAIT_MS } from '@sealmesh/protocol/pairing/inviter'
import { loadSodium } from '@sealmesh/sodium/load'
import { describe, expect, test } from 'vitest'
import { Channel, type JoinerEnd } from './channel.ts'
import { type Machine, PairingScene } from './pairing-scene.ts'

const sodium: Sodium = await loadSodium()
let scenes = 0
const newScene = () => new PairingScene(sodium, `canary ${scenes++}`)

/** Confirmed, and then somebody speaks for it who has not its keys. */
function joinAndDie(channel: Channel, scene: PairingScene): JoinerEnd {
  const end = channel.join(scene.machine('office'))
  expect(channel.run(() => channel.inviter.state === 'proving')).toBe(true)
  end.now = { state: 'failed', reason: 'PAIRING_TIMEOUT' }
  return end
}

const KEYS = ['sign', 'login', 'prekey'] as const

describe('a machine that is to be admitted', () => {
  test.each(KEYS)('T-pairing-8: with a wrong %s key is refused by both, and nobody is admitted', (name) => {
    const scene = newScene()
    const channel = new Channel(scene, { autoConfirm: true })
    const wrong: Partial<JoinerKeys> = { [name]: scene.machine('other').keys[name] }
    const end = channel.join(scene.machine('office'), undefined, wrong)
    expect(channel.run(() => end.now.state === 'failed' && channel.inviter.state === 'failed')).toBe(true)
    expect(end.now).toMatchObject({ reason: 'KEY_MISMATCH' })
    expect(channel.inviter).toMatchObject({ reason: 'KEY_MISMATCH' })
    expect(channel.admitted).toEqual([])
  })

  test('T-pairing-8: is not, when it never answers, whatever else it says', () => {
    const scene = newScene()
    const channel = new Channel(scene, { autoConfirm: true })
    const { session } = joinAndDie(channel, scene).attempt
    channel.feedInviter({ type: 'message', message: { type: 'want', session, next: 0 } })
    channel.feedInviter({ type: 'message', message: { type: 'done', session } })
    expect(channel.inviter.state).toBe('proving')
    expect(channel.run(() => channel.inviter.state === 'failed')).toBe(true)
    expect(channel.inviter).toMatchObject({ reason: 'PAIRING_TIMEOUT' })
    expect(channel.admitted).toEqual([])
  })
})

test('T-pairing-8: asking for the canary again and again puts the end off for nobody', () => {
  const scene = newScene()
  const channel = new Channel(scene, { autoConfirm: true })
  const { attempt } = joinAndDie(channel, scene)
  for (let asked = 0; asked < 20; asked++) {
    channel.feedInviter({ type: 'message', message: { type: 'want', session: attempt.session, next: 0 } })
    channel.run(() => false, SENDING_WAIT_MS / 10)
  }
  expect(channel.inviter).toMatchObject({ state: 'failed', reason: 'PAIRING_TIMEOUT' })
  expect(channel.admitted).toEqual([])
})

describe('the proof', () => {
  const introduce = (scene: PairingScene, { identity, keys }: Machine): Introduction => ({
    link: scene.link(),
    session: '5e'.repeat(16),
    joiner: { identity, prekey: keys.prekey.publicKey },
  })
  const scene = newScene()
  const office = scene.machine('office')
  const introduction = introduce(scene, office)
  const canary = scene.random(CANARY_BYTES)
  const box = sealCanary(canary, office.keys.prekey.publicKey, scene.random(32), sodium) ?? new Uint8Array()
  const proof = proveKeys(box, introduction, office.keys, sodium) ?? new Uint8Array()

  test('of the keys that were named holds', () => {
    expect(provesKeys(proof, canary, introduction, sodium)).toBe(true)
  })

  test('T-pairing-8: does not hold with any bit changed, for another canary, session or machine', () => {
    for (let at = 0; at < proof.length; at++)
      expect(provesKeys(proof.with(at, proof[at]! ^ (1 << (at % 8))), canary, introduction, sodium), `byte ${at}`).toBe(
        false,
      )
    expect(provesKeys(proof, scene.random(CANARY_BYTES), introduction, sodium)).toBe(false)
    expect(provesKeys(proof, canary, { ...introduction, session: '5f'.repeat(16) }, sodium)).toBe(false)
    const other = introduce(scene, scene.machine('other'))
    expect(provesKeys(proof, canary, { ...introduction, joiner: other.joiner }, sodium)).toBe(false)
  })

  test('is not given for a box that was not sealed to us, or holds something else', () => {
    const stranger = scene.machine('stranger').keys.prekey
    expect(proveKeys(box, introduction, { ...office.keys, prekey: stranger }, sodium)).toBeUndefined()
    const short = sealCanary(canary.subarray(1), office.keys.prekey.publicKey, scene.random(32), sodium)
    expect(proveKeys(short ?? box, introduction, office.keys, sodium)).toBeUndefined()
    expect(proveKeys(new Uint8Array(80), introduction, office.keys, sodium)).toBeUndefined()
  })

  test('a prekey that is no point gets no canary', () => {
    const nowhere = new Uint8Array(32) as typeof office.keys.prekey.publicKey
    expect(sealCanary(canary, nowhere, scene.random(32), sodium)).toBeUndefined()
  })
})
