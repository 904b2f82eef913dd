import { loadSodium } from '@sealmesh/sodium/load'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { concatBytes } from '@sealmesh/protocol/bytes'
import { type Admission, encodeAdmission } from '@sealmesh/protocol/pairing/admission'
import { WINDOW_CHUNKS } from '@sealmesh/protocol/pairing/inviter'
import { wordsOf } from '@sealmesh/protocol/pairing/words'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CALM, Channel, type JoinerEnd, type Weather } from './channel.ts'
import { MINUTE_MS, PairingScene, START_MS } from './pairing-scene.ts'

const sodium: Sodium = await loadSodium()
let scenes = 0
const newScene = (seed: string | number = scenes++) => new PairingScene(sodium, `pairing ${seed}`)

const failedWith = (reason: string) => ({ state: 'failed', reason })
const isOver = (end: JoinerEnd): boolean => end.now.state === 'joined' || end.now.state === 'failed'

const holds = ({ now }: JoinerEnd, admission: Admission): boolean =>
  now.state === 'joined' && Buffer.compare(whole(now.admission), whole(admission)) === 0
const whole = (admission: Admission): Uint8Array => concatBytes(...encodeAdmission(admission))

/** The person at the old machine, who has both screens before her. */
function confirmWhenShown(channel: Channel, end: JoinerEnd): void {
  expect(channel.run(() => channel.inviter.state === 'confirming' && end.words !== null)).toBe(true)
  if (channel.inviter.state !== 'confirming' || end.words === null) throw new Error('No words')
  expect(channel.inviter.words).toEqual(end.words)
  channel.feedInviter({ type: 'confirmed', words: end.words })
}

describe('two machines that pair', () => {
  test('show the same four words, and the new one is admitted when they are confirmed', () => {
    const scene = newScene()
    const [channel, office] = [new Channel(scene), scene.machine('office')]
    const end = channel.join(office)
    expect(channel.run(() => channel.inviter.state === 'confirming')).toBe(true)
    channel.run(() => false, MINUTE_MS)
    expect(channel.admitted).toEqual([]) // Nothing happens while nobody has confirmed.
    confirmWhenShown(channel, end)
    expect(channel.run(() => channel.inviter.state === 'done' && isOver(end))).toBe(true)
    expect(channel.admitted).toMatchObject([{ identity: { name: 'office' } }])
    expect(end.now).toMatchObject({ state: 'joined', inviter: scene.inviter.node })
  })

  test('finish over a channel that loses, doubles and reorders, with the same words and one admission', () => {
    const weather: fc.Arbitrary<Weather> = fc.record({
      loss: fc.double({ min: 0, max: 0.4, noNaN: true }),
      duplicate: fc.double({ min: 0, max: 0.5, noNaN: true }),
      delayMs: fc.integer({ min: 0, max: 3_000 }),
    })
    fc.assert(
      fc.property(fc.nat(), weather, fc.boolean(), (seed, weather, autoConfirm) => {
        const scene = newScene(seed)
        const channel = new Channel(scene, { weather, autoConfirm })
        const end = channel.join(scene.machine('office'))
        if (!autoConfirm) confirmWhenShown(channel, end)
        expect(channel.run(() => isOver(end))).toBe(true)
        expect(end.now.state).toBe('joined')
        expect(channel.admitted.length).toBe(1)
        if (!('words' in channel.inviter)) throw new Error(channel.inviter.state)
        expect(channel.inviter.words).toEqual(end.words)
        // If its last words are lost, the joiner still answers what it is sent.
        expect(channel.run(() => channel.inviter.state === 'done' || channel.inviter.state === 'failed')).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  test('move an admission of many chunks, in windows, without waiting for silence between them', () => {
    const scene = newScene()
    const office = scene.machine('office')
    const admission = scene.admission(office.identity, 100)
    expect(encodeAdmission(admission).length).toBeGreaterThan(2 * WINDOW_CHUNKS)
    const channel = new Channel(scene, { autoConfirm: true, weather: { ...CALM, delayMs: 0 } })
    channel.admission = () => admission
    const end = channel.join(office)
    expect(channel.run(() => isOver(end))).toBe(true)
    expect(holds(end, admission)).toBe(true)
    expect(channel.nowMs - START_MS).toBeLessThan(1_000)

    const storm = new Channel(scene, { autoConfirm: true, weather: { loss: 0.3, duplicate: 0.3, delayMs: 500 } })
    storm.admission = () => admission
    const stormy = storm.join(office)
    expect(storm.run(() => isOver(stormy))).toBe(true)
    expect(holds(stormy, admission)).toBe(true)
  })
})

describe('a link', () => {
  test('T-pairing-3: lets one machine in: a second one is told LINK_USED, before and after the first is through', () => {
    const scene = newScene()
    const channel = new Channel(scene)
    const first = channel.join(scene.machine('office'))
    channel.run(() => channel.inviter.state === 'committed')
    const second = channel.join(scene.machine('thief'))
    expect(channel.run(() => isOver(second))).toBe(true)
    expect(second.now).toEqual(failedWith('LINK_USED'))
    confirmWhenShown(channel, first)
    expect(channel.run(() => channel.inviter.state === 'done')).toBe(true)
    const third = channel.join(scene.machine('late'))
    expect(channel.run(() => isOver(third))).toBe(true)
    expect(third.now).toEqual(failedWith('LINK_USED'))
    expect(channel.admitted).toMatchObject([{ identity: { name: 'office' } }])
  })

  test('T-pairing-3: of which two machines take part at once goes to one of them, whatever the order', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const scene = newScene(seed)
        const channel = new Channel(scene, {
          autoConfirm: true,
          weather: { loss: 0.2, duplicate: 0.3, delayMs: 2_000 },
        })
        const ends = [channel.join(scene.machine('one')), channel.join(scene.machine('two'))]
        expect(channel.run(() => ends.every(isOver))).toBe(true)
        expect(ends.map(({ now }) => now.state).sort()).toEqual(['failed', 'joined'])
        expect(ends.find(({ now }) => now.state === 'failed')?.now).toEqual(failedWith('LINK_USED'))
        expect(channel.admitted.length).toBe(1)
      }),
      { numRuns: 30 },
    )
  })

  test('T-pairing-3: that has expired is refused by the new machine’s own clock, and by the old one’s', () => {
    const scene = newScene()
    const expired = new Channel(scene, { link: scene.link({ expiresMs: START_MS }) })
    expect(expired.join(scene.machine('office')).now).toEqual(failedWith('LINK_EXPIRED'))
    // The new machine's clock is behind: it was told another expiry than the old one knows.
    const link = scene.link({ expiresMs: START_MS + 1_000 })
    const channel = new Channel(scene, { link })
    channel.run(() => false, 2_000)
    expect(channel.inviter).toMatchObject(failedWith('LINK_EXPIRED'))
    const end = channel.join(scene.machine('office'), { ...link, expiresMs: START_MS + MINUTE_MS })
    expect(channel.run(() => isOver(end))).toBe(true)
    expect(end.now).toEqual(failedWith('LINK_EXPIRED'))
  })

  test('expires while nobody confirms, and the new machine is told', () => {
    const scene = newScene()
    const channel = new Channel(scene)
    const end = channel.join(scene.machine('office'))
    expect(channel.run(() => isOver(end))).toBe(true)
    expect(end.now).toEqual(failedWith('LINK_EXPIRED'))
    expect(channel.admitted).toEqual([])
  })

  test('T-pairing-3: that was taken back is refused', () => {
    const scene = newScene()
    const channel = new Channel(scene)
    channel.feedInviter({ type: 'cancelled' })
    const end = channel.join(scene.machine('office'))
    expect(channel.run(() => isOver(end))).toBe(true)
    expect(end.now).toEqual(failedWith('PAIRING_REFUSED'))
  })

  test('that nobody answers for ends within a minute or so', () => {
    const scene = newScene()
    const channel = new Channel(scene, { weather: { loss: 1, duplicate: 0, delayMs: 1 } })
    const end = channel.join(scene.machine('office'))
    expect(channel.run(() => isOver(end), 2 * MINUTE_MS)).toBe(true)
    expect(end.now).toEqual(failedWith('PAIRING_TIMEOUT'))
  })
})

describe('the person at the old machine', () => {
  test('T-pairing-1: who confirms other words ends it, and the link with it', () => {
    const scene = newScene()
    const channel = new Channel(scene)
    const end = channel.join(scene.machine('office'))
    expect(channel.run(() => end.words !== null)).toBe(true)
    channel.feedInviter({ type: 'confirmed', words: wordsOf(scene.random(32), sodium) })
    expect(channel.run(() => isOver(end))).toBe(true)
    expect(end.now).toEqual(failedWith('PAIRING_WORDS_DIFFER'))
    expect(channel.inviter).toMatchObject(failedWith('PAIRING_WORDS_DIFFER'))
    expect(channel.admitted).toEqual([])
  })

  test('who takes the link back is obeyed until she has confirmed', () => {
    const scene = newScene()
    const channel = new Channel(scene)
    const end = channel.join(scene.machine('office'))
    expect(channel.run(() => end.words !== null)).toBe(true)
    channel.feedInviter({ type: 'cancelled' })
    expect(channel.run(() => isOver(end))).toBe(true)
    expect(end.now).toEqual(failedWith('PAIRING_REFUSED'))
  })

  test('is told when the new machine walks away', () => {
    const scene = newScene()
    const channel = new Channel(scene)
    const end = channel.join(scene.machine('office'))
    expect(channel.run(() => end.words !== null)).toBe(true)
    channel.feedJoiner(end, { type: 'cancelled' })
    expect(channel.run(() => channel.inviter.state === 'failed')).toBe(true)
    expect(channel.admitted).toEqual([])
  })
})

describe('an admission that is not what the link promised', () => {
  const cases: Record<string, (scene: PairingScene, joiner: JoinerEnd) => ReturnType<PairingScene['admission']>> = {
    'another mesh’s log': (_, { attempt }) => newScene('another mesh').admission(attempt.joiner.identity),
    'a log that admits another machine': (scene, { attempt }) => ({
      ...scene.admission(scene.machine('other').identity),
      token: scene.token(attempt.joiner.identity.loginKey),
    }),
    'a token for another login': (scene, { attempt }) => ({
      ...scene.admission(attempt.joiner.identity),
      token: scene.token(scene.machine('other').identity.loginKey),
    }),
    'no token': (scene, { attempt }) => ({ ...scene.admission(attempt.joiner.identity), token: new Uint8Array() }),
    'a log with a hole': (scene, { attempt }) => {
      const whole = scene.admission(attempt.joiner.identity, 1)
      return { ...whole, records: whole.records.toSpliced(1, 1) }
    },
    'a good log with another mesh’s record in it': (scene, { attempt }) => {
      const whole = scene.admission(attempt.joiner.identity)
      return { ...whole, records: [...whole.records, newScene('another mesh').found.bytes] }
    },
    'no records': (scene, { attempt }) => ({ ...scene.admission(attempt.joiner.identity), records: [] }),
    'a changed record': (scene, { attempt }) => {
      const whole = scene.admission(attempt.joiner.identity)
      return { ...whole, records: whole.records.map((record) => record.with(60, record[60]! ^ 1)) }
    },
  }
  test.each(Object.entries(cases))('T-pairing-4: is refused: %s', (_, make) => {
    const scene = newScene()
    const channel = new Channel(scene, { autoConfirm: true })
    const end = channel.join(scene.machine('office'))
    channel.admission = () => make(scene, end)
    expect(channel.run(() => isOver(end))).toBe(true)
    expect(end.now).toEqual(failedWith('PAIRING_REFUSED'))
  })

  test('or that could not be made at all ends the pairing', () => {
    const scene = newScene()
    const channel = new Channel(scene, { autoConfirm: true })
    channel.admission = () => null
    const end = channel.join(scene.machine('office'))
    expect(channel.run(() => isOver(end))).toBe(true)
    expect(end.now).toEqual(failedWith('PAIRING_REFUSED'))
  })
})
