import { WIRE_VERSION } from '@sealmesh/protocol/version'
import { RELAY_VERSION } from '../version.ts'

export function version(flags: Readonly<Record<string, string | undefined>>): void {
  const text =
    flags['json'] === undefined
      ? `sealmesh-relay ${RELAY_VERSION} (wire ${WIRE_VERSION})`
      : JSON.stringify({ version: RELAY_VERSION, wire: WIRE_VERSION })
  process.stdout.write(`${text}\n`)
}
