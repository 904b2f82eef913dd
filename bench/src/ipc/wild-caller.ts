import { connect } from 'node:net'

/**
 * A local program without rights that makes ten thousand calls, half of them nearly right, in so many milliseconds.
 * With `sink` it says the same to a bare forwarder, which forwards none of it: what the program itself costs the machine.
 */
const [socketPath = '', token = '', forMs = '3000', side = 'node'] = process.argv.slice(2)
const CALLS = 10_000
const METHODS = [
  'send',
  'agents.ls',
  'memory.get',
  'memory.search',
  'memory.set',
  'inbox.take',
  'history',
  'status',
  'x',
]
const WORDS = ['a0', 'a1', '*', '#x', 'a1.semantic.secret', '', null, 1, -1, {}, [], 'x'.repeat(1_000)]
const FIELDS = ['to', 'type', 'payload', 'umr', 'value', 'words', 'prefix', 'limit']

const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)] as T
let as = 0

function wildLine(id: number): string {
  const params: Record<string, unknown> = { as }
  for (const field of FIELDS) if (Math.random() < 0.5) params[field] = pick(WORDS)
  if (Math.random() < 0.5) Object.assign(params, { to: 'a1', type: 'text', umr: 'a1.semantic.secret', words: 'secret' })
  const line = { jsonrpc: '2.0', id, method: pick(METHODS), params }
  return JSON.stringify(side === 'sink' ? { ...line, name: 'wild' } : line)
}

const socket = connect(socketPath, () => {
  if (side === 'sink') return begin()
  socket.once('data', (chunk: Buffer) => {
    as = Number(/"as":(\d+)/.exec(chunk.toString())?.[1] ?? 0)
    begin()
  })
  socket.write(`{"jsonrpc":"2.0","id":0,"method":"attach","params":{"token":"${token}","inbox":"pull"}}\n`)
})
socket.on('error', () => process.exit(1))

function begin(): void {
  socket.resume()
  const startedAtMs = performance.now()
  let sent = 0
  const timer = setInterval(() => {
    const due = Math.min(CALLS, (CALLS * (performance.now() - startedAtMs)) / Number(forMs))
    const lines: string[] = []
    for (; sent < due; sent++) lines.push(wildLine(sent))
    if (lines.length > 0) socket.write(`${lines.join('\n')}\n`)
    if (sent < CALLS) return
    clearInterval(timer)
    socket.end()
  }, 5)
}
