import { fromHex, toHex, utf8 } from '@sealmesh/protocol/bytes'
import { cpaceGenerator, cpaceKey, cpacePoint, generatorString, withLengths } from '@sealmesh/protocol/pairing/cpace'
import { loadRistretto } from '@sealmesh/sodium/ristretto'
import { describe, expect, test } from 'vitest'

const ristretto = await loadRistretto()

/** Published with draft-irtf-cfrg-cpace, appendix B.3: CPACE-RISTR255-SHA512. */
const run = {
  secret: utf8('Password'),
  channel: fromHex('6f630b425f726573706f6e6465720b415f696e69746961746f72'),
  session: fromHex('7e4b4791d6a8ef019b936c79fb7f2c57'),
}
const PUBLISHED = {
  generator: 'a6fc82c3b8968fbb2e06fee81ca858586dea50d248f0c7ca6a18b0902a30b36b',
  generatorHash:
    'c63a5750e2439c17ccd8213be14fde2f87e1bc637001a97f5929c77b30ea0e08' +
    'afbc75ace5d3d73b2842a79d01488c5fd7ea30d475ee609545af1bfd1ff77c8e',
  a: { scalar: 'da3d23700a9e5699258aef94dc060dfda5ebb61f02a5ea77fad53f4ff0976d08', said: 'ADa' },
  b: { scalar: 'd2316b454718c35362d83d69df6320f38578ed5984651435e2949762d900b80d', said: 'ADb' },
  pointA: 'd40fb265a7abeaee7939d91a585fe59f7053f982c296ec413c624c669308f87a',
  pointB: '08bcf6e9777a9c313a3db6daa510f2d398403319c2341bd506a92e672eb7e307',
  common: 'e22b1ef7788f661478f3cddd4c600774fc0f41e6b711569190ff88fa0e607e09',
  key:
    '4c5469a16b2364c4b944ebc1a79e51d1674ad47db26e8718154f59faebfaa52d' +
    '8346f30aa58377117eb20d527f2cbc5c76381f7fd372e89df8239f87f2e02ed1',
}
const shares = {
  initiator: { point: fromHex(PUBLISHED.pointA), said: utf8(PUBLISHED.a.said) },
  responder: { point: fromHex(PUBLISHED.pointB), said: utf8(PUBLISHED.b.said) },
}

describe('CPace gives the published values', () => {
  test('of the generator, its string with 100 zeros in it, and its hash', () => {
    const string = generatorString(run)
    expect(string.length).toBe(172)
    expect(toHex(string)).toContain('00'.repeat(100))
    expect(toHex(ristretto.sha512(string))).toBe(PUBLISHED.generatorHash)
    expect(toHex(cpaceGenerator(run, ristretto))).toBe(PUBLISHED.generator)
  })
  test('of both points', () => {
    expect(toHex(cpacePoint(run, fromHex(PUBLISHED.a.scalar), ristretto))).toBe(PUBLISHED.pointA)
    expect(toHex(cpacePoint(run, fromHex(PUBLISHED.b.scalar), ristretto))).toBe(PUBLISHED.pointB)
  })
  test('of the common point, and of the key at both ends', () => {
    const common = ristretto.multiply(fromHex(PUBLISHED.a.scalar), fromHex(PUBLISHED.pointB))
    expect(toHex(common ?? new Uint8Array())).toBe(PUBLISHED.common)
    const [a, b] = [fromHex(PUBLISHED.a.scalar), fromHex(PUBLISHED.b.scalar)]
    expect(toHex(cpaceKey(run, a, shares, 'responder', ristretto) ?? new Uint8Array())).toBe(PUBLISHED.key)
    expect(toHex(cpaceKey(run, b, shares, 'initiator', ristretto) ?? new Uint8Array())).toBe(PUBLISHED.key)
  })
  test('of lengths, one byte up to 127 and two from 128 on', () => {
    expect(toHex(withLengths(new Uint8Array()))).toBe('00')
    expect(toHex(withLengths(new Uint8Array(127)).subarray(0, 2))).toBe('7f00')
    expect(toHex(withLengths(new Uint8Array(128)).subarray(0, 3))).toBe('800100')
  })
})

describe('CPace refuses', () => {
  const scalar = fromHex('7cd0e075fa7955ba52c02759a6c90dbbfc10e6d40aea8d283e407d88cf538a05')
  test.each([
    ['the published invalid point', '2b3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c'],
    ['the identity', '00'.repeat(32)],
    ['too few bytes', '00'],
    ['a point that is not in its one form', 'ff'.repeat(32)],
  ])('%s', (_, point) => {
    const other = { ...shares, responder: { point: fromHex(point), said: new Uint8Array() } }
    expect(cpaceKey(run, scalar, other, 'responder', ristretto)).toBeUndefined()
  })
})

test('another secret, channel, session or word beside the point is another key', () => {
  const scalar = fromHex(PUBLISHED.a.scalar)
  const key = (changes: Partial<typeof run>, both = shares): string =>
    toHex(cpaceKey({ ...run, ...changes }, scalar, both, 'responder', ristretto) ?? new Uint8Array())
  expect(key({ session: new Uint8Array(16) })).not.toBe(PUBLISHED.key)
  expect(key({}, { ...shares, responder: { ...shares.responder, said: utf8('ADc') } })).not.toBe(PUBLISHED.key)
  for (const changes of [{ secret: utf8('password') }, { channel: utf8('other') }])
    expect(toHex(cpaceGenerator({ ...run, ...changes }, ristretto))).not.toBe(PUBLISHED.generator)
})
