import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { RelayProcess } from '../processes/relay.ts'

const KIT_MS = 120_000

test(
  'a node answers while the recovery kit of its first day is made, and the passphrase stands nowhere else',
  async () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-kit-'))
    const at = (name: string): string => path.join(directory, name)
    const passphrase = 'seven words that nobody else would write'
    fs.writeFileSync(at('passphrase'), `${passphrase}\n`)
    const relay = await RelayProcess.start({ data: at('relay') })
    const node = await NodeProcess.start({
      home: at('home'),
      name: 'home',
      agent: 'claude',
      relay: relay.address,
      args: ['--kit', at('kit.age'), '--passphrase-file', at('passphrase')],
      ...(relay.claim === undefined ? {} : { claim: relay.claim }),
    })
    try {
      const door = await node.door()
      const sinceMs = performance.now()
      const waitsMs = [0]
      // The kit's file appears half-way: it is sealed before and opened again after.
      while (!fs.existsSync(at('kit.age'))) {
        const askedMs = performance.now()
        await door.call('status', {})
        waitsMs.push(performance.now() - askedMs)
        await pause(10)
      }
      // Sealed in one go, nearly all of that time would be one wait.
      expect(Math.max(...waitsMs)).toBeLessThan((performance.now() - sinceMs) / 2)
      await node.program.line((line) => (line['kit'] === at('kit.age') ? line : undefined), KIT_MS)
      const { program } = node
      for (const said of [program.stdout, program.stderr, fs.readFileSync(at('home/run/node.log'))])
        expect(said.includes(passphrase)).toBe(false)
      if (process.platform !== 'linux') return
      for (const shown of ['cmdline', 'environ'])
        expect(fs.readFileSync(`/proc/${program.child.pid}/${shown}`).includes(passphrase)).toBe(false)
    } finally {
      await node.kill()
      await relay.stop()
      fs.rmSync(directory, { recursive: true, force: true })
    }
  },
  2 * KIT_MS,
)
