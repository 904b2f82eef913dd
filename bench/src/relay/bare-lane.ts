import { dialLane, type Lane, type LaneOptions, readStamp, sendTogether, writeStamp } from './lane.ts'

const NUMBER_BYTES = 4

/** To the bare forwarder: one message of WebSocket for each message. */
export async function openBareLane(options: LaneOptions): Promise<Lane> {
  let greet: (() => void) | null = null
  const ws = await dialLane(options, (message) => {
    if (greet === null) return options.onMessage(readStamp(message))
    greet()
    greet = null
  })
  const greeted = new Promise<void>((resolve) => {
    greet = resolve
  })
  const name = Buffer.alloc(NUMBER_BYTES)
  name.writeUInt32BE(options.number)
  ws.send(name)
  await greeted
  let waiting: Buffer[] = []
  const flush = (): void => {
    const all = waiting
    waiting = []
    sendTogether(ws, all)
  }
  return {
    send(to, stamp) {
      const message = Buffer.alloc(NUMBER_BYTES + options.bytes)
      message.writeUInt32BE(to)
      writeStamp(message, stamp)
      if (waiting.push(message) === 1) setImmediate(flush)
    },
    pause: () => ws.pause(),
    close: () => ws.terminate(),
  }
}
