import type { MailboxId, MeshId } from '@sealmesh/protocol/ids'
import { expect, test } from 'vitest'
import { idOf, indexKey, mailboxIdOf, packetKey, sequenceOf } from './keys.ts'

const id = (byte: string): string => byte.repeat(32)

test('a key says whose it is, whichever was made before it', () => {
  for (const mesh of [id('aa'), id('ab'), id('aa')] as MeshId[])
    for (const mailbox of [id('01'), id('02'), id('02')] as MailboxId[])
      for (const sequence of [1, 2 ** 40 + 7]) {
        const [index, packet] = [indexKey(mesh, mailbox, sequence), packetKey(mesh, mailbox, sequence)]
        expect([index.toString('latin1', 0, 1), packet.toString('latin1', 0, 1)]).toEqual(['i', 'p'])
        for (const key of [index, packet]) {
          expect(key).toHaveLength(73)
          expect([idOf(key), mailboxIdOf(key), sequenceOf(key)]).toEqual([mesh, mailbox, sequence])
        }
      }
})
