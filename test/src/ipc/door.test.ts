import { once } from 'node:events'
import { chmod, link, readdir, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { connectDoor } from '@sealmesh/node/ipc/client'
import { serveDoor } from '@sealmesh/node/ipc/door'
import { Failure } from '@sealmesh/protocol/errors'
import { methods } from '@sealmesh/protocol/ipc/methods'
import type { WatchEvent } from '@sealmesh/protocol/ipc/methods'
import { describe, expect, test } from 'vitest'
import { fakeNode, request } from './fake-node.ts'

const item = (umr: string, value: string) => ({
  item: {
    umr,
    type: 'register' as const,
    value,
    origin: { write: 'ab', node: 'cd', nodeName: 'home', writer: 'claude', at: '2026-11-20T00:00:00.000Z', wallMs: 0 },
    conflicts: 0,
  },
})

describe('door and client', () => {
  test('an answer comes back whether the handler has it at hand or promises it', async () => {
    const node = await fakeNode({
      get: ({ umr }) => item(umr, '1'),
      rm: async ({ umr }) => ({ umr, write: 'ab', at: 'now' }),
    })
    const client = await node.client()
    expect(await client.call('get', { umr: 'a.b.c' })).toEqual(item('a.b.c', '1'))
    expect(await client.call('rm', { umr: 'a.b.c' })).toEqual({ umr: 'a.b.c', write: 'ab', at: 'now' })
  })
  test('what a caller leaves out has its default when the handler sees it', async () => {
    const node = await fakeNode({
      ls: (params) => ({ items: [], truncated: params.limit === 10_000 && params.prefix === '', damaged: [] }),
    })
    expect(await (await node.client()).call('ls', {})).toEqual({ items: [], truncated: true, damaged: [] })
  })
  test('any text survives the way there and back', async () => {
    const node = await fakeNode({ get: ({ umr }) => item(umr, JSON.stringify(umr)) })
    const client = await node.client()
    for (const umr of ['a.b.ü', 'a.b.日本語', 'a.b.🦭\u2028"\\', `a.b.${'é'.repeat(300)}`])
      expect(await client.call('get', { umr })).toEqual(item(umr, JSON.stringify(umr)))
  })
  test('a failure arrives with its code, its words and its next step', async () => {
    const node = await fakeNode({
      get: () => {
        throw new Failure('NOT_A_WRITER', 'This node may not.', { next: 'ask' })
      },
      rm: async () => {
        throw new Failure('DISK_FULL', 'The disk is full.')
      },
    })
    const client = await node.client()
    await expect(client.call('get', { umr: 'a.b.c' })).rejects.toMatchObject({
      code: 'NOT_A_WRITER',
      message: 'This node may not.',
      next: 'ask',
    })
    await expect(client.call('rm', { umr: 'a.b.c' })).rejects.toMatchObject({ code: 'DISK_FULL' })
  })
  test('what breaks inside is told without its words, to the caller and to the log', async () => {
    const node = await fakeNode({
      get: () => {
        throw new Error('the secret plan')
      },
      rm: async () => {
        throw new TypeError('the secret plan')
      },
    })
    const client = await node.client()
    for (const method of ['get', 'rm'] as const) {
      const failure: unknown = await client.call(method, { umr: 'a.b.c' }).catch((error: unknown) => error)
      expect(failure).toMatchObject({ code: 'INTERNAL' })
      expect(String(failure)).not.toContain('secret')
    }
    expect(node.logged).toHaveLength(2)
    expect(JSON.stringify(node.logged)).not.toContain('secret')
    expect(JSON.stringify(node.logged)).toContain('door.test')
  })
  test('answers find their callers in whatever order they are ready', async () => {
    const release: (() => void)[] = []
    const node = await fakeNode({
      get: ({ umr }) => new Promise((resolve) => void release.push(() => resolve(item(umr, '1')))),
    })
    const client = await node.client()
    const calls = ['a.b.0', 'a.b.1', 'a.b.2'].map((umr) => client.call('get', { umr }))
    await expect.poll(() => release.length).toBe(3)
    for (const go of release.toReversed()) go()
    expect((await Promise.all(calls)).map(({ item: found }) => found?.umr)).toEqual(['a.b.0', 'a.b.1', 'a.b.2'])
  })
  test('ten thousand calls at once are all answered, and few are worked on at a time', async () => {
    let [working, most] = [0, 0]
    const node = await fakeNode({
      get: async ({ umr }) => {
        most = Math.max(most, ++working)
        await new Promise((resolve) => setImmediate(resolve))
        working--
        return item(umr, '1')
      },
    })
    const client = await node.client()
    const answers = await Promise.all(Array.from({ length: 10_000 }, (_, n) => client.call('get', { umr: `a.b.${n}` })))
    expect(answers.every(({ item: found }, n) => found?.umr === `a.b.${n}`)).toBe(true)
    expect(most).toBeLessThanOrEqual(256)
    expect(most).toBeGreaterThan(100)
  })
  test('answers that are larger than all queues together arrive', async () => {
    const large = JSON.stringify('x'.repeat(300_000))
    const node = await fakeNode({ get: ({ umr }) => item(umr, large) })
    const client = await node.client()
    const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => client.call('get', { umr: `a.b.${n}` })))
    expect(answers.every(({ item: found }) => found?.type === 'register' && found.value === large)).toBe(true)
  })
})

describe('the way in', () => {
  test('the socket is for its owner alone', async () => {
    const { socketPath } = await fakeNode({})
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600)
  })
  test('a socket that a killed node left is replaced, a living one and a file are not', async () => {
    const first = await fakeNode({})
    await expect(
      serveDoor({ socketPath: first.socketPath, methods, handlers: {} as never, log: console }),
    ).rejects.toMatchObject({ code: 'SOCKET_IN_USE' })
    expect(await (await first.client()).call('hello', { version: 1 })).toMatchObject({ version: 1 })

    const file = `${first.socketPath}.file`
    await writeFile(file, '')
    await expect(serveDoor({ socketPath: file, methods, handlers: {} as never, log: console })).rejects.toMatchObject({
      code: 'SOCKET_IN_USE',
    })

    const dead = `${first.socketPath}.dead`
    await leaveDeadSocket(dead)
    expect(
      await (await (await fakeNode({}, { socketPath: dead })).client()).call('hello', { version: 1 }),
    ).toMatchObject({ version: 1 })
  })
  test('nobody there, a dead socket and a closed door all mean that no node runs', async () => {
    const node = await fakeNode({})
    await leaveDeadSocket(`${node.socketPath}.dead`)
    await node.door.close()
    for (const path of [node.socketPath, `${node.socketPath}.dead`, '/nowhere/at/all'])
      await expect(connectDoor(path)).rejects.toMatchObject({ code: 'NODE_NOT_RUNNING' })
    expect((await readdir(dirname(node.socketPath))).includes('door.sock')).toBe(false)
  })
  test.skipIf(process.getuid?.() === 0)(
    'a socket that this user may not use is not taken for a node that is down',
    async () => {
      const node = await fakeNode({})
      await chmod(node.socketPath, 0)
      await expect(connectDoor(node.socketPath)).rejects.toMatchObject({ code: 'HOME_UNUSABLE' })
    },
  )
  test('a node of another version is told apart from none', async () => {
    const node = await fakeNode({
      hello: () => {
        throw new Failure('VERSION_MISMATCH', 'This node speaks version 2.')
      },
    })
    await expect(node.client()).rejects.toMatchObject({ code: 'VERSION_MISMATCH' })
  })
  test('a process that listens and never greets is given up', async () => {
    const node = await fakeNode({ hello: () => new Promise<never>(() => undefined) })
    await expect(connectDoor(node.socketPath, { helloWaitMs: 20 })).rejects.toMatchObject({ code: 'CORE_BUSY' })
  })
})

describe('hostile lines', () => {
  const error = (code: number, failure: string) => ({
    error: { code, data: { code: failure, next: expect.any(String) } },
  })

  test('each is answered with its own error, and the connection goes on', async () => {
    const node = await fakeNode({ get: ({ umr }) => item(umr, '1') })
    const raw = await node.raw()
    const cases: [string | object | Uint8Array, object][] = [
      ['nonsense\n', { id: null, ...error(-32_700, 'USAGE') }],
      ['{"jsonrpc":"2.0","id":1\n', { id: null, ...error(-32_700, 'USAGE') }],
      ['null\n', { id: null, ...error(-32_600, 'USAGE') }],
      ['[]\n', { id: null, ...error(-32_600, 'USAGE') }],
      ['"text"\n', { id: null, ...error(-32_600, 'USAGE') }],
      [`${'['.repeat(200_000)}\n`, { id: null, ...error(-32_700, 'USAGE') }],
      [Buffer.from([0x22, 0xff, 0xfe, 0x22, 0x0a]), { id: null, ...error(-32_700, 'USAGE') }],
      [
        { id: 1, method: 'get' },
        { id: 1, ...error(-32_600, 'USAGE') },
      ],
      [
        { jsonrpc: '2.0', id: 2 },
        { id: 2, ...error(-32_600, 'USAGE') },
      ],
      [
        { jsonrpc: '2.0', id: {}, method: 'get' },
        { id: null, ...error(-32_600, 'USAGE') },
      ],
      [
        { jsonrpc: '2.0', id: true, method: 'get' },
        { id: null, ...error(-32_600, 'USAGE') },
      ],
      ['{"jsonrpc":"2.0","id":1e999,"method":"get"}\n', { id: null, ...error(-32_600, 'USAGE') }],
      [request('x', 'nope'), { id: 'x', ...error(-32_601, 'USAGE') }],
      [request('x', '__proto__'), { id: 'x', ...error(-32_601, 'USAGE') }],
      [request('x', 'constructor'), { id: 'x', ...error(-32_601, 'USAGE') }],
      [request(3, 'get'), { id: 3, ...error(-32_602, 'UMR_INVALID') }],
      [request(3, 'get', []), { id: 3, ...error(-32_602, 'USAGE') }],
      [request(3, 'get', null), { id: 3, ...error(-32_602, 'USAGE') }],
      [request(3, 'get', { umr: 7 }), { id: 3, ...error(-32_602, 'UMR_INVALID') }],
      [request(3, 'get', { umr: 'x'.repeat(701) }), { id: 3, ...error(-32_602, 'UMR_INVALID') }],
      [request(3, 'agents.add', { name: '' }), { id: 3, ...error(-32_602, 'NAME_INVALID') }],
      [request(3, 'set', { umr: 'a.b.c', value: 1 }), { id: 3, ...error(-32_602, 'VALUE_INVALID') }],
      [request(3, 'set.many', { writes: [{ umr: 'a.b.c', value: 1 }] }), { id: 3, ...error(-32_602, 'VALUE_INVALID') }],
      [
        '{"jsonrpc":"2.0","id":3,"method":"set","params":{"umr":"a.b.c","value":"\\ud83e"}}\n',
        { id: 3, ...error(-32_602, 'VALUE_INVALID') },
      ],
      [
        '{"jsonrpc":"2.0","id":3,"method":"text.put","params":{"umr":"a.b.c","text":"\\udead"}}\n',
        { id: 3, ...error(-32_602, 'VALUE_INVALID') },
      ],
      [request(3, 'ls', { limit: 0 }), { id: 3, ...error(-32_602, 'USAGE') }],
      [
        '{"jsonrpc":"2.0","id":4,"method":"get","params":{"umr":"a.b.c","__proto__":{"x":1}}}\n',
        { id: 4, result: item('a.b.c', '1') },
      ],
    ]
    for (const [line] of cases) raw.send(line)
    const answers = await raw.take(cases.length)
    for (const [n, [, expected]] of cases.entries()) expect(answers[n], `case ${n}`).toMatchObject(expected)
    expect(({} as { x?: number }).x).toBeUndefined()
  })
  test('no refusal repeats what was sent', async () => {
    const node = await fakeNode({})
    const raw = await node.raw()
    raw.send(
      '{"planted\n',
      request(1, 'planted'),
      request(2, 'set', { umr: { planted: 1 }, value: ['planted'] }),
      request(3, 'share.set', { agent: 'planted'.repeat(20) }),
    )
    expect(JSON.stringify(await raw.take(4))).not.toContain('planted')
  })
  test('lines that come in single bytes, in one piece, with blanks or with a carriage return are the same lines', async () => {
    const node = await fakeNode({ get: ({ umr }) => item(umr, '1') })
    const raw = await node.raw()
    const bytes = Buffer.from(`${JSON.stringify(request(1, 'get', { umr: 'a.b.🦭' }))}\r\n\n\r\n`)
    for (const byte of bytes) {
      raw.send(Uint8Array.of(byte))
      await new Promise((resolve) => setImmediate(resolve))
    }
    raw.send(Buffer.concat([bytes, bytes, bytes]))
    expect(await raw.take(4)).toEqual(Array(4).fill({ jsonrpc: '2.0', id: 1, result: item('a.b.🦭', '1') }))
  })
  test('one garbled line does not spoil those around it', async () => {
    const node = await fakeNode({ get: ({ umr }) => item(umr, '1') })
    const raw = await node.raw()
    const good = Buffer.from(`${JSON.stringify(request(1, 'get', { umr: 'a.b.é' }))}\n`)
    raw.send(Buffer.concat([good, Buffer.from([0xc3, 0x0a]), good]))
    const [first, second, third] = await raw.take(3)
    expect([first?.result, second?.error?.code, third?.result]).toEqual([
      item('a.b.é', '1'),
      -32_700,
      item('a.b.é', '1'),
    ])
  })
  test('a request without an id is carried out and not answered', async () => {
    let calls = 0
    const node = await fakeNode({ get: ({ umr }) => item(umr, String(++calls)) })
    const raw = await node.raw()
    raw.send(request(undefined, 'get', { umr: 'a.b.c' }), request(1, 'get', { umr: 'a.b.c' }))
    expect(await raw.take(1)).toEqual([{ jsonrpc: '2.0', id: 1, result: item('a.b.c', '2') }])
  })
  test('a line at the limit passes; one byte more is refused, said why, and ends the connection alone', async () => {
    const node = await fakeNode(
      { set: ({ umr }) => ({ umr, write: 'ab', at: 'now' }) },
      { limits: { lineBytesMax: 100_000 } },
    )
    const line = (bytes: number) => {
      const empty = JSON.stringify(request(1, 'set', { umr: 'a.b.c', value: '' }))
      return `${JSON.stringify(request(1, 'set', { umr: 'a.b.c', value: 'x'.repeat(bytes - empty.length) }))}\n`
    }
    const other = await node.raw()
    const good = await node.raw()
    good.send(line(100_000))
    expect((await good.take(1))[0]).toHaveProperty('result')
    for (const end of ['\n', '']) {
      const raw = await node.raw()
      raw.send(line(100_001).trimEnd() + end)
      expect((await raw.take(1))[0]).toMatchObject({ id: null, error: { data: { code: 'VALUE_TOO_LARGE' } } })
      await raw.closed
    }
    other.send(request(1, 'set', { umr: 'a.b.c', value: '1' }))
    expect((await other.take(1))[0]).toHaveProperty('result')
  })
  test('a line without end is cut at the limit, not when it has filled the memory', async () => {
    const node = await fakeNode({})
    const raw = await node.raw()
    const before = process.memoryUsage().arrayBuffers
    const chunk = Buffer.alloc(65_536, 'x')
    let sent = 0
    while (!raw.socket.destroyed && sent < 256 * 1_048_576) {
      sent += chunk.length
      if (!raw.socket.write(chunk)) await Promise.race([once(raw.socket, 'drain').catch(() => undefined), raw.closed])
    }
    expect(raw.lines[0]).toMatchObject({ error: { data: { code: 'VALUE_TOO_LARGE' } } })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * 1_048_576)
  })
})

describe('clients that do not read', () => {
  const event = (n: number): WatchEvent => ({
    umr: `a.b.${n}`,
    type: 'set',
    value: JSON.stringify('x'.repeat(1_000)),
    nodeName: 'home',
    at: 'now',
    local: true,
  })

  test('one that watches and does not read is cut at the bound, and one that reads gets all', async () => {
    const listeners = new Set<(event: WatchEvent) => void>()
    const node = await fakeNode(
      {
        watch: (_, { notify, signal }) => {
          listeners.add(notify)
          signal.addEventListener('abort', () => listeners.delete(notify))
          return {}
        },
      },
      { limits: { queueBytesMax: 500_000 } },
    )
    const reader = await node.client()
    let seen = 0
    reader.onNotification(() => void seen++)
    await reader.call('watch', {})
    const sleeper = await node.raw()
    sleeper.send(request(1, 'watch', {}))
    await sleeper.take(1)
    sleeper.socket.pause()
    for (let n = 0; n < 5_000; n++) {
      for (const notify of listeners) notify(event(n))
      if (n % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await expect.poll(() => seen).toBe(5_000)
    expect(listeners.size).toBe(1)
    expect(node.logged.map(({ text }) => text)).toEqual(['a local client was cut: it does not read what it watches'])
  })
  test('one that asks and does not read is first not read itself, then cut; what waits for it stays small', async () => {
    let answered = 0
    const large = JSON.stringify('x'.repeat(10_000))
    const node = await fakeNode(
      {
        get: ({ umr }) => {
          answered++
          return item(umr, large)
        },
      },
      { limits: { queueBytesPause: 100_000, stallMs: 50 } },
    )
    const raw = await node.raw()
    raw.socket.pause()
    for (let n = 0; n < 5_000; n++) raw.send(request(n, 'get', { umr: 'a.b.c' }))
    await expect.poll(() => node.logged.length).toBe(1)
    // What fits the queue and the kernel's buffers, and no more.
    expect(answered).toBeLessThan(200)
    expect(node.logged[0]?.text).toContain('it took nothing')
  })
  test('one that reads late gets everything that it asked for', async () => {
    const large = JSON.stringify('x'.repeat(10_000))
    const node = await fakeNode(
      { get: async ({ umr }) => item(umr, large) },
      { limits: { queueBytesPause: 50_000, inFlightMax: 8 } },
    )
    const raw = await node.raw()
    raw.socket.pause()
    for (let n = 0; n < 1_000; n++) raw.send(request(n, 'get', { umr: 'a.b.c' }))
    await new Promise((resolve) => setImmediate(resolve))
    raw.socket.resume()
    expect((await raw.take(1_000)).map(({ id }) => id)).toEqual(Array.from({ length: 1_000 }, (_, n) => n))
  })
  test('past the largest number of connections the next one is turned away and the others go on', async () => {
    const node = await fakeNode({}, { limits: { connectionsMax: 2 } })
    const [first] = [await node.client(), await node.client()]
    await expect(node.client()).rejects.toMatchObject({ code: 'NODE_NOT_RUNNING' })
    expect(await first.call('hello', { version: 1 })).toMatchObject({ version: 1 })
  })
})

describe('ends', () => {
  test('closing answers what is being worked on, ends watching, and removes the socket', async () => {
    let finish: (() => void) | undefined
    let watching: AbortSignal | undefined
    const node = await fakeNode({
      rm: ({ umr }) => new Promise((resolve) => void (finish = () => resolve({ umr, write: 'ab', at: 'now' }))),
      watch: (_, { signal }) => {
        watching = signal
        return {}
      },
    })
    const [writer, watcher] = [await node.client(), await node.client()]
    await watcher.call('watch', {})
    const writing = writer.call('rm', { umr: 'a.b.c' })
    await expect.poll(() => finish).toBeDefined()
    const closing = node.door.close()
    await watcher.closed
    expect(watching?.aborted).toBe(true)
    await expect(connectDoor(node.socketPath)).rejects.toMatchObject({ code: 'NODE_NOT_RUNNING' })
    finish?.()
    expect(await writing).toMatchObject({ write: 'ab' })
    await closing
  })
  test('closing does not wait for ever for a handler or a client that hangs', async () => {
    const node = await fakeNode({ rm: () => new Promise<never>(() => undefined) }, { limits: { drainMs: 20 } })
    const client = await node.client()
    const hanging = client.call('rm', { umr: 'a.b.c' }).catch((error: unknown) => error)
    await node.door.close()
    expect(await hanging).toMatchObject({ code: 'NODE_NOT_RUNNING' })
  })
  test('a client that goes away frees its watch', async () => {
    let signal: AbortSignal | undefined
    const node = await fakeNode({
      watch: (_, context) => {
        signal = context.signal
        return {}
      },
    })
    const client = await node.client()
    await client.call('watch', {})
    await client.close()
    await expect.poll(() => signal?.aborted).toBe(true)
  })
  test('a shell that ends its half after the last line still gets its answers', async () => {
    const node = await fakeNode({
      rm: async ({ umr }) => {
        await new Promise((resolve) => setImmediate(resolve))
        return { umr, write: 'ab', at: 'now' }
      },
    })
    const raw = await node.raw()
    raw.socket.end(
      `${JSON.stringify(request(1, 'rm', { umr: 'a.b.c' }))}\n${JSON.stringify(request(2, 'rm', { umr: 'a.b.d' }))}\n`,
    )
    expect((await raw.take(2)).map(({ id }) => id)).toEqual([1, 2])
    await raw.closed
  })
  test('calls that wait when the node dies are told so, and so are later ones', async () => {
    const node = await fakeNode({ rm: () => new Promise<never>(() => undefined) }, { limits: { drainMs: 1 } })
    const client = await node.client()
    const waiting = client.call('rm', { umr: 'a.b.c' }).catch((error: unknown) => error)
    await node.door.close()
    expect(await waiting).toMatchObject({ code: 'NODE_NOT_RUNNING', message: expect.stringContaining('not known') })
    await expect(client.call('rm', { umr: 'a.b.c' })).rejects.toMatchObject({ code: 'NODE_NOT_RUNNING' })
  })
  test('something else that answers on the socket is not taken for a node', async () => {
    const node = await fakeNode({})
    const path = `${node.socketPath}.other`
    const server = createServer((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')).listen(path)
    await once(server, 'listening')
    await expect(connectDoor(path)).rejects.toMatchObject({ code: 'VERSION_MISMATCH' })
    server.close()
  })
})

/** As kill -9 leaves it: the file is there, nobody listens. */
async function leaveDeadSocket(path: string): Promise<void> {
  const server = createServer().listen(`${path}.living`)
  await once(server, 'listening')
  // Closing removes the name that was listened on, not this one.
  await link(`${path}.living`, path)
  server.close()
  await once(server, 'close')
}
