import { dialLane, type Lane, type LaneOptions, readStamp, writeStamp } from './lane.ts'

const LINE_END = Buffer.from('\r\n')

interface NatsLane extends Lane {
  /** Asks the server itself; its answer comes as an answer. */
  ask(subject: string, question: object): void
}

/** To NATS over WebSocket, in its own protocol; like its client it puts what one turn publishes into one message. */
export async function openNatsLane(options: LaneOptions & { readonly stream?: boolean }): Promise<NatsLane> {
  let waiting: Buffer[] = []
  const flush = (): void => {
    const all = Buffer.concat(waiting)
    waiting = []
    if (ws.readyState === ws.OPEN) ws.send(all)
  }
  const say = (...parts: readonly Buffer[]): void => {
    if (waiting.length === 0) setImmediate(flush)
    waiting.push(...parts)
  }
  let rest: Buffer = Buffer.alloc(0)
  let ready: () => void = () => undefined
  const isReady = new Promise<void>((resolve) => {
    ready = resolve
  })
  const hear = (bytes: Buffer): void => {
    let data = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    for (;;) {
      const end = data.indexOf(LINE_END)
      if (end < 0) break
      const line = data.toString('latin1', 0, end)
      let next = end + LINE_END.length
      if (line.startsWith('MSG ')) {
        const length = Number(line.slice(line.lastIndexOf(' ') + 1))
        if (data.length < next + length + LINE_END.length) break
        const message = data.subarray(next, next + length)
        if (line.includes('answers.')) options.onAnswer?.(message.includes('"error"') ? 'refused' : 'stored')
        else options.onMessage(readStamp(message))
        next += length + LINE_END.length
      } else if (line === 'PING') say(Buffer.from('PONG\r\n'))
      else if (line === 'PONG') ready()
      data = data.subarray(next)
    }
    rest = data
  }
  const ws = await dialLane(options, hear)
  const subject = options.stream === true ? `answers.${options.number}` : `to.${options.number}`
  say(Buffer.from(`CONNECT {"verbose":false,"pedantic":false}\r\nSUB ${subject} 1\r\nPING\r\n`))
  await isReady
  return {
    send(to, stamp) {
      const message = Buffer.alloc(options.bytes)
      writeStamp(message, stamp)
      const answer = options.stream === true ? ` answers.${options.number}` : ''
      say(
        Buffer.from(`PUB ${options.stream === true ? 'kept' : 'to'}.${to}${answer} ${options.bytes}\r\n`),
        message,
        LINE_END,
      )
    },
    ask(subject, question) {
      const body = Buffer.from(JSON.stringify(question))
      say(Buffer.from(`PUB ${subject} answers.${options.number} ${body.length}\r\n`), body, LINE_END)
    },
    pause: () => ws.pause(),
    close: () => ws.terminate(),
  }
}
