import type { PairingMessage } from '@sealmesh/protocol/pairing/message'
import { commitTo } from '@sealmesh/protocol/pairing/transcript'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Channel, type JoinerEnd } from './channel.ts'
import { PairingScene } from './pairing-scene.ts'

/**
 * Somebody has the link, and stands between the two machines: `09_invite_nosecret` is what happens without a secret,
 * `10_invite_link` with one; the four words are for when the secret has leaked.
 */
const sodium: Sodium = await loadSodium()

/** Both ends of the one in the middle: a joiner towards the old machine, an inviter towards the new one. */
function inBetween(seed: number) {
  const scene = new PairingScene(sodium, `in between ${seed}`)
  const real = new Channel(scene)
  const fake = new Channel(scene, { link: real.invite.link })
  return { scene, real, fake, thief: real.join(scene.machine('thief')), victim: fake.join(scene.machine('office')) }
}

const runBoth = (one: Channel, other: Channel, until: () => boolean): boolean => {
  for (let turn = 0; turn < 2_000 && !until(); turn++) {
    one.run(until, 10)
    other.run(until, 10)
  }
  return until()
}

describe('somebody in the middle who has the link', () => {
  test('T-pairing-1: cannot make both screens show the same words, so that nobody is admitted', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const { real, fake, victim } = inBetween(seed)
        expect(runBoth(real, fake, () => real.inviter.state === 'confirming' && victim.words !== null)).toBe(true)
        if (real.inviter.state !== 'confirming' || victim.words === null) throw new Error('No words')
        expect(victim.words).not.toEqual(real.inviter.words)
        // The person reads the words off the new machine, and they are not the ones here.
        real.feedInviter({ type: 'confirmed', words: victim.words })
        expect(real.inviter).toMatchObject({ state: 'failed', reason: 'PAIRING_WORDS_DIFFER' })
        expect(real.admitted).toEqual([])
      }),
      { numRuns: 40 },
    )
  })

  test('T-pairing-2: cannot choose a nonce once the other is known: it was committed to', () => {
    const { scene, real, thief } = inBetween(1)
    expect(real.run(() => real.inviter.state === 'committed')).toBe(true)
    const { session } = thief.attempt
    real.feedInviter({ type: 'message', message: { type: 'reveal', session, nonce: scene.random(32) } })
    expect(real.inviter).toMatchObject({ state: 'failed', reason: 'PAIRING_REFUSED' })

    const { fake, victim } = inBetween(2)
    expect(fake.run(() => victim.now.state === 'revealing')).toBe(true)
    const reveal: PairingMessage = { type: 'reveal', session: victim.attempt.session, nonce: scene.random(32) }
    fake.feedJoiner(victim, { type: 'message', message: reveal })
    expect(victim.now).toMatchObject({ state: 'failed', reason: 'PAIRING_REFUSED' })
    expect(victim.words).toBeNull()
  })

  test('T-pairing-2: cannot answer with the joiner’s own commitment: it says whose it is', () => {
    const { scene, fake, victim } = inBetween(3)
    const { attempt } = victim
    const introduction = { link: attempt.link, session: attempt.session, joiner: attempt.joiner }
    const mirrored = commitTo(attempt.nonce, 'joiner', introduction, scene.sodium)
    fake.feedJoiner(victim, {
      type: 'message',
      message: { type: 'accept', session: attempt.session, commitment: mirrored },
    })
    fake.feedJoiner(victim, {
      type: 'message',
      message: { type: 'reveal', session: attempt.session, nonce: attempt.nonce },
    })
    expect(victim.now).toMatchObject({ state: 'failed', reason: 'PAIRING_REFUSED' })
  })

  test('T-pairing-1: cannot change who joins in what it passes on: another name or key is another transcript', () => {
    const { scene, real, thief } = inBetween(4)
    const { attempt } = thief
    for (const change of [{ name: 'friendly' }, { signKey: scene.machine('x').identity.signKey }]) {
      const channel = new Channel(scene, { link: real.invite.link })
      const joiner = { ...attempt.joiner, identity: { ...attempt.joiner.identity, ...change } }
      const introduction = { link: attempt.link, session: attempt.session, joiner: attempt.joiner }
      const commitment = commitTo(attempt.nonce, 'joiner', introduction, sodium)
      const { session, nonce } = attempt
      channel.feedInviter({ type: 'message', message: { type: 'join', session, joiner, commitment } })
      channel.feedInviter({ type: 'message', message: { type: 'reveal', session, nonce } })
      expect(channel.inviter).toMatchObject({ state: 'failed', reason: 'PAIRING_REFUSED' })
    }
  })

  test('T-pairing-5: who says anything at any time, in anybody’s name, admits nobody that was not confirmed', () => {
    const message = fc.oneof(
      fc.record({ type: fc.constant('reveal' as const), nonce: fc.uint8Array({ minLength: 32, maxLength: 32 }) }),
      fc.record({ type: fc.constant('want' as const), next: fc.nat(20) }),
      fc.record({ type: fc.constant('done' as const) }),
      fc.record({ type: fc.constant('accept' as const), commitment: fc.uint8Array({ minLength: 32, maxLength: 32 }) }),
      fc.record({
        type: fc.constant('chunk' as const),
        index: fc.nat(9),
        count: fc.constantFrom(10, 11),
        bytes: fc.uint8Array({ maxLength: 20 }),
      }),
      fc.record({
        type: fc.constant('refuse' as const),
        reason: fc.constantFrom('LINK_USED' as const, 'PAIRING_REFUSED' as const),
      }),
    )
    fc.assert(
      fc.property(fc.nat(), fc.array(fc.tuple(message, fc.boolean(), fc.nat(40)), { maxLength: 30 }), (seed, said) => {
        const scene = new PairingScene(sodium, `noise ${seed}`)
        const channel = new Channel(scene)
        const end: JoinerEnd = channel.join(scene.machine('office'))
        for (const [each, toInviter, forMs] of said) {
          channel.post(toInviter ? 'inviter' : end, { ...each, session: end.attempt.session } as PairingMessage)
          channel.run(() => false, forMs)
        }
        channel.run(() => channel.inviter.state === 'failed' || end.now.state === 'failed', 5_000)
        expect(channel.admitted).toEqual([])
        expect(end.now.state).not.toBe('joined')
        if (channel.inviter.state === 'confirming' && end.words !== null)
          expect(channel.inviter.words).toEqual(end.words)
      }),
      { numRuns: 150 },
    )
  })
})
