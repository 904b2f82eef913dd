import { askRelay } from '../control/client.ts'
import { type CommonFlags, dataOf } from './flags.ts'
import { Output } from './output.ts'

/** What Prometheus reads, also of a relay that serves it nowhere. */
export async function metrics(flags: CommonFlags): Promise<void> {
  const answer = await askRelay(dataOf(flags), '/metrics')
  new Output(flags.json === true).result(answer, answer.text.trimEnd())
}
