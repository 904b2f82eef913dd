import { Command } from 'commander'
import { metricsOf } from '../status/metrics.ts'
import { example } from './example.ts'
import { type Cli, withDoor } from './session.ts'

export const metrics = (cli: Cli): Command =>
  new Command('metrics')
    .summary('print what Prometheus reads: who holds what, who is behind, how drills went')
    .description(
      'Prints gauges in the text format of Prometheus, for a textfile collector that is filled by cron. Red drills are a value, not an exit code.',
    )
    .addHelpText('after', example('sealmesh metrics > sealmesh.prom.new && mv sealmesh.prom.new sealmesh.prom'))
    .action(
      withDoor(cli, async ({ door, output }) => {
        const text = metricsOf(await door.call('status', {}))
        if (output.json) output.data({ text })
        else output.content(text, { endLine: false })
      }),
    )
