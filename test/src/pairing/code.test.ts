import { toHex } from '@sealmesh/protocol/bytes'
import type { RelayId } from '@sealmesh/protocol/ids'
import { fetchedLink } from '@sealmesh/protocol/pairing/code-exchange'
import type { PairingMessage } from '@sealmesh/protocol/pairing/message'
import { codeFrom, codeText, newCode } from '@sealmesh/node/pairing/word-list'
import { loadSodium } from '@sealmesh/sodium/load'
import { loadRistretto } from '@sealmesh/sodium/ristretto'
import { describe, expect, test } from 'vitest'
import { seededRandom } from '../envelope/scene.ts'
import { CodeScene, LINK } from './code-scene.ts'

const deps = { sodium: await loadSodium(), ristretto: await loadRistretto() }
const CODE = { number: 482_119, words: [7, 2_000] as const }
const OTHER = { number: 482_119, words: [7, 2_001] as const }
let scenes = 0
const newScene = () => new CodeScene(deps, `code ${scenes++}`, CODE)

type Given = Extract<PairingMessage, { type: 'link' }>

describe('a code', () => {
  test('fetches its link, and fetches it again while the answer is on its way', () => {
    const scene = newScene()
    const answer = scene.guess(CODE)
    for (let times = 0; times < 3; times++)
      expect(fetchedLink(scene.hear(answer.message) as Given, answer, deps.sodium)).toBe(LINK)
  })
  test('T-pairing-7: that is wrong is void: the right one comes too late', () => {
    const scene = newScene()
    expect(scene.hear(scene.guess(OTHER).message)).toMatchObject({ type: 'refuse', reason: 'CODE_WRONG' })
    expect(scene.now).toEqual({ state: 'spent', reason: 'CODE_WRONG' })
    expect(scene.hear(scene.guess(CODE).message)).toMatchObject({ type: 'refuse', reason: 'CODE_WRONG' })
  })
  test('T-pairing-7: that was used is refused to a second machine that knows it', () => {
    const scene = newScene()
    scene.hear(scene.guess(CODE).message)
    expect(scene.hear(scene.guess(CODE).message)).toMatchObject({ type: 'refuse', reason: 'LINK_USED' })
  })
  test('T-pairing-7: that has expired, or was taken back, is refused', () => {
    const late = newScene()
    late.nowMs = late.offer.expiresMs
    expect(late.hear(late.guess(CODE).message)).toMatchObject({ type: 'refuse', reason: 'LINK_EXPIRED' })
    const taken = newScene()
    taken.feed({ type: 'cancelled' })
    expect(taken.hear(taken.guess(CODE).message)).toMatchObject({ type: 'refuse', reason: 'PAIRING_REFUSED' })
  })
  test('T-pairing-7: of another machine is refused and spends nothing', () => {
    const [scene, foreign] = [newScene(), newScene()]
    expect(scene.hear(foreign.guess(CODE).message)).toMatchObject({ type: 'refuse', reason: 'LINK_USED' })
    expect(scene.now.state).toBe('open')
  })
  test('T-pairing-7: is bound to the relay: what is said over another one is a wrong try', () => {
    const scene = newScene()
    const elsewhere = scene.guess(CODE, { relay: toHex(scene.random(32)) as RelayId })
    expect(scene.hear(elsewhere.message)).toMatchObject({ type: 'refuse', reason: 'CODE_WRONG' })
  })
  test('T-pairing-7: answers a point that is none as a wrong try', () => {
    const scene = newScene()
    const { message } = scene.guess(CODE)
    if (message.type !== 'answer') throw new Error(message.type)
    expect(scene.hear({ ...message, point: new Uint8Array(32) })).toMatchObject({ reason: 'CODE_WRONG' })
  })
  test('T-pairing-7: gives the link to nobody who hears all that is said, and no other link to the one who asks', () => {
    const scene = newScene()
    const answer = scene.guess(CODE)
    const given = scene.hear(answer.message) as Given
    for (const guessed of [CODE, OTHER]) expect(fetchedLink(given, scene.guess(guessed), deps.sodium)).toBeUndefined()
    for (let at = 0; at < given.sealed.length; at += 7)
      expect(
        fetchedLink({ ...given, sealed: given.sealed.with(at, given.sealed[at]! ^ 1) }, answer, deps.sodium),
      ).toBeUndefined()
  })
  test('is read however a person types it, and nothing else is read as one', () => {
    const random = seededRandom('codes')
    for (let each = 0; each < 200; each++) {
      const code = newCode(random)
      expect(codeText(code)).toMatch(/^\d{6}-[a-z]+-[a-z]+$/)
      expect(codeFrom(codeText(code))).toEqual(code)
      expect(codeFrom(` ${codeText(code).toUpperCase().replaceAll('-', '  ')} `)).toEqual(code)
    }
    for (const text of ['', '48211-able-zoo', '482119-able', '482119-able-nonsense', '482119-able-zoo-zoo', LINK])
      expect(codeFrom(text)).toBeUndefined()
  })
})
