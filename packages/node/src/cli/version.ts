import { BLOCK_VERSION, DOOR_VERSION, PACKET_VERSION, RECORD_VERSION, WIRE_VERSION } from '@sealmesh/protocol/version'
import { Command } from 'commander'
import { example } from './example.ts'
import { type Cli, withHome } from './session.ts'
import { versionNumber } from '../version-number.ts'

export const version = (cli: Cli): Command =>
  new Command('version')
    .summary('print the versions of the program and its formats')
    .description('Prints the version of the program and of everything that it exchanges with others.')
    .addHelpText('after', example('sealmesh version --json'))
    .action(
      withHome(cli, async ({ output }) => {
        const formats = {
          wire: WIRE_VERSION,
          packet: PACKET_VERSION,
          block: BLOCK_VERSION,
          record: RECORD_VERSION,
          door: DOOR_VERSION,
        }
        output.data({ version: versionNumber(), node: process.version, formats })
        output.print(
          `sealmesh ${versionNumber()}`,
          `node.js ${process.version.slice(1)}, formats: ${Object.entries(formats)
            .map(([name, number]) => `${name} ${number}`)
            .join(', ')}`,
        )
      }),
    )
