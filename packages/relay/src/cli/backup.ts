import { randomBytes } from 'node:crypto'
import { makeBackup } from '../backup/make.ts'
import { putBack } from '../backup/put-back.ts'
import { type CommonFlags, dataOf } from './flags.ts'
import { Output } from './output.ts'

export async function backup(folder: string, flags: CommonFlags & { readonly withKey?: true }): Promise<void> {
  const withKey = flags.withKey === true
  const manifest = await makeBackup(dataOf(flags), folder, { withKey, nowMs: Date.now() })
  const output = new Output(flags.json === true)
  output.result({ folder, ...manifest }, `${manifest.rows} rows are in ${folder}`)
  output.say(
    withKey
      ? 'whoever has this folder can be this relay: keep it where you keep keys'
      : 'the relay’s key is not in it: keep relay.key and tls.* elsewhere, or nodes will see another relay',
  )
}

export async function restore(folder: string, flags: CommonFlags): Promise<void> {
  const data = dataOf(flags)
  const { manifest, hasKey } = await putBack(data, folder, (bytes) => randomBytes(bytes))
  const output = new Output(flags.json === true)
  output.result(
    { folder, data: data.path, hasKey, ...manifest },
    `${manifest.rows} rows of ${new Date(manifest.madeMs).toISOString()} are in ${data.path}`,
    'nodes will bring what came later: the relay says that it is of a new generation',
  )
  output.say(
    hasKey
      ? 'next: sealmesh-relay up, once the old one is stopped for good'
      : `next: put relay.key and tls.* into ${data.path}, or nodes will see another relay; then sealmesh-relay up`,
  )
}
