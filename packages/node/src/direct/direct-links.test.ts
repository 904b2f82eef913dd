import type { NodeId } from '@sealmesh/protocol/ids'
import type { Mesh, MeshNode } from '@sealmesh/protocol/membership/mesh'
import { expect, test } from 'vitest'
import type { DialledBy } from './core/which-link.ts'
import type { DirectLink } from './direct-link.ts'
import { DirectLinks } from './direct-links.ts'

const SMALL = 'aa' as NodeId
const LARGE = 'bb' as NodeId

function scene(me: NodeId) {
  const links = new DirectLinks(me)
  const seen: string[] = []
  links.onUp = () => seen.push('up')
  links.onDown = (_, reason) => seen.push(`down ${reason}`)
  const link = (peer: NodeId, dialledBy: DialledBy): DirectLink => ({
    peer,
    dialledBy,
    at: '',
    sinceMs: 0,
    send: () => 'sent',
    probe: () => Promise.resolve(),
    end: (reason) => seen.push(`end ${dialledBy} ${reason}`),
  })
  return { links, seen, link }
}

test('when both have dialled one link is ended, the same one at both ends', () => {
  const atSmall = scene(SMALL)
  atSmall.links.arrived(atSmall.link(LARGE, 'there'))
  atSmall.links.arrived(atSmall.link(LARGE, 'here'))
  expect(atSmall.seen).toEqual(['up', 'end there DUPLICATE_LOGIN', 'down DUPLICATE_LOGIN', 'up'])
  expect(atSmall.links.to(LARGE)?.dialledBy).toBe('here')

  const atLarge = scene(LARGE)
  atLarge.links.arrived(atLarge.link(SMALL, 'there'))
  atLarge.links.arrived(atLarge.link(SMALL, 'here'))
  expect(atLarge.seen).toEqual(['up', 'end here DUPLICATE_LOGIN'])
  expect(atLarge.links.to(SMALL)?.dialledBy).toBe('there')
})

test('one that was replaced cannot take the newer one with it', () => {
  const { links, seen, link } = scene(SMALL)
  const [older, newer] = [link(LARGE, 'here'), link(LARGE, 'here')]
  links.arrived(older)
  links.arrived(newer)
  seen.length = 0
  links.left(older, 'RELAY_CLOSED')
  expect([seen, links.to(LARGE)]).toEqual([[], newer])
})

test('who is removed is cut off at once', () => {
  const { links, seen, link } = scene(SMALL)
  links.arrived(link(LARGE, 'there'))
  const nodeWith = (revocations: readonly unknown[]) =>
    ({ nodes: new Map([[LARGE, { revocations } as unknown as MeshNode]]) }) as Pick<Mesh, 'nodes'>
  links.meshChanged(nodeWith([]))
  expect(seen).toEqual(['up'])
  links.meshChanged(nodeWith([{}]))
  expect(seen).toEqual(['up', 'end there NODE_REVOKED', 'down NODE_REVOKED'])
  expect(links.size).toBe(0)
})
