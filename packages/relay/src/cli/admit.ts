import { isHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { askRelay } from '../control/client.ts'
import { confirm } from './confirm.ts'
import { type CommonFlags, dataOf } from './flags.ts'
import { Output } from './output.ts'
import { meshTable } from './status.ts'

export async function list(flags: CommonFlags): Promise<void> {
  const output = new Output(flags.json === true)
  const answer = await askRelay(dataOf(flags), '/meshes')
  output.result(answer, ...(answer.meshes.length === 0 ? ['no mesh yet'] : meshTable(answer.meshes, output)))
}

/** Without a claim code: for a relay whose admission is a list, and for a mesh that was shown out. */
export async function add(name: string, flags: CommonFlags): Promise<void> {
  if (!isHex(name, 32) && name.length === 64)
    throw new Failure('USAGE', 'A mesh id has 64 hexadecimal digits.', { next: 'sealmesh status --json shows it' })
  const answer = await askRelay(dataOf(flags), '/admit', { name })
  new Output(flags.json === true).result(answer, `${answer.mesh} is admitted`)
}

export async function remove(name: string, flags: CommonFlags & { readonly yes?: true }): Promise<void> {
  const output = new Output(flags.json === true)
  await confirm(output, flags.yes === true, `Show all machines of ${name} out, and let none of them in again?`)
  const answer = await askRelay(dataOf(flags), '/expel', { name })
  output.result(
    answer,
    `${answer.mesh} is not admitted any more, ${answer.connections} connections were ended`,
    `what is stored for it goes when it expires, or now: sealmesh-relay evict ${answer.mesh} --mailboxes`,
  )
}
