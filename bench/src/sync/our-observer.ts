import { connectDoor } from '@sealmesh/node/ipc/client'
import { serveObserver } from './observer.ts'

/** node our-observer.js SOCKET PREFIX: sees what the office node says is durable there. */
const [socketPath = '', prefix = ''] = process.argv.slice(2)
const door = await connectDoor(socketPath)
await door.call('watch', { prefix })

const saw = serveObserver(async () => await door.close())
door.onNotification(({ umr, type, value }) => {
  if (type !== 'set' || value === null) return
  const text: unknown = JSON.parse(value)
  if (typeof text === 'string') saw(umr.slice(prefix.length), text)
})
