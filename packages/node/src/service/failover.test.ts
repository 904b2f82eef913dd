import { expect, test } from 'vitest'
import { failoverHandlers } from './failover.ts'

test('a release that the relay did not take is a failure, with a next step', async () => {
  let taken = false
  const failover = { release: async () => taken }
  const { release } = failoverHandlers({ failover } as unknown as Parameters<typeof failoverHandlers>[0])
  const asked = async () => release({ undo: false }, undefined as never)
  await expect(asked()).rejects.toMatchObject({ code: 'RELAY_UNREACHABLE', next: expect.stringContaining('--undo') })
  taken = true
  expect(await asked()).toEqual({ released: true })
})
