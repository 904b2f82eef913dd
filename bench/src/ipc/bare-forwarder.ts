import { createServer, type Socket } from 'node:net'

/**
 * What any local exchange of JSON lines costs at least: `{"id":1,"to":"NAME",…}` goes on to whoever said
 * `{"id":1,"name":"NAME"}`, and its sender is answered. Answers of one turn leave in one write, as a node's do.
 */
const [socketPath = ''] = process.argv.slice(2)
const named = new Map<string, Socket>()
const waiting = new Map<Socket, string>()

function write(socket: Socket, line: string): void {
  if (waiting.size === 0) setImmediate(flush)
  waiting.set(socket, `${waiting.get(socket) ?? ''}${line}\n`)
}

function flush(): void {
  for (const [socket, text] of waiting) socket.write(text)
  waiting.clear()
}

createServer((socket) => {
  let rest = ''
  socket.setEncoding('utf8')
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const message = JSON.parse(line) as { id?: number; name?: string; to?: string }
      if (message.name !== undefined) {
        named.set(message.name, socket)
        write(socket, `{"id":${message.id},"result":{}}`)
      } else {
        const to = named.get(message.to ?? '')
        if (to !== undefined) write(to, line)
        write(socket, `{"id":${message.id},"result":{}}`)
      }
    }
  })
}).listen(socketPath, () => process.stdout.write('up\n'))
