import { chmodSync } from 'node:fs'
import { type Logger, pino } from 'pino'

/** One JSON object a line, appended to a file that only its owner reads. Never keys, plaintext or peer-chosen words. */
export function openLog(path: string, level = 'info'): Logger {
  const destination = pino.destination({ dest: path, mkdir: true, sync: true, append: true })
  chmodSync(path, 0o600)
  return pino({ level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, destination)
}
