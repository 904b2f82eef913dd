import { resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Failure, type FailureCode } from '@sealmesh/protocol/errors'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { formatId, type NodeId } from '@sealmesh/protocol/ids'
import { Command } from 'commander'
import type { Kit } from '../recovery/kit.ts'
import type { DoorClient } from '../ipc/client.ts'
import { example } from './example.ts'
import { patiently } from './make-kit.ts'
import type { Output } from './output.ts'
import { keysPassphrase, passphraseFor } from './passphrase.ts'
import { oneLine } from './printable.ts'
import { type Cli, type Session, withDoor, withHome } from './session.ts'
import { count } from './status.ts'
import { moment } from './when.ts'

type State = MethodResult<'snapshot.status'>

const POLL_MS = 100

export const snapshot = (cli: Cli): Command =>
  new Command('snapshot')
    .summary('sealed images of this machine, in a file or at the relay')
    .description(
      'A snapshot holds what this machine could not get back from others. It is sealed to the recovery kit; this home opens its own, too. One is left in the vault of the relay daily.',
    )
    .addHelpText('after', example('sealmesh snapshot create /media/stick/desk.snapshot'))
    .addCommand(create(cli))
    .addCommand(list(cli))
    .addCommand(verify(cli))
    .addCommand(restore(cli))

interface CreateOptions {
  readonly vault?: boolean
  readonly withDiary?: boolean
}

const create = (cli: Cli): Command =>
  new Command('create')
    .summary('make one now')
    .description(
      'Writes a snapshot into a file, or leaves it in the vault of the relay. A file also holds the keys of this machine; nothing of it is in clear.',
    )
    .argument('[file]', 'a file that is not there yet (default: one in the folder snapshots of the home)')
    .option('--vault', 'leave it at the relay, which is sent only what it has not from an earlier one')
    .option('--with-diary', 'with the content of the diary: into a file only')
    .addHelpText('after', example('sealmesh snapshot create --vault'))
    .action(
      withDoor(cli, async ({ door, output, signal }, file: string | undefined, options: CreateOptions) => {
        if (file !== undefined && options.vault === true)
          throw new Failure('USAGE', 'A snapshot goes to a file or to the vault.', { next: 'name one of them' })
        const state = await make(door, output, signal, {
          path: file === undefined ? null : resolve(file),
          vault: options.vault === true,
          withDiary: options.withDiary === true,
        })
        output.data(state)
        const { made } = state
        if (made === null) return
        const where = made.path === null ? 'the vault of the relay' : oneLine(made.path, 200)
        output.print(`${mib(made.bytes)} in ${count(made.chunks, 'chunk')} in ${where}`)
        if (made.path === null) output.hint(`${count(made.sentChunks, 'chunk')} had to be sent, ${mib(made.sentBytes)}`)
        if (made.damaged > 0)
          output.say(
            `${count(made.damaged, 'entry')} of this home ${made.damaged === 1 ? 'is' : 'are'} damaged and not in it: sealmesh scrub`,
          )
      }),
    )

/** Waits for it; what it failed with is thrown here. */
async function make(
  door: DoorClient,
  output: Output,
  signal: AbortSignal,
  wanted: { path: string | null; vault: boolean; withDiary: boolean },
): Promise<State> {
  let state = await door.call('snapshot.start', wanted)
  while (state.running !== null && !signal.aborted) {
    output.progress(`${mib(state.running.bytes)} in ${count(state.running.chunks, 'chunk')}`)
    await pause(POLL_MS, undefined, { signal }).catch(() => undefined)
    state = await door.call('snapshot.status', {})
  }
  const { failure } = state
  if (failure !== null) throw new Failure(failure.code as FailureCode, failure.message, { next: failure.next })
  return state
}

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('those of this home, and those that machines of the mesh left at the relay')
    .description('Lists the snapshots in this home, and what the relay has of each machine.')
    .addHelpText('after', example('sealmesh snapshot ls'))
    .action(
      withDoor(cli, async ({ door, output }) => {
        const listing = await door.call('snapshot.ls', {})
        output.data(listing)
        const rows = [
          ...listing.files.map(({ path, bytes, at, diary, code }) => [
            'this home',
            moment(at),
            mib(bytes),
            code ?? (diary ? 'with the diary' : ''),
            path,
          ]),
          ...listing.vaults.flatMap(({ node, snapshots }) =>
            snapshots.map(({ at, bytes, number }) => [
              node ?? 'unknown',
              moment(at),
              mib(bytes),
              '',
              `vault ${number}`,
            ]),
          ),
        ]
        if (rows.length > 0)
          output.table(
            [{ title: 'OF' }, { title: 'MADE' }, { title: 'SIZE', align: 'right' }, { title: '' }, { title: 'WHERE' }],
            rows,
          )
        else output.hint('there is no snapshot yet')
        if (listing.vaultFailure !== null) output.hint(`the relay did not say what it has: ${listing.vaultFailure}`)
      }),
    )

interface OpenOptions {
  readonly kit?: string
  readonly passphraseFile?: string
  readonly keysPassphraseFile?: string
}

const withOpener = (command: Command): Command =>
  command
    .option('--kit <kit>', 'open it with this recovery kit')
    .option('--passphrase-file <file>', 'read the passphrase of the kit from there; - is standard input')
    .option('--keys-passphrase-file <file>', 'read the passphrase of the keys from there, where they have one')

const verify = (cli: Cli): Command =>
  withOpener(new Command('verify'))
    .summary('compare one with every hash and signature')
    .description('Reads all of a snapshot and says whether it could be restored. Needs no node; changes nothing.')
    .argument('<file>', 'the file')
    .addHelpText('after', example('sealmesh snapshot verify /media/stick/desk.snapshot'))
    .action(
      withHome(cli, async (session, file: string, options: OpenOptions) => {
        const { output } = session
        const { sodium, kit, keysOf } = await opener(session, options)
        const [{ openSnapshot }, { verifySnapshot }] = await Promise.all([
          import('../snapshots/restore-snapshot.ts'),
          import('../snapshots/verify-snapshot.ts'),
        ])
        const { snapshot, close } = await openSnapshot(resolve(file), { kit, keys: await keysOf() }, sodium)
        try {
          const found = await verifySnapshot(snapshot, sodium, (bytes) => output.progress(`${mib(bytes)} compared`))
          const { root } = snapshot
          const { documents, blocks, records, diary, bytes, mesh } = found
          const machine = mesh.nodes.get(root.node)?.name ?? ''
          const at = new Date(root.atMs).toISOString()
          output.data({
            node: formatId('node', root.node),
            name: machine,
            at,
            documents,
            blocks,
            records,
            diary,
            bytes,
          })
          output.print(
            `whole: ${oneLine(machine)} on ${moment(at)}, ${count(documents, 'document')}, ${count(blocks, 'block')}, ${count(records, 'record')}, ${snapshot.part('diary') === undefined ? 'no diary' : `${diary} of the diary`}`,
          )
        } finally {
          await close()
        }
      }),
    )

const restore = (cli: Cli): Command =>
  withOpener(new Command('restore'))
    .summary('make a home of one: the same machine, as of then')
    .description(
      'Restores a snapshot into an empty home, or over one that is set aside whole. The node must not run. Nothing that was counted is counted again, and what others have meanwhile is fetched. The machine must be gone: two of them under one name are found out and told of.',
    )
    .argument('<file>', 'the file')
    .option('--replace', 'set aside what is in the home')
    .addHelpText('after', example('sealmesh snapshot restore /media/stick/desk.snapshot --kit /media/stick/kit.age'))
    .action(
      withHome(cli, async (session, file: string, options: OpenOptions & { readonly replace?: boolean }) => {
        const { output, home, command } = session
        const { sodium, kit, keysPassphrase: known } = await opener(session, options)
        const { restoreSnapshot } = await import('../snapshots/restore-snapshot.ts')
        const restored = await restoreSnapshot(
          home,
          resolve(file),
          { kit, keysPassphrase: known, replace: options.replace === true },
          sodium,
          (text) => output.progress(text),
        )
        const { node, atMs, replaced, diaryKept, documents, blocks } = restored
        const at = new Date(atMs).toISOString()
        output.data({ node: formatId('node', node as NodeId), at, documents, blocks, replaced, diaryKept })
        output.print(`restored ${count(documents, 'document')} as of ${moment(at)}`)
        if (replaced !== null) output.hint(`what was there before is in ${oneLine(replaced, 200)}`)
        if (diaryKept) output.hint('the diary is the one that was there: the snapshot has none')
        output.say(`Next: ${command('up')}`)
      }),
    )

async function opener(session: Session, { kit: file, passphraseFile, keysPassphraseFile }: OpenOptions) {
  const [{ readKit }, { KeyStore }, { loadSodium }, { openRandom }] = await Promise.all([
    import('../recovery/kit-file.ts'),
    import('../keys/key-store.ts'),
    import('@sealmesh/sodium/load'),
    import('../random.ts'),
  ])
  const sodium = await loadSodium()
  const { home, output } = session
  let kit: Kit | undefined
  if (file !== undefined) {
    const passphrase = await passphraseFor(session, passphraseFile, 'known')
    kit = await patiently(output, 'opening the recovery kit', readKit(resolve(file), passphrase, sodium))
  }
  const known = file === undefined ? await keysPassphrase(session, keysPassphraseFile) : undefined
  return {
    sodium,
    kit,
    keysPassphrase: known,
    /** Of this home; with a kit they are not needed. */
    keysOf: async () =>
      kit === undefined && (await KeyStore.exists(home.keys))
        ? KeyStore.load(home.keys, { sodium, random: openRandom() }, known)
        : undefined,
  }
}

const mib = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MiB`
