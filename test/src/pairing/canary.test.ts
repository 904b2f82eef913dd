import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Secret } from '@sealmesh/protocol/keys'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { canaryLives, sealCanary } from '@sealmesh/protocol/pairing/canary'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { type Member, Scene } from '../envelope/scene.ts'

const sodium = await loadSodium()
const scene = new Scene(sodium, 'canary', 3)
const [inviter, joiner, other] = [scene.member(0), scene.member(1), scene.member(2)]

const meshOf = (members: readonly Member[], changes: Partial<Mesh> = {}): Mesh =>
  ({
    id: scene.mesh,
    nodes: new Map(members.map((each) => [each.node, { signKey: each.sign.publicKey, revocations: [] }])),
    ...changes,
  }) as unknown as Mesh
const own = { node: joiner.node, loginKey: joiner.loginKey, prekeys: [joiner.prekey] }
const seal = (changes: { signKey?: Secret<'sign'>; node?: NodeId } = {}) =>
  sealCanary(
    {
      mesh: scene.mesh,
      sender: { node: inviter.node, signKey: changes.signKey ?? inviter.sign.secretKey },
      to: { node: changes.node ?? joiner.node, loginKey: joiner.loginKey, prekey: joiner.prekey.publicKey },
      expiresMs: 1_800_000_000_000,
    },
    scene.random,
    sodium,
  )

test('a machine with the right keys opens what came with its admission', () => {
  expect(canaryLives(seal(), meshOf([inviter, joiner]), own, sodium)).toBe(true)
})

test('a machine with another key of any kind, in another mesh, or let in by no member does not', () => {
  const mesh = meshOf([inviter, joiner])
  const canary = seal()
  const wrong: Record<string, boolean> = {
    prekey: canaryLives(canary, mesh, { ...own, prekeys: [other.prekey] }, sodium),
    'no prekey': canaryLives(canary, mesh, { ...own, prekeys: [] }, sodium),
    login: canaryLives(canary, mesh, { ...own, loginKey: other.loginKey }, sodium),
    node: canaryLives(canary, mesh, { ...own, node: other.node }, sodium),
    mesh: canaryLives(canary, meshOf([inviter, joiner], { id: other.node as unknown as Mesh['id'] }), own, sodium),
    'sender unknown': canaryLives(canary, meshOf([joiner]), own, sodium),
    'signed by another': canaryLives(seal({ signKey: other.sign.secretKey }), mesh, own, sodium),
    'for another node': canaryLives(seal({ node: other.node }), mesh, own, sodium),
    'no canary': canaryLives(new Uint8Array(), mesh, own, sodium),
    'another packet': canaryLives(scene.seal(inviter, [joiner]), mesh, own, sodium),
    'a byte changed': canaryLives(canary.with(-1, canary.at(-1)! ^ 1), mesh, own, sodium),
  }
  expect(Object.entries(wrong).filter(([, lives]) => lives)).toEqual([])
  expect(mailboxOf(joiner.loginKey, sodium)).toBe(joiner.mailbox)
})
