import { defaultOf, keyOfLimit, LIMIT_NAMES, LIMIT_TABLE } from './limit-table.ts'

const HEAD = `#:schema ./config.schema.json
# Settings of this Sealmesh relay. Every line that begins with # and a key shows a default. What the command line of
# "sealmesh-relay up" says comes first. After a change: sealmesh-relay config check, then sealmesh-relay limits reload.

# Where nodes reach the relay. Read when it starts.
[listen]
# host = "0.0.0.0"
# port = 7443
# The name or address that nodes dial, where this machine's first address is not the one.
# public_host = "relay.example.org"
# All that nodes dial, where a proxy or another port stands before the relay.
# public_url = "wss://relay.example.org"
# Proxies that say in X-Forwarded-For whom they forward for: the limits for one address then count that one. Name no
# address that strangers may have: whoever comes from it may claim to be anybody.
# trusted_proxy = "127.0.0.1"

# A certificate of its own that nodes pin ("self-signed"), none on loopback ("none"), or that of an authority ("files").
# The files are read again by a reload, the mode when the relay starts.
[tls]
# mode = "self-signed"
# cert = "/etc/letsencrypt/live/relay.example.org/fullchain.pem"
# key = "/etc/letsencrypt/live/relay.example.org/privkey.pem"

# Which meshes get in: with a claim code ("claims"), or only those that "sealmesh-relay admit add" names ("list").
[admission]
# mode = "claims"

# silent, error, warn, info or debug. A reload takes it at once.
[log]
# level = "info"

# Where Prometheus reads /metrics, or "off". On loopback: what is counted here is nobody else's business.
[metrics]
listen = "127.0.0.1:9464"

# Several relays that are one, over NATS JetStream. Read when it starts.
[cluster]
# nats = "nats://10.0.0.1:4222,nats://10.0.0.2:4222,nats://10.0.0.3:4222"

# What others may take. A reload takes them at once, and drops nothing that is stored.
[limits]
`

/** A new config: every key with its default, commented out, but for the metrics. */
export const configTemplate = (): string =>
  HEAD +
  LIMIT_NAMES.map((name) => {
    const { about, unit, min, max } = LIMIT_TABLE[name]
    const bounds = `${unit === '' ? '' : `${unit}, `}${min} to ${max}`
    return `# ${about} (${bounds})\n# ${keyOfLimit(name)} = ${defaultOf(name)}\n`
  }).join('')
