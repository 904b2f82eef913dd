import { openRival } from './rival-client.ts'
import { serveWriter } from './writer.ts'

/** node rival-writer.js URL DOCUMENT CLIENTS: each client has a Y.Doc of its own; writers take them in turn. */
const [url = '', name = '', clients = '1'] = process.argv.slice(2)
const opened = await Promise.all(Array.from({ length: Number(clients) }, async () => await openRival(url, name)))

serveWriter({
  write(writer, entries) {
    const client = opened[writer % opened.length]
    client?.document.transact(() => {
      for (const { key, value } of entries) client.facts.set(key, value)
    })
  },
  close() {
    for (const client of opened) client.close()
    return Promise.resolve()
  },
})
