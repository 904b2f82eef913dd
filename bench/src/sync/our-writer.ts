import { connectDoor } from '@sealmesh/node/ipc/client'
import { serveWriter } from './writer.ts'

/** node our-writer.js SOCKET PREFIX CONNECTIONS: each writer has a connection of its own to the home node. */
const [socketPath = '', prefix = '', connections = '1'] = process.argv.slice(2)
const doors = await Promise.all(Array.from({ length: Number(connections) }, async () => await connectDoor(socketPath)))

serveWriter({
  write(writer, entries) {
    const door = doors[writer % doors.length]
    const writes = entries.map(({ key, value }) => ({ umr: prefix + key, value: JSON.stringify(value) }))
    const [only] = writes
    const answered =
      writes.length === 1 && only !== undefined ? door?.call('set', only) : door?.call('set.many', { writes })
    answered?.catch(fail)
  },
  async close() {
    await Promise.all(doors.map(async (door) => await door.close()))
  },
})

/** A write that was refused would make the rest of the figures meaningless. */
function fail(error: unknown): never {
  process.stderr.write(`a write failed: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}
