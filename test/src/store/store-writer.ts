import { utf8 } from '@sealmesh/protocol/bytes'
import { metaKey } from '@sealmesh/node/store/keys'
import { openStore } from '@sealmesh/node/store/store'

/**
 * A child process: commits numbered values into the node's own store from several lanes, and prints each number once
 * its commit has resolved.
 *
 *   node store-writer.js DIRECTORY FIRST
 */
const [directory = '', first = '0'] = process.argv.slice(2)
const LANES = 16
const store = await openStore(directory)
let at = Number(first)
const lanes = Array.from({ length: LANES }, async () => {
  for (;;) {
    const number = at++
    const key = metaKey(String(number))
    await store.commit([{ type: 'put', key, value: utf8(`${number}:${'v'.repeat(number % 200)}`) }])
    process.stdout.write(`${number}\n`)
  }
})
await Promise.all(lanes)
