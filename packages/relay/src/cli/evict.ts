import { askRelay } from '../control/client.ts'
import { confirm } from './confirm.ts'
import { type CommonFlags, dataOf } from './flags.ts'
import { Output } from './output.ts'

/** Ends connections now; nodes dial again, half a minute later. */
export async function evict(
  name: string,
  flags: CommonFlags & { readonly mailboxes?: true; readonly yes?: true },
): Promise<void> {
  const output = new Output(flags.json === true)
  const mailboxes = flags.mailboxes === true
  // What it would do is asked first, so that the question names it.
  const would = await askRelay(dataOf(flags), '/evict', { name, mailboxes, dry: true })
  const stored = mailboxes ? ` and drop ${would.packets} stored packets` : ''
  await confirm(output, flags.yes === true, `End ${would.connections} connections of ${name}${stored}?`)
  const done = await askRelay(dataOf(flags), '/evict', { name, mailboxes, dry: false })
  output.result(done, `${done.connections} connections ended${mailboxes ? `, ${done.packets} packets dropped` : ''}`)
}
