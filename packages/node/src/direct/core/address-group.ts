/** IPv6 machines are given a /64 each, and may speak from any address of it. */
const GROUPS = 4

/** Which addresses count as one: an IPv4 address, written in either way, or all of an IPv6 network. */
export function addressGroup(address: string): string {
  const [plain = ''] = address.toLowerCase().split('%')
  const mapped = /^::ffff:([0-9.]+)$/.exec(plain)?.[1]
  if (mapped !== undefined) return mapped
  if (!plain.includes(':')) return plain
  const [head = '', tail] = plain.split('::')
  const [before, after] = [head, tail ?? ''].map((part) => (part === '' ? [] : part.split(':')))
  const zeros =
    tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - before!.length - after!.length) }, () => '0')
  return [...before!, ...zeros, ...after!]
    .slice(0, GROUPS)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')
}
