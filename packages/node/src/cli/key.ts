import { resolve } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import type { KeyStore as Store, KeyStoreDeps } from '../keys/key-store.ts'
import { example } from './example.ts'
import { makeKit, patiently, refuseExisting } from './make-kit.ts'
import { keysPassphrase, passphraseFor } from './passphrase.ts'
import { oneLine } from './printable.ts'
import { type Cli, type Session, withDoor, withHome } from './session.ts'
import { shortId } from './status.ts'
import { span } from './when.ts'

export const key = (cli: Cli): Command =>
  new Command('key')
    .summary('the keys of this machine, and the recovery kit')
    .description('Shows the keys of this machine, makes a new prekey, and writes or checks the recovery kit.')
    .addHelpText('after', example('sealmesh key backup /media/stick/sealmesh-kit.age'))
    .addCommand(show(cli))
    .addCommand(rotate(cli))
    .addCommand(backup(cli))
    .addCommand(check(cli))
    .addCommand(protect(cli))
    .addCommand(unprotect(cli))

const show = (cli: Cli): Command =>
  new Command('show')
    .summary('public halves, dates, and whether a recovery kit was made')
    .description('Shows the public halves of the keys of this machine, and whether a recovery kit has the others.')
    .addHelpText('after', example('sealmesh key show'))
    .action(
      withDoor(cli, async ({ door, output }) => {
        const keys = await door.call('key.show', {})
        output.data(keys)
        const nowMs = Date.now()
        output.print(
          `node      ${keys.node}${keys.admin ? ', an admin' : ''}`,
          `mesh      ${keys.mesh}${keys.root ? ', whose root key lies here' : ''}`,
          `signs     ${keys.signKey}`,
          `logs in   ${keys.loginKey}`,
        )
        for (const { agent, name } of keys.agents) output.print(`agent     ${oneLine(name)} ${shortId(agent)}`)
        for (const { publicKey, expires, held } of keys.prekeys.filter((each) => Date.parse(each.expires) > nowMs))
          output.print(
            `prekey    ${publicKey.slice(0, 16)}, for ${span(Date.parse(expires) - nowMs)}${held ? '' : ', lost on this machine'}`,
          )
        if (!keys.root) return
        const { kit } = keys
        const lacks =
          kit === null || kit.missing.length === 0
            ? ''
            : `; without ${kit.missing.map((name) => oneLine(name)).join(', ')}`
        output.print(`kit       ${kit === null ? 'none was made' : `made ${kit.madeAt}${lacks}`}`)
        output.print(
          `log       ${keys.logCopied ? 'a copy for the kit is at the relay' : 'not all of it is at the relay'}`,
        )
      }),
    )

const rotate = (cli: Cli): Command =>
  new Command('rotate')
    .summary('make a new prekey now')
    .description(
      'Others seal to a new key from now on. By itself that happens once a week. The old key opens what was sealed to it until its 28 days are over, and is then destroyed.',
    )
    .addHelpText('after', example('sealmesh key rotate'))
    .action(
      withDoor(cli, async ({ door, output }) => {
        const made = await door.call('key.rotate', {})
        output.data(made)
        output.print(`others seal to ${made.publicKey.slice(0, 16)} from now on`)
      }),
    )

interface BackupOptions {
  readonly passphraseFile?: string
  readonly keysPassphraseFile?: string
}

const backup = (cli: Cli): Command =>
  new Command('backup')
    .summary('write a recovery kit, and open it again')
    .description(
      'Writes the root key and the keys of agents into one file, encrypted with a passphrase in the format of age. Whoever has both governs the mesh: keep them apart, and off this machine.',
    )
    .argument('<file>', 'a file that is not there yet')
    .option('--passphrase-file <file>', 'read the passphrase of the kit from there; - is standard input')
    .option('--keys-passphrase-file <file>', 'read the passphrase of the keys from there, where they have one')
    .addHelpText('after', example('sealmesh key backup /media/stick/sealmesh-kit.age'))
    .action(
      withDoor(cli, async (session, file: string, options: BackupOptions) => {
        const path = resolve(file)
        await refuseExisting(path)
        await session.door.call('kit.draft', {}) // Whether the root key is here, before anybody is asked.
        const keys = await keysPassphrase(session, options.keysPassphraseFile)
        const kit = await passphraseFor(session, options.passphraseFile, 'new')
        await makeKit(session, session.door, path, { kit, keys })
      }),
    )

const check = (cli: Cli): Command =>
  new Command('check')
    .summary('see whether a recovery kit opens, and what it brings back')
    .description('Opens a recovery kit and says what it holds. Needs no node; changes nothing.')
    .argument('<kit>', 'the file')
    .option('--passphrase-file <file>', 'read the passphrase from there; - is standard input')
    .addHelpText('after', example('sealmesh key check /media/stick/sealmesh-kit.age'))
    .action(
      withHome(cli, async (session, file: string, options: { readonly passphraseFile?: string }) => {
        const { output } = session
        const passphrase = await passphraseFor(session, options.passphraseFile, 'known')
        const [{ readKit }, { loadSodium }] = await Promise.all([
          import('../recovery/kit-file.ts'),
          import('@sealmesh/sodium/load'),
        ])
        const opening = readKit(resolve(file), passphrase, await loadSodium())
        const kit = await patiently(output, 'opening the recovery kit', opening)
        const agents = kit.agents.map(({ name }) => name)
        output.data({ mesh: kit.mesh, meshName: kit.meshName, madeAt: kit.madeAt, agents, relays: kit.relays })
        output.print(
          `the kit opens: mesh ${oneLine(kit.meshName)}, made ${kit.madeAt}, agents ${agents.map((name) => oneLine(name)).join(', ')}`,
        )
      }),
    )

const protect = (cli: Cli): Command =>
  new Command('protect')
    .summary('seal the key files with a passphrase, or change it')
    .description(
      'Seals the key files of this home with a passphrase, which `up` then asks for. The node must not run. It keeps keys from whoever steals the disk; documents lie on it in clear, and without the passphrase this machine cannot be started again. A change seals the keys anew; older copies of the whole home, such as backups, open with the passphrase of then.',
    )
    .option('--passphrase-file <file>', 'read the new passphrase from there; - is standard input')
    .option('--old-passphrase-file <file>', 'read the old one from there, where there is one')
    .addHelpText('after', example('sealmesh key protect'))
    .action(
      withHome(cli, async (session, options: { passphraseFile?: string; oldPassphraseFile?: string }) => {
        const known = await keysPassphrase(session, options.oldPassphraseFile)
        const passphrase = await passphraseFor(session, options.passphraseFile, 'new', 'keys')
        await withKeys(session, ({ directory, deps, KeyStore }) => KeyStore.protect(directory, deps, passphrase, known))
        session.output.data({ protected: true })
        session.output.say(`The keys of this home are sealed. Start it with ${session.command('up')}`)
      }),
    )

const unprotect = (cli: Cli): Command =>
  new Command('unprotect')
    .summary('take the passphrase off the key files')
    .description('Puts the key files of this home in clear again. The node must not run.')
    .option('--passphrase-file <file>', 'read the passphrase from there; - is standard input')
    .addHelpText('after', example('sealmesh key unprotect'))
    .action(
      withHome(cli, async (session, options: { readonly passphraseFile?: string }) => {
        const passphrase = await keysPassphrase(session, options.passphraseFile)
        if (passphrase !== undefined)
          await withKeys(session, ({ directory, deps, KeyStore }) => KeyStore.unprotect(directory, deps, passphrase))
        session.output.data({ protected: false })
        session.output.say('The keys of this home have no passphrase.')
      }),
    )

/** Under the home's lock: a node that runs has the keys, and writes new ones in the form that it knows. */
async function withKeys(
  { home, output }: Session,
  work: (keys: { directory: string; deps: KeyStoreDeps; KeyStore: typeof Store }) => Promise<void>,
): Promise<void> {
  const [{ KeyStore }, { loadSodium }, { lockHome }, { openRandom }] = await Promise.all([
    import('../keys/key-store.ts'),
    import('@sealmesh/sodium/load'),
    import('../keys/home-lock.ts'),
    import('../random.ts'),
  ])
  if (!(await KeyStore.exists(home.keys)))
    throw new Failure('NODE_NOT_SET_UP', `The home ${home.path} has no keys yet.`)
  const lock = await lockHome(home)
  try {
    const deps = { sodium: await loadSodium(), random: openRandom() }
    await patiently(output, 'rewriting the key files', work({ directory: home.keys, deps, KeyStore }))
  } finally {
    await lock.release()
  }
}
