import { rm } from 'node:fs/promises'
import { z } from 'zod'
import { type DataDirectory, readPrivate, writePrivate } from './data-directory.ts'

/** What a running relay leaves in its data directory, so that its owner's verbs find it. A crash leaves it behind. */
const Running = z.object({
  pid: z.number().int().positive(),
  address: z.string(),
  http: z.string(),
  pin: z.string().nullable(),
  /** Its socket for its owner. */
  control: z.string(),
  /** Where its metrics are read; null when nowhere. */
  metrics: z.string().nullable(),
  startedMs: z.number(),
})
export type Running = z.infer<typeof Running>

export const writeRunning = (data: DataDirectory, running: Running): Promise<void> =>
  writePrivate(data.running, `${JSON.stringify(running)}\n`)

export const removeRunning = (data: DataDirectory): Promise<void> => rm(data.running, { force: true })

export async function readRunning(data: DataDirectory): Promise<Running | undefined> {
  const text = await readPrivate(data.running)
  if (text === undefined) return undefined
  try {
    return Running.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
