import { type IncomingMessage, request as requestHttp } from 'node:http'
import { Failure, type FailureCode, reactions } from '@sealmesh/protocol/errors'
import { z } from 'zod'
import type { DataDirectory } from '../data/data-directory.ts'
import { type Running, readRunning } from '../data/running.ts'
import { RELAY_VERSION } from '../version.ts'
import { type ControlAnswers, VERSION_HEADER } from './app.ts'

/** A reload reads a file, an eviction waits for the disk. */
const ANSWER_WAIT_MS = 15_000
/** A status of a thousand meshes has half a megabyte. */
const ANSWER_BYTES_MAX = 16 * 1_048_576

const Refusal = z.object({
  error: z.object({
    code: z.custom<FailureCode>((code) => typeof code === 'string' && code in reactions),
    message: z.string(),
    next: z.string(),
  }),
})

type Path = keyof ControlAnswers

/**
 * Asks the relay that runs in this directory. Throws what it refuses with, RELAY_UNREACHABLE when none runs, and
 * VERSION_MISMATCH when it is of another version than this program, whose shapes may differ.
 */
export async function askRelay<P extends Path>(
  data: DataDirectory,
  path: P,
  body?: object,
): Promise<ControlAnswers[P]> {
  const response = await openRelay(data, path, body)
  const text = await textOf(response)
  const json: unknown = JSON.parse(text)
  if (response.statusCode === 200) return json as ControlAnswers[P]
  const refusal = Refusal.safeParse(json)
  if (!refusal.success) throw new Failure('INTERNAL', 'The relay gave an answer that cannot be read.')
  const { code, message, next } = refusal.data.error
  throw new Failure(code, message, { next })
}

/** The same, for an answer that is a stream. */
export async function openRelay(data: DataDirectory, path: string, body?: object): Promise<IncomingMessage> {
  const running = await readRunning(data)
  if (running === undefined) throw notRunning(data)
  const response = await send(running, path, body).catch((error: unknown) => {
    throw notRunning(data, error)
  })
  const version = response.headers[VERSION_HEADER]
  if (version === RELAY_VERSION) return response
  response.destroy()
  throw new Failure(
    'VERSION_MISMATCH',
    `The relay that runs is of version ${String(version)}, this is ${RELAY_VERSION}.`,
    {
      next: 'restart the relay, and it is of this version too',
    },
  )
}

function send({ control }: Running, path: string, body: object | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = requestHttp({
      socketPath: control,
      path,
      method: body === undefined ? 'GET' : 'POST',
      headers: { host: 'relay', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      timeout: ANSWER_WAIT_MS,
    })
    request.on('response', resolve)
    request.on('error', reject)
    request.on('timeout', () => request.destroy(new Error('no answer in time')))
    request.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX) throw new Failure('INTERNAL', 'The relay’s answer is larger than any may be.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

const notRunning = (data: DataDirectory, cause?: unknown): Failure =>
  new Failure('RELAY_UNREACHABLE', `No relay runs in ${data.path}.`, {
    next: 'sealmesh-relay up, or name its directory: --data DIR',
    ...(cause === undefined ? {} : { cause }),
  })
