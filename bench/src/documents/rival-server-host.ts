import { Server } from '@hocuspocus/server'
import { serve } from './host.ts'

/** Hocuspocus as it is fastest: no extension, so nothing is stored, and nothing printed. */
const server = new Server({ port: 0, address: '127.0.0.1', quiet: true, stopOnSignals: false })
await server.listen()

const answers = {
  port: (): number => server.address.port,
  close: (): void => {},
}
export type RivalServerHost = typeof answers

serve(answers)
