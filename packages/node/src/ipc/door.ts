import { chmod, lstat, rm } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { Failure } from '@sealmesh/protocol/errors'
import { errnoOf, diskFailure } from '../keys/disk-failure.ts'
import { Connection, type DoorLog } from './connection.ts'
import { type HandlersOf, type MethodTable, type ReadFrame, requestReader } from './dispatch.ts'
import { DOOR_LIMITS, type DoorLimits } from './door-limits.ts'

export type { DoorLog } from './connection.ts'
export type { DoorContext, Handlers } from './dispatch.ts'

export interface Door {
  /** Takes nothing new, answers what is being worked on, ends every connection and removes the socket. */
  close(): Promise<void>
}

/** Opens a local socket of the node (DESIGN §12). Call it under the home's lock: a dead socket in the way is removed. */
export async function serveDoor<Table extends MethodTable>(options: {
  socketPath: string
  methods: Table
  handlers: HandlersOf<Table>
  /** Of a door that speaks `compact` to who asks for it. */
  frame?: ReadFrame
  log: DoorLog
  limits?: Partial<DoorLimits>
}): Promise<Door> {
  const { socketPath, log } = options
  const limits = { ...DOOR_LIMITS, ...options.limits }
  const read = { line: requestReader(options.methods, options.handlers), frame: options.frame }
  const connections = new Set<Connection>()
  /** Those that have shown nothing, or no longer anything, in that order. */
  const strangers = new Set<Connection>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const connection = new Connection(socket, read, limits, log, (isKnown) => {
      strangers.delete(connection)
      if (!isKnown && connections.has(connection)) strangers.add(connection)
    })
    connections.add(connection)
    socket.on('close', () => {
      connections.delete(connection)
      strangers.delete(connection)
    })
    strangers.add(connection)
    const [oldest] = strangers
    if (strangers.size > limits.strangersMax) oldest?.destroy()
  })
  server.maxConnections = limits.connectionsMax
  await removeDeadSocket(socketPath)
  await listen(server, socketPath)
  server.on('error', (error) => log.error({ errno: errnoOf(error) }, 'the local socket failed'))

  return {
    close: () =>
      new Promise((resolve) => {
        const impatient = setTimeout(() => {
          for (const connection of connections) connection.destroy()
        }, limits.drainMs)
        server.close(() => {
          clearTimeout(impatient)
          resolve()
        })
        for (const connection of connections) connection.dismiss()
      }),
  }
}

async function listen(server: Server, socketPath: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      if (errnoOf(error) === 'EADDRINUSE') reject(inUse(socketPath))
      else reject(diskFailure(error, `opening the local socket ${socketPath}`))
    })
    server.listen(socketPath, () => {
      server.removeAllListeners('error')
      resolve()
    })
  })
  // Its folder is 0700 from the start, so nobody could come in before this.
  if (process.platform !== 'win32') await chmod(socketPath, 0o600)
}

async function removeDeadSocket(socketPath: string): Promise<void> {
  if (process.platform === 'win32') return
  try {
    const stats = await lstat(socketPath)
    if (!stats.isSocket()) throw new Failure('SOCKET_IN_USE', `There is something that is no socket at ${socketPath}.`)
    if (await answers(socketPath)) throw inUse(socketPath)
    await rm(socketPath, { force: true })
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw diskFailure(error, `clearing the place of the local socket ${socketPath}`)
  }
}

const answers = (socketPath: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(socketPath)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

const inUse = (socketPath: string): Failure =>
  new Failure('SOCKET_IN_USE', `Another process listens on the local socket ${socketPath}.`)
