import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { ADDRESS_STRANGERS_MAX, Strangers } from './strangers.ts'

const HERE = '127.0.0.1'

test('an address has a bound of strangers; who logs in or leaves makes room', async () => {
  const strangers = new Strangers()
  const server = createServer()
  const sockets: Socket[] = []
  const clients: Socket[] = []
  const come = async (localAddress: string): Promise<Socket> => {
    const client = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, localAddress })
    client.on('error', () => undefined)
    clients.push(client)
    const [socket] = (await once(server, 'connection')) as [Socket]
    sockets.push(socket)
    return socket
  }
  server.listen({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  try {
    const first = await come('127.0.0.1')
    expect(strangers.admit(first, HERE)).toBe(true)
    for (let i = 1; i < ADDRESS_STRANGERS_MAX; i++) expect(strangers.admit(await come('127.0.0.1'), HERE)).toBe(true)
    expect(strangers.admit(await come('127.0.0.1'), HERE)).toBe(false)
    expect(strangers.admit(await come('127.0.0.2'), '127.0.0.2')).toBe(true)

    strangers.welcome(first)
    strangers.welcome(first)
    expect(strangers.admit(await come('127.0.0.1'), HERE)).toBe(true)
    expect(strangers.admit(await come('127.0.0.1'), HERE)).toBe(false)
    const gone = once(sockets[1]!, 'close')
    sockets[1]!.destroy()
    await gone
    expect(strangers.admit(await come('127.0.0.1'), HERE)).toBe(true)
    expect(strangers.admit(await come('127.0.0.1'), HERE)).toBe(false)
  } finally {
    for (const each of [...sockets, ...clients]) each.destroy()
    server.close()
  }
})
