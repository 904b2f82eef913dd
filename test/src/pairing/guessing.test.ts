import { toHex } from '@sealmesh/protocol/bytes'
import { firstInviter, type Inviter, stepInviter } from '@sealmesh/protocol/pairing/inviter'
import { startJoiner, stepJoiner } from '@sealmesh/protocol/pairing/joiner'
import { commitTo, wordsFor } from '@sealmesh/protocol/pairing/transcript'
import type { WordNumbers } from '@sealmesh/protocol/pairing/words'
import { loadSodium } from '@sealmesh/sodium/load'
import { loadRistretto } from '@sealmesh/sodium/ristretto'
import { newCode } from '@sealmesh/node/pairing/word-list'
import { expect, test } from 'vitest'
import { CodeScene } from './code-scene.ts'
import { PairingScene, START_MS } from './pairing-scene.ts'

/**
 * Ten thousand tries at the two ways in. What is really built never loses; the same with one rule taken away loses as
 * often as arithmetic says, which shows that these tries would find a hole.
 */
const sodium = await loadSodium()
const deps = { sodium, ristretto: await loadRistretto() }
const MIDDLE_RUNS = 9_000
const CODE_RUNS = 1_000
/** Thousands of exchanges, on a machine that does other things too. */
const SLOW_MS = 180_000

/** Wins that so many runs with this chance each may have: five deviations to both sides. */
function likely(runs: number, chance: number): { least: number; most: number } {
  const spread = 5 * Math.sqrt(runs * chance * (1 - chance))
  return { least: Math.floor(runs * chance - spread), most: Math.ceil(runs * chance + spread) }
}
function expectLikely(wins: number, runs: number, chance: number): void {
  const { least, most } = likely(runs, chance)
  expect(least).toBeGreaterThan(0) // Else no wins at all would pass.
  expect(wins).toBeGreaterThanOrEqual(least)
  expect(wins).toBeLessThanOrEqual(most)
}
const same = (a: WordNumbers, b: WordNumbers): boolean => a.every((word, at) => word === b[at])
/** Words of two bits each: eight in all. */
const eightBits = (words: WordNumbers): number => words.reduce((bits, word) => bits * 4 + (word & 3), 0)

const world = { nowMs: START_MS, sodium }

/** Not as the compiler has narrowed it. */
const stateOf = (inviter: Inviter): Inviter['state'] => inviter.state

/** One run of somebody in between who has the link, through both real cores: the words on the two screens. */
function throughTheMiddle(scene: PairingScene): { old: WordNumbers; fresh: WordNumbers; admitted: boolean } {
  const { random } = scene
  const link = scene.link()
  const { identity, keys } = scene.inviter
  const prekey = keys.prekey.publicKey
  const canary = { value: random(32), seed: random(32) }
  const invite = { link, nonce: random(32), canary, autoConfirm: false }
  const victim = { link, joiner: { identity, prekey }, keys, session: toHex(random(16)), nonce: random(32) }
  const thief = { ...victim, session: toHex(random(16)), nonce: random(32) }
  const introduction = (attempt: typeof victim) => ({ link, session: attempt.session, joiner: attempt.joiner })

  let inviter: Inviter = firstInviter
  const tell = (message: Parameters<typeof stepInviter>[1]): void => {
    inviter = stepInviter(inviter, message, invite, world).next
  }
  const commitment = commitTo(thief.nonce, 'joiner', introduction(thief), sodium)
  tell({ type: 'message', message: { type: 'join', session: thief.session, joiner: thief.joiner, commitment } })
  tell({ type: 'message', message: { type: 'reveal', session: thief.session, nonce: thief.nonce } })

  const ownNonce = random(32)
  const promise = commitTo(ownNonce, 'inviter', introduction(victim), sodium)
  let joiner = startJoiner(victim, world).next
  const accept = { type: 'accept', session: victim.session, commitment: promise } as const
  joiner = stepJoiner(joiner, { type: 'message', message: accept }, victim, world).next
  const reveal = { type: 'reveal', session: victim.session, nonce: ownNonce } as const
  joiner = stepJoiner(joiner, { type: 'message', message: reveal }, victim, world).next
  if (inviter.state !== 'confirming' || joiner.state !== 'fetching') throw new Error('There are no words')
  const { words: old } = inviter
  // She reads the words off the new machine and confirms those.
  tell({ type: 'confirmed', words: joiner.words })
  return { old, fresh: joiner.words, admitted: stateOf(inviter) !== 'failed' }
}

test(
  'T-pairing-1: in 9,000 runs nobody in the middle makes the screens agree; with words of 8 bits one in 256 does',
  () => {
    const scene = new PairingScene(sodium, 'middle')
    let [wins, admitted, weakWins] = [0, 0, 0]
    for (let run = 0; run < MIDDLE_RUNS; run++) {
      const { old, fresh, admitted: isIn } = throughTheMiddle(scene)
      if (same(old, fresh)) wins++
      if (isIn) admitted++
      if (eightBits(old) === eightBits(fresh)) weakWins++
    }
    expect([wins, admitted]).toEqual([0, 0])
    expectLikely(weakWins, MIDDLE_RUNS, 1 / 256)
  },
  SLOW_MS,
)

test(
  'T-pairing-2: without commitments before the nonces, trying 128 nonces makes words of 8 bits agree in four runs of ten',
  () => {
    const scene = new PairingScene(sodium, 'no commitment')
    const [runs, tries] = [600, 128]
    const { random } = scene
    let wins = 0
    for (let run = 0; run < runs; run++) {
      const link = scene.link()
      const introduction = {
        link,
        session: toHex(random(16)),
        joiner: { identity: scene.inviter.identity, prekey: scene.inviter.keys.prekey.publicKey },
      }
      const shown = eightBits(wordsFor(introduction, { joiner: random(32), inviter: random(32) }, sodium))
      // He knows the joiner's nonce by now, and has promised nothing.
      const known = random(32)
      const hit = Array.from({ length: tries }, () => random(32)).some(
        (own) => eightBits(wordsFor(introduction, { joiner: known, inviter: own }, sodium)) === shown,
      )
      if (hit) wins++
    }
    expectLikely(wins, runs, 1 - (1 - 1 / 256) ** tries)
  },
  SLOW_MS,
)

test(
  'T-pairing-7: in 1,000 runs nobody guesses a code',
  () => {
    let wins = 0
    for (let run = 0; run < CODE_RUNS; run++) {
      const scene = new CodeScene(deps, `guess ${run}`, newCode(scenesRandom(run)))
      const guess = newCode(scenesRandom(run + CODE_RUNS))
      // The number is no secret: whoever tries knows it.
      if (scene.hear(scene.guess({ ...guess, number: scene.offer.code.number }).message)?.type === 'link') wins++
      expect(scene.now.state).not.toBe('open')
    }
    expect(wins).toBe(0)
  },
  SLOW_MS,
)

test(
  'T-pairing-7: a code of 4 bits that outlives wrong tries falls four times as often as one that is void after the first',
  () => {
    const [runs, tries] = [160, 4]
    let [wins, weakWins] = [0, 0]
    for (let run = 0; run < runs; run++) {
      const random = scenesRandom(run)
      const bits = (): number => (random(1)[0] ?? 0) & 15
      const scene = new CodeScene(deps, `weak ${run}`, { number: 1, words: [0, bits()] })
      const first = bits()
      const fell = Array.from({ length: tries }, (_, at) => {
        // The first try is at what is built; the others are as if it had not been void since.
        if (at > 0) scene.now = { state: 'open' }
        return scene.hear(scene.guess({ number: 1, words: [0, (first + at) & 15] }).message)?.type === 'link'
      })
      if (fell[0] === true) wins++
      if (fell.includes(true)) weakWins++
    }
    expectLikely(weakWins, runs, tries / 16)
    expect(wins).toBeLessThanOrEqual(likely(runs, 1 / 16).most)
    expect(weakWins).toBeGreaterThan(2 * wins)
  },
  SLOW_MS,
)

function scenesRandom(seed: number): (bytes: number) => Uint8Array {
  return new PairingScene(sodium, `guessing ${seed}`).random
}
