import { askRelay } from '../control/client.ts'
import { type CommonFlags, dataOf } from './flags.ts'
import { Output, table } from './output.ts'

/** What counts now, and where it comes from. */
export async function limits(flags: CommonFlags): Promise<void> {
  const output = new Output(flags.json === true)
  const answer = await askRelay(dataOf(flags), '/limits')
  const [head = '', ...rows] = table([
    ['LIMIT', 'VALUE', 'UNIT', 'FROM'],
    ...answer.limits.map(({ key, value, unit, origin }) => [key, value, unit, origin]),
  ])
  output.result(answer, output.dim(head), ...rows)
}

export async function reload(flags: CommonFlags): Promise<void> {
  const answer = await askRelay(dataOf(flags), '/reload', {})
  const { changed, restart } = answer
  new Output(flags.json === true).result(
    answer,
    ...(changed.length === 0 ? ['nothing has changed'] : changed.map(({ key, from, to }) => `${key}: ${from} → ${to}`)),
    ...restart.map((key) => `${key}: counts after a restart`),
  )
}
